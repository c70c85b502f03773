# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which GPUs are near each other, from the forms that nvidia-smi's matrix has been seen in."""

from __future__ import annotations

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import topology

# Of a host with an NVSwitch and network cards, as driver 550 and newer print it.
SWITCHED = """
        GPU0    GPU1    GPU2    GPU3    NIC0    NIC1    CPU Affinity    NUMA Affinity   GPU NUMA ID
GPU0     X      NV18    NV18    NV18    PIX     SYS     0-23,96-119     0               N/A
GPU1    NV18     X      NV18    NV18    SYS     SYS     24-47,120-143   1               N/A
GPU2    NV18    NV18     X      NV18    NODE    SYS     0-23,96-119     0               N/A
GPU3    NV18    NV18    NV18     X      SYS     PIX     24-47,120-143   1               N/A
NIC0    PIX     SYS     NODE    SYS      X      SYS
NIC1    SYS     SYS     SYS     PIX     SYS      X

Legend:

  X    = Self
  SYS  = Connection traversing PCIe as well as the SMP interconnect between NUMA nodes (e.g., QPI/UPI)

NIC Legend:

  NIC0: mlx5_0
  NIC1: mlx5_1
"""
# Of cards with a bridge between every two; an older driver, which underlines the head.
BRIDGED = (
    "\t\x1b[4mGPU0\tGPU1\tGPU2\tGPU3\tmlx5_0\tCPU Affinity\tNUMA Affinity\x1b[0m\n"
    "GPU0\t X \tSYS\tNV4\tNODE\tPHB\t0-31\t0\n"
    "GPU1\tSYS\t X \tSYS\tNV4\tSYS\t32-63\t1\n"
    "GPU2\tNV4\tSYS\t X \tPXB\tPHB\t0-31\t0\n"
    "GPU3\tNODE\tNV4\tPXB\t X \tSYS\t32-63\t1\n"
)


def test_what_is_between_gpus_and_whether_they_are_at_the_same_cpus() -> None:
    found = topology.parse(SWITCHED)
    assert len(found) == 12
    assert (found[0, 2], found[0, 1], found[3, 1]) == ((0, 0), (0, 1), (0, 0))
    found = topology.parse(BRIDGED)
    assert [found[0, other] for other in (2, 3, 1)] == [(0, 0), (4, 1), (5, 1)]
    assert found[2, 3] == (2, 1)


@pytest.mark.parametrize("output", ["", "No devices were found", "GPU0\n", "\tGPU0\tCPU Affinity\nGPU0\t X \t0-3\n"])
def test_where_there_is_nothing_between(output: str) -> None:
    assert topology.parse(output) == {}


def test_a_driver_that_does_not_answer_is_no_reason_to_divide_otherwise() -> None:
    with pytest.raises(FleetError, match=r"nvidia-smi topo -m does not tell: driver not loaded\. Mend"):
        topology.query(lambda argv: (9, "driver not loaded", ""))
    assert topology.query(lambda argv: (0, SWITCHED, "")) == topology.parse(SWITCHED)
