# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two engines on one host may not share. All pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from ansible_collections.inference.fleet.plugins.module_utils.addresses import EVERY
from ansible_collections.inference.fleet.plugins.module_utils.containers.cards import shared
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import LABEL_SLOT, STAND_IN
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec, Port
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import Cards, unknown


def conflicts(wanted: ContainerSpec, others: Iterable[Observed], cards: Cards = unknown) -> list[str]:
    """Return, in sentences, what a wanted container and other running ones would both have."""
    found = []
    for other in others:
        if not other.running:
            continue
        if shared(wanted.gpus, other.spec.gpus, cards):
            found.append(
                f"{other.name} runs on GPUs ({other.spec.gpus}) that {wanted.name} would have too ({wanted.gpus}). "
                f"Give each its own with gpus{_or_its_place(other)}."
            )
        found += [
            f"{other.name} has port {port.host_port} of {port.host_ip} already. "
            f"Choose another port{_or_its_place(other)}."
            for port in wanted.ports
            if any(_same_port(port, taken) for taken in other.spec.ports)
        ]
    return found


def _or_its_place(other: Observed) -> str:
    slot = other.spec.labels.get(LABEL_SLOT)
    if slot and slot.startswith(STAND_IN):
        return (
            "; or, as that is left of a comparison that was cut off, run compare.yml again, with "
            "-e compare_abandon=true to give it up"
        )
    instead = f"; or, to have it take the place of {other.name}, set slot to {slot}" if slot else ""
    return f"{instead}; or, if {other.name} is to go, set prune"


def between(wanted: Iterable[ContainerSpec], cards: Cards = unknown) -> list[str]:
    """Return, in sentences, what any two wanted containers of one host would both have."""
    found = []
    for one, other in itertools.combinations(wanted, 2):
        both = f"{one.name} and {other.name} would both have"
        if shared(one.gpus, other.gpus, cards):
            found.append(f"{both} GPUs ({one.gpus}; {other.gpus}). Give each its own with gpus.")
        found += [
            f"{both} port {port.host_port}. Give each its own with port."
            for port in one.ports
            if any(_same_port(port, taken) for taken in other.ports)
        ]
    return found


def _same_port(one: Port, other: Port) -> bool:
    return one.host_port == other.host_port and (
        one.host_ip == other.host_ip or one.host_ip in EVERY or other.host_ip in EVERY
    )
