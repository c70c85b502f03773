# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two engines on one host may not share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.conflicts import between, conflicts
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    ALL_GPUS,
    ContainerSpec,
    Gpus,
    Port,
)

FIRST = Gpus(device_ids=("0", "1"))
WANTED = ContainerSpec("new", "image", (), gpus=FIRST, ports=(Port(8000, "127.0.0.1", 8000),))


def running(spec: ContainerSpec, status: str = "running") -> Observed:
    return Observed("id", spec.name, "image", spec, status, 0, False, 0, "", "", "")


@pytest.mark.parametrize(
    ("gpus", "shared"),
    [
        (None, False),
        (ALL_GPUS, True),
        (Gpus(count=1), True),
        (Gpus(device_ids=("1", "2")), True),
        (Gpus(device_ids=("2", "3")), False),
    ],
)
def test_gpus(gpus: Gpus | None, shared: bool) -> None:
    other = ContainerSpec("old", "image", (), gpus=gpus)
    found = conflicts(WANTED, [running(other)])
    assert bool(found) is shared
    assert conflicts(replace(WANTED, gpus=None), [running(other)]) == []
    if shared:
        assert found[0].startswith("old runs on GPUs (")


@pytest.mark.parametrize(
    ("address", "port", "taken"),
    [
        ("127.0.0.1", 8000, True),
        ("0.0.0.0", 8000, True),
        ("::", 8000, True),
        ("10.0.0.1", 8000, False),
        ("127.0.0.1", 8001, False),
    ],
)
def test_ports(address: str, port: int, taken: bool) -> None:
    other = ContainerSpec("old", "image", (), ports=(Port(8000, address, port),))
    found = conflicts(WANTED, [running(other)])
    told = "old has port 8000 of 127.0.0.1 already. Choose another port; or, if old is to go, set prune."
    assert found == ([told] if taken else [])


def test_what_does_not_run_has_nothing() -> None:
    assert conflicts(WANTED, [running(replace(WANTED, name="old"), "exited")]) == []


def test_wanted_containers_are_held_against_each_other() -> None:
    same_port = ContainerSpec("port", "image", (), ports=(Port(8000, "0.0.0.0", 8000),))
    same_gpu = ContainerSpec("gpu", "image", (), gpus=Gpus(device_ids=("1",)))
    apart = ContainerSpec("apart", "image", (), gpus=Gpus(device_ids=("2",)), ports=(Port(8001, "127.0.0.1", 8001),))
    assert between([WANTED, apart]) == []
    first, second = between([WANTED, same_port, same_gpu, apart])
    assert first == "new and port would both have port 8000. Give each its own with port."
    assert second.startswith("new and gpu would both have GPUs (")
