# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sound GPUs of a model give at least: a share of their datasheet. A model that is not here gets no verdict.

The shares are wide on purpose. They find a GPU that is broken, stuck at a low clock or badly connected, and none that
is a little slower than others: that is what siblings are for. Dense figures, at the power limit of the datasheet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Of the datasheet's figure, so much at least. A large copy gives about 0.9 of the memory's bandwidth, large products
# 0.55 to 0.85 of the tensor cores' as power allows, and virtual machines take some of PCIe's.
MEMORY, BF16, FP8, HOST, PEER, ALL_REDUCE = 0.75, 0.45, 0.35, 0.4, 0.6, 0.45
# GB/s that a lane of PCIe carries one way, by generation. Source: PCI-SIG, https://pcisig.com/specifications.
PCIE_LANE_GB_S = {3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}


@dataclass(frozen=True)
class Envelope:
    """A model's datasheet: GB/s of memory, TFLOP/s, NVLinks and GB/s one way over all of them. *source* says where."""

    model: str
    name: str
    memory_gb_s: float
    bf16_tflop_s: float
    fp8_tflop_s: float | None
    nvlinks: int
    nvlink_gb_s: float
    source: str


_PAGE = "https://www.nvidia.com/en-us/data-center"
# The first whose pattern is in nvidia-smi's name. One way is half of the bandwidth that datasheets give for NVLink.
ENVELOPES = (
    Envelope("A100 SXM 40 GB", r"A100-SXM4-40GB", 1555, 312, None, 12, 300, f"{_PAGE}/a100/"),
    Envelope("A100 SXM 80 GB", r"A100-SXM4-80GB", 2039, 312, None, 12, 300, f"{_PAGE}/a100/"),
    Envelope("A100 PCIe 40 GB", r"A100-PCIE-40GB", 1555, 312, None, 0, 0, f"{_PAGE}/a100/"),
    Envelope("A100 PCIe 80 GB", r"A100 80GB PCIe", 1935, 312, None, 0, 0, f"{_PAGE}/a100/"),
    Envelope("H100 SXM", r"H100 80GB HBM3", 3350, 989, 1979, 18, 450, f"{_PAGE}/h100/"),
    Envelope("H100 PCIe", r"H100 PCIe", 2000, 756, 1513, 0, 0, f"{_PAGE}/h100/"),
    Envelope("H200 NVL", r"H200 NVL", 4800, 835, 1671, 0, 0, f"{_PAGE}/h200/"),
    Envelope("H200 SXM", r"H200", 4800, 989, 1979, 18, 450, f"{_PAGE}/h200/"),
    Envelope("B200 SXM", r"B200", 7700, 2250, 4500, 18, 900, f"{_PAGE}/hgx/"),
)


def of(name: str) -> Envelope | None:
    """Return the envelope of a GPU by its name; None for a model that is not known.

    >>> of("NVIDIA H100 80GB HBM3").memory_gb_s, of("NVIDIA GB200"), of("NVIDIA RTX A6000")
    (3350, None, None)
    """
    return next((each for each in ENVELOPES if re.search(rf"\b{each.name}\b", name)), None)
