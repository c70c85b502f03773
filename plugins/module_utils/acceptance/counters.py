# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a driver counts of each GPU: errors, remapped rows, links, throttle times. Looked at again and again.

Sources: nvidia-smi's own output on H200 with driver 580, and its manual, https://docs.nvidia.com/deploy/nvidia-smi/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_counters, gpu_health
from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand

_LINKS, _LINK_ERRORS = ["nvidia-smi", "nvlink", "--status"], ["nvidia-smi", "nvlink", "--errorcounters"]
_UUID = re.compile(r"GPU \d+: .*\(UUID: (GPU-[^)]+)\)")
_LINK = re.compile(r"\s*Link (\d+): *(?:<)?([\w.]+)")
_LINK_ERROR = re.compile(r"\s*Link \d+: .*Error.*: *(\d+)")
# What is counted since the driver was loaded, or for ever: what matters is by how much it grew.
COUNTED = ("ecc_corrected", "ecc_uncorrected", "remapped_rows", "pcie_replays", "nvlink_errors")


def look(run_command: RunCommand, several: bool) -> dict[str, dict[str, Any]]:
    """Return what is counted, by UUID; *several* GPUs may have NVLinks. What a GPU does not tell is None."""
    text = run_command(gpu_counters.QUERY)[1]
    found = parse(text)
    links = parse_links(run_command(_LINKS)[1]) if several else {}
    errors = parse_link_errors(run_command(_LINK_ERRORS)[1]) if several else {}
    return {
        uuid: {**each, "nvlinks_up": links.get(uuid), "nvlink_errors": errors.get(uuid)} for uuid, each in found.items()
    }


def parse(text: str) -> dict[str, dict[str, Any]]:
    """Read ``nvidia-smi -q -x``."""
    try:
        log = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return {}
    health, throttled = gpu_health.parse(text), gpu_counters.parse(text)
    found = {}
    for gpu in log.iter("gpu"):
        uuid = (gpu.findtext("uuid") or "").strip()
        own = health.get(uuid)
        if own is None:
            continue
        found[uuid] = {
            **{key: own[key] for key in ("ecc_uncorrected", "remap_pending", "remap_failed", "recovery_action")},
            "ecc_corrected": _sum(gpu.find("ecc_errors/volatile"), "_correctable"),
            "remapped_rows": _sum(gpu.find("remapped_rows"), "_corr", "_unc"),
            "pcie_gen": _number(gpu, "pci/pci_gpu_link_info/pcie_gen/current_link_gen"),
            "pcie_max_gen": _number(gpu, "pci/pci_gpu_link_info/pcie_gen/max_link_gen"),
            "pcie_width": _number(gpu, "pci/pci_gpu_link_info/link_widths/current_link_width"),
            "pcie_max_width": _number(gpu, "pci/pci_gpu_link_info/link_widths/max_link_width"),
            "pcie_replays": _number(gpu, "pci/replay_counter"),
            "temperature_c": _number(gpu, "temperature/gpu_temp"),
            "throttled_s": throttled.get(uuid),
        }
    return found


def parse_links(text: str) -> dict[str, int]:
    """Return how many NVLinks of each GPU are up, by UUID; a GPU without any is left out."""
    found: dict[str, int] = {}
    for uuid, lines in _by_gpu(text):
        links = [match[2] for line in lines if (match := _LINK.match(line))]
        if links:
            found[uuid] = sum(word.replace(".", "").isdigit() and float(word) > 0 for word in links)
    return found


def parse_link_errors(text: str) -> dict[str, int]:
    """Return the errors of all NVLinks of each GPU, by UUID: replays, recoveries and CRC errors together."""
    found: dict[str, int] = {}
    for uuid, lines in _by_gpu(text):
        counts = [int(match[1]) for line in lines if (match := _LINK_ERROR.match(line))]
        if counts:
            found[uuid] = sum(counts)
    return found


def _by_gpu(text: str) -> Iterable[tuple[str, Sequence[str]]]:
    parts: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        head = _UUID.match(line)
        if head:
            parts.append((head[1], []))
        elif parts:
            parts[-1][1].append(line)
    return parts


def growth(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, int]:
    """Return by how much each of :data:`COUNTED` grew, where both looks tell."""
    return {
        key: after[key] - before[key]
        for key in COUNTED
        if before.get(key) is not None and after.get(key) is not None and after[key] > before[key]
    }


def numa_node(bus_id: str | None, devices: Path = Path("/sys/bus/pci/devices")) -> int | None:
    """Return the NUMA node next to a GPU; None where the host has one only, or does not tell."""
    if not bus_id:
        return None
    try:
        text = (devices / f"{gpu_health.bus_address(bus_id)}.0" / "numa_node").read_text(encoding="ascii")
        return int(text) if int(text) >= 0 else None
    except (OSError, ValueError):
        return None


def _number(gpu: ElementTree.Element, path: str) -> int | None:
    match = re.match(r"\d+", (gpu.findtext(path) or "").strip())
    return int(match[0]) if match else None


def _sum(parent: ElementTree.Element | None, *ends: str) -> int | None:
    counts = [
        int(item.text or "")
        for item in (parent if parent is not None else ())
        if item.tag.endswith(ends) and (item.text or "").strip().isdigit()
    ]
    return sum(counts) if counts else None
