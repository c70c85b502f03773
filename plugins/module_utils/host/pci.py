# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA's devices on the PCI bus: it has them before any driver does, and they say which driver they need.

Sources: the PCI ID repository, https://pci-ids.ucw.cz/read/PC/10de; NVIDIA's list of GPUs for the open kernel modules,
https://github.com/NVIDIA/open-gpu-kernel-modules; the Fabric Manager user guide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

DEVICES = Path("/sys/bus/pci/devices")
INFINIBAND = Path("/sys/class/infiniband")
_VENDOR_NVIDIA = "0x10de"
# The PCI class of GPUs without a display, which all data centre GPUs have, and that of NVSwitches.
_CLASS_3D_CONTROLLER = "0x0302"
_CLASS_BRIDGE = "0x0680"
# From Turing on, a GPU may have the open kernel modules, and from Blackwell on it has no others.
_TURING, _BLACKWELL = 0x1E00, 0x2900
# What the vital product data say of a network card behind which NVSwitches of the fourth generation are managed.
_SWITCH_MANAGEMENT = b"SW_MNG"

OPEN, PROPRIETARY = "open", "proprietary"


@dataclass(frozen=True)
class Bus:
    """The data centre GPUs by their device numbers, such as C(0x2330), and the NVSwitches of a host.

    ``switch_bridges`` counts the network cards that manage NVSwitches which are not on the bus themselves (B200).
    """

    gpus: list[str] = field(default_factory=list)
    nvswitches: int = 0
    switch_bridges: int = 0


def look(devices: Path = DEVICES, infiniband: Path = INFINIBAND) -> Bus:
    """Look at the bus.

    GPUs with a display output are not counted: a screen's card is no reason to want a driver.
    """
    gpus, nvswitches = [], 0
    for device in _entries(devices):
        if _text(device / "vendor") != _VENDOR_NVIDIA:
            continue
        kind = _text(device / "class")
        if kind.startswith(_CLASS_3D_CONTROLLER):
            gpus.append(_text(device / "device"))
        nvswitches += kind.startswith(_CLASS_BRIDGE)
    bridges = sum(_SWITCH_MANAGEMENT in _bytes(card / "device" / "vpd") for card in _entries(infiniband))
    return Bus(gpus, nvswitches, bridges)


def kernel_modules(gpus: Iterable[str]) -> set[str]:
    """Return which of NVIDIA's kernel modules drive all of these GPUs: the open ones, the proprietary ones, or both.

    >>> sorted(kernel_modules(["0x2330"])), kernel_modules(["0x2901"]), kernel_modules(["0x1db1"])
    (['open', 'proprietary'], {'open'}, {'proprietary'})
    """
    fitting = {OPEN, PROPRIETARY}
    for gpu in gpus:
        try:
            number = int(gpu, 16)
        except ValueError:
            continue
        fitting -= {PROPRIETARY} if number >= _BLACKWELL else {OPEN} if number < _TURING else set()
    return fitting


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    return _bytes(path).decode("ascii", "replace").strip()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
