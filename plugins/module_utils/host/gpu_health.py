# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether GPUs are well and who uses them: nvidia-smi's whole answer as XML, and the kernel's Xid lines.

Sources: the nvidia-smi manual, https://docs.nvidia.com/deploy/nvidia-smi/; NVIDIA's catalogue of Xid errors,
https://docs.nvidia.com/deploy/xid-errors/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

QUERY = ["nvidia-smi", "-q", "-x"]
# Xid errors after which a GPU is of no use until it is reset, or the host rebooted. Others end a program, or nothing.
GRAVE_XIDS = {
    48: "double-bit ECC error",
    64: "row remapping failed",
    74: "NVLink error",
    79: "fell off the bus",
    95: "uncontained ECC error",
    119: "GSP does not answer",
    120: "GSP error",
    140: "unrecovered ECC error",
}
# A container's id in its process' cgroup, as systemd and cgroupfs write it.
_CONTAINER = re.compile(r"(?:docker[-/])([0-9a-f]{64})")
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d+),? *(.*)")


def unknown() -> dict[str, Any]:
    """Return a GPU's health where nothing is known of it.

    ``{"ecc_enabled": bool, "ecc_uncorrected": int (since the driver was loaded), "remap_pending": bool,
    "remap_failed": bool, "recovery_action": str, "brand": str, "fabric_state": str, "fabric_status": str,
    "memory_used_mib": int, "processes": [{"pid", "name", "memory_mib", "container"}],
    "xids": [{"code", "message"}]}``, each but the lists ``None`` where the GPU has no such thing or the driver does not
    tell.
    """
    return {
        "ecc_enabled": None,
        "ecc_uncorrected": None,
        "remap_pending": None,
        "remap_failed": None,
        "recovery_action": None,
        "brand": None,
        "fabric_state": None,
        "fabric_status": None,
        "memory_used_mib": None,
        "processes": [],
        "xids": [],
    }


def parse(text: str) -> dict[str, dict[str, Any]]:
    """Return the health of each GPU by its UUID, as unknown() describes it; nothing of what is no such XML."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return {}
    found = {}
    for gpu in root.iter("gpu"):
        uuid = _text(gpu, "uuid")
        if uuid:
            found[uuid] = _health(gpu)
    return found


def _health(gpu: ElementTree.Element) -> dict[str, Any]:
    volatile = gpu.find("ecc_errors/volatile")
    counts = [
        int(item.text or "")
        for item in (volatile.iter() if volatile is not None else ())
        if "uncorrectable" in item.tag and (item.text or "").strip().isdigit()
    ]
    recovery = _text(gpu, "gpu_recovery_action")
    return {
        **unknown(),
        "ecc_enabled": _flag(gpu, "ecc_mode/current_ecc", "Enabled", "Disabled"),
        "ecc_uncorrected": sum(counts) if counts else None,
        # Rows since Ampere, pages before.
        "remap_pending": _first(
            _flag(gpu, "remapped_rows/remapped_row_pending", "Yes", "No"),
            _flag(gpu, "retired_pages/pending_retirement", "Yes", "No"),
            _flag(gpu, "retired_pages/pending_blacklist", "Yes", "No"),
        ),
        "remap_failed": _flag(gpu, "remapped_rows/remapped_row_failure", "Yes", "No"),
        "recovery_action": recovery,
        "brand": _text(gpu, "product_brand"),
        "fabric_state": _text(gpu, "fabric/state"),
        "fabric_status": _text(gpu, "fabric/status"),
        "memory_used_mib": _mib(gpu, "fb_memory_usage/used"),
        "processes": [
            {
                "pid": int(_text(item, "pid") or 0),
                "name": _text(item, "process_name") or "unknown",
                "memory_mib": _mib(item, "used_memory"),
                "container": None,
            }
            for item in gpu.findall("processes/process_info")
            # Graphics alone, as of a screen's server, holds next to nothing.
            if (_text(item, "type") or "C") != "G"
        ],
    }


def xids(log: str) -> dict[str, list[dict[str, Any]]]:
    """Return the Xid errors of a kernel's log, by the GPU's place on the bus, each code once with its first message.

    >>> xids("NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.")
    {'0000:3b:00': [{'code': 79, 'message': 'pid=1, GPU has fallen off the bus.'}]}
    """
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for place, code, message in _XID.findall(log):
        found.setdefault(bus_address(place), {}).setdefault(int(code), {"code": int(code), "message": message.strip()})
    return {place: list(codes.values()) for place, codes in found.items()}


def bus_address(place: str) -> str:
    """Return a place on the PCI bus as the kernel writes it, without the function.

    >>> bus_address("00000000:3B:00.0")
    '0000:3b:00'
    """
    domain, bus, device = place.lower().split(":")[:3]
    return f"{domain[-4:]}:{bus}:{device.partition('.')[0]}"


def kernel_log(path: str = "/dev/kmsg") -> str:
    """Return what the kernel's ring buffer has since the boot; nothing where this user may not read it."""
    lines = []
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        # A read gives one record, and BlockingIOError after the last; one that was overwritten meanwhile is skipped.
        for _turn in range(100_000):
            try:
                record = os.read(descriptor, 8192)
            except BrokenPipeError:
                continue
            except OSError:
                break
            if not record:
                break
            lines.append(record.decode("utf-8", "replace").partition(";")[2])
    finally:
        os.close(descriptor)
    return "\n".join(lines)


