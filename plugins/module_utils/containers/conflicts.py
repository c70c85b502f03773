# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two engines on one host may not share. All pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from ansible_collections.inference.fleet.plugins.module_utils.addresses import EVERY
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    ContainerSpec,
    Gpus,
    Port,
)


def conflicts(wanted: ContainerSpec, others: Iterable[Observed]) -> list[str]:
    """Return, in sentences, what a wanted container and other running ones would both have."""
    found = []
    for other in others:
        if not other.running or other.name == wanted.name:
            continue
        if _share_gpus(wanted.gpus, other.spec.gpus):
            found.append(
                f"{other.name} runs on GPUs ({other.spec.gpus}) that {wanted.name} would have too ({wanted.gpus}). "
                "Give each its own with gpus."
            )
        found += [
            f"{other.name} has port {port.host_port} of {port.host_ip} already. Choose another port."
            for port in wanted.ports
            if any(_same_port(port, taken) for taken in other.spec.ports)
        ]
    return found


def between(wanted: Iterable[ContainerSpec]) -> list[str]:
    """Return, in sentences, what any two wanted containers of one host would both have."""
    found = []
    for one, other in itertools.combinations(wanted, 2):
        both = f"{one.name} and {other.name} would both have"
        if _share_gpus(one.gpus, other.gpus):
            found.append(f"{both} GPUs ({one.gpus}; {other.gpus}). Give each its own with gpus.")
        found += [
            f"{both} port {port.host_port}. Give each its own with port."
            for port in one.ports
            if any(_same_port(port, taken) for taken in other.ports)
        ]
    return found


def _share_gpus(one: Gpus | None, other: Gpus | None) -> bool:
    """Tell whether two requests are known to meet. A number of GPUs means the first; ids are compared as written."""
    if one is None or other is None:
        return False
    if -1 in (one.count, other.count):
        return True
    return bool(_devices(one) & _devices(other))


def _devices(request: Gpus) -> set[str]:
    return set(request.device_ids) or {str(index) for index in range(request.count)}


def _same_port(one: Port, other: Port) -> bool:
    return one.host_port == other.host_port and (
        one.host_ip == other.host_ip or one.host_ip in EVERY or other.host_ip in EVERY
    )
