# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the PCI bus has of NVIDIA's, and which kernel modules that needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import pci


def test_the_bus_shows_data_centre_gpus_and_what_switches_between_them(tmp_path: Path) -> None:
    devices = {
        "gpu": ("0x10de", "0x030200", "0x2330"),
        "screen": ("0x10de", "0x030000", "0x2684"),
        "nvswitch": ("0x10de", "0x068000", "0x22a3"),
        "amd": ("0x1002", "0x030200", "0x74a1"),
        "gone": None,
    }
    for name, numbers in devices.items():
        (tmp_path / "pci" / name).mkdir(parents=True)
        for file, number in zip(("vendor", "class", "device"), numbers or (), strict=False):
            (tmp_path / "pci" / name / file).write_text(number + "\n")
    for name, data in {"mlx5_0": b"\x82 ConnectX-7 SMDL SW_MNG \x78", "mlx5_1": b"\x82 ConnectX-7 \x78"}.items():
        (tmp_path / "ib" / name / "device").mkdir(parents=True)
        (tmp_path / "ib" / name / "device" / "vpd").write_bytes(data)

    assert pci.look(tmp_path / "pci", tmp_path / "ib") == pci.Bus(["0x2330"], 1, 1)
    assert pci.look(tmp_path / "none", tmp_path / "none") == pci.Bus()


@pytest.mark.parametrize(
    ("gpus", "modules"),
    [
        (["0x2901", "0x2901"], {"open"}),  # B200
        (["0x3182"], {"open"}),  # B300
        (["0x2bb1"], {"open"}),  # RTX PRO 6000 Blackwell
        (["0x2330"], {"open", "proprietary"}),  # H100
        (["0x20b2"], {"open", "proprietary"}),  # A100 80 GB
        (["0x20b0"], {"open", "proprietary"}),  # A100 40 GB
        (["0x1eb8"], {"open", "proprietary"}),  # T4
        (["0x1db1"], {"proprietary"}),  # V100
        (["0x15f8"], {"proprietary"}),  # P100
        (["0x1db1", "0x2901"], set()),
        ([""], {"open", "proprietary"}),
    ],
)
def test_kernel_modules(gpus: list[str], modules: set[str]) -> None:
    assert pci.kernel_modules(gpus) == modules