def container_of(pid: int, proc: Path = Path("/proc")) -> str | None:
    """Return the id of the Docker container that a process is in; None for one of the host, or one that has ended."""
    try:
        match = _CONTAINER.search((proc / str(pid) / "cgroup").read_text(encoding="utf-8"))
    except OSError:
        return None
    return match.group(1) if match else None


def with_health(
    gpus: Iterable[Mapping[str, Any]], health: Mapping[str, Mapping[str, Any]], log: str
) -> list[dict[str, Any]]:
    """Return GPUs with their health, their Xid errors, and the containers of their processes."""
    by_place = xids(log)
    listed = []
    for gpu in gpus:
        own = {**unknown(), **health.get(gpu["uuid"], {})}
        own["processes"] = [{**item, "container": container_of(item["pid"])} for item in own["processes"]]
        place = gpu.get("pci_bus_id")
        own["xids"] = by_place.get(bus_address(place), []) if place else []
        listed.append({**gpu, **own})
    return listed


def troubles(gpu: Mapping[str, Any]) -> list[str]:
    """Return what makes a GPU of no use until it is reset, or replaced, in words."""
    found = []
    action = gpu["recovery_action"]
    if action and action != "None":
        found.append(f"the driver wants: {action.lower()}")
    if gpu["ecc_uncorrected"]:
        found.append(f"{gpu['ecc_uncorrected']} uncorrected ECC errors")
    if gpu["remap_failed"]:
        found.append("no spare rows left to remap")
    elif gpu["remap_pending"]:
        found.append("a remapping of memory waits for a reset")
    # A driver that tells of recovery knows what became of an older Xid.
    if not action:
        found += [f"Xid {xid['code']} ({GRAVE_XIDS[xid['code']]})" for xid in gpu["xids"] if xid["code"] in GRAVE_XIDS]
    return found


def _text(parent: ElementTree.Element, path: str) -> str | None:
    text = (parent.findtext(path) or "").strip()
    return None if text in ("", "N/A", "[N/A]", "Not Supported", "[Not Supported]") else text


def _flag(parent: ElementTree.Element, path: str, yes: str, no: str) -> bool | None:
    return {yes: True, no: False}.get(_text(parent, path) or "")


def _first(*values: bool | None) -> bool | None:
    known = [value for value in values if value is not None]
    return any(known) if known else None


def _mib(parent: ElementTree.Element, path: str) -> int | None:
    match = re.match(r"(\d+) MiB", _text(parent, path) or "")
    return int(match.group(1)) if match else None
