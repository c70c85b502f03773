# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How near a host's GPUs are to each other, as ``nvidia-smi topo -m`` tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand

QUERY = ["nvidia-smi", "topo", "-m"]
# The way between two GPUs, nearest first, as the legend below nvidia-smi's matrix says: NVLink, one PCIe bridge,
# several, a host bridge, several of one NUMA node, another NUMA node.
_WAYS = ("NV", "PIX", "PXB", "PHB", "NODE", "SYS")
_FAR = len(_WAYS)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_DEVICE = re.compile(r"[A-Z]+\d+|mlx\S+")

# By the indices of two GPUs, the way between them, and whether they are at other CPUs: smaller is nearer.
Distances = Mapping["tuple[int, int]", "tuple[int, int]"]


def parse(output: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Return how far each two GPUs are from each other, in both orders; nothing where there is no matrix.

    >>> parse(" GPU0 GPU1 CPU Affinity\\nGPU0 X NV18 0-51\\nGPU1 NV18 X 52-103")
    {(0, 1): (0, 1), (1, 0): (0, 1)}
    """
    lines = [line.split() for line in _COLOURS.sub("", output).splitlines() if line.strip()]
    head = next((words for words in lines if words[0] == "GPU0"), None)
    if head is None:
        return {}
    devices = []
    for word in head:
        if not _DEVICE.fullmatch(word):
            break
        devices.append(word)
    rows = {words[0]: words[1:] for words in lines if words is not head and re.fullmatch(r"GPU\d+", words[0])}
    cpus = {name: cells[len(devices) : len(devices) + 1] for name, cells in rows.items()}
    return {
        (int(one[3:]), int(other[3:])): (_way(cells[place]), int(cpus[one] != cpus[other]))
        for one, cells in rows.items()
        for place, other in enumerate(devices[: len(cells)])
        if other in rows and other != one
    }


def _way(cell: str) -> int:
    return next((far for far, way in enumerate(_WAYS) if re.fullmatch(rf"{way}\d*", cell)), _FAR)


def query(run_command: RunCommand) -> Distances:
    """Ask nvidia-smi. FleetError where it does not answer: GPUs may not be divided otherwise by one run in ten."""
    code, output, error = run_command(QUERY)
    if code != 0:
        said = " ".join((error or output).split()) or f"it ended with exit code {code}"
        raise FleetError(
            f"wanted to know which GPUs are near each other, and {' '.join(QUERY)} does not tell: {said}. Mend the "
            "driver, or name the GPUs of each engine with instances."
        )
    return parse(output)
