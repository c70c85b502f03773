# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPUs of a host, as nvidia-smi tells them."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.host.command import NOT_FOUND, RunCommand, search_path

# nvidia-smi's name of a field, ours, and how to read it. Source: nvidia-smi --help-query-gpu.
_FIELDS: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("index", "index", int),
    ("name", "name", str),
    ("uuid", "uuid", str),
    ("memory.total", "memory_mib", lambda text: int(float(text))),
    ("driver_version", "driver_version", str),
    ("pci.bus_id", "pci_bus_id", str),
    ("power.limit", "power_limit_w", float),
    ("clocks.max.sm", "clock_max_sm_mhz", int),
    ("persistence_mode", "persistence_mode", lambda text: text == "Enabled"),
    ("mig.mode.current", "mig_mode", str),
)
QUERY = [
    "nvidia-smi",
    "--query-gpu=" + ",".join(theirs for theirs, ours, read in _FIELDS),
    "--format=csv,noheader,nounits",
]
VERSION = ["nvidia-smi", "--version"]
LIST = ["nvidia-smi", "-L"]

# What nvidia-smi prints where a GPU has no such thing. Other words in brackets tell of trouble.
_ABSENT = ("", "N/A", "[N/A]", "[Not Supported]", "Not Supported")
_IN_BRACKETS = re.compile(r"\[[^]]*\]")
# What it says of GPUs that go on working, and the code that it then ends with. Source: nvidia-smi's manual.
_WARNING = re.compile(r"(?i)warning: *(.+)")
_INFOROM = 14
# Its list of GPUs: those that MIG divides are followed by their parts.
_GPU_LINE = re.compile(r"GPU \d+: .*\(UUID: (GPU-[^)]+)\)")
_MIG_LINE = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)")

# What Docker looks for on its PATH at its start, and then takes --gpus; and what else tells of the toolkit.
_HOOK = "nvidia-container-runtime-hook"
_TOOLKIT_PROGRAMS = (_HOOK, "nvidia-container-toolkit", "nvidia-container-runtime", "nvidia-ctk")


@dataclass(frozen=True)
class Gpus:
    """The GPUs found, and what nvidia-smi complained of, where it did. Both can be there: some GPUs may be well.

    C(warnings) are of GPUs that go on working.
    """

    gpus: list[dict[str, Any]] = field(default_factory=list)
    installed: bool = True
    error: str | None = None
    warnings: tuple[str, ...] = ()


def parse_query(output: str) -> list[dict[str, Any]]:
    """Return the GPUs of nvidia-smi's CSV output; a value that a GPU does not have is ``None``.

    Raises :class:`ValueError` where a line is no GPU, or a GPU gives no index, name or UUID.
    """
    return [_parse_row(row) for row in _rows(output)]


def query(run_command: RunCommand) -> Gpus:
    """Ask nvidia-smi; a host without it has no GPUs and no error."""
    try:
        code, output, error = run_command(QUERY)
    except OSError:
        return Gpus(installed=False)
    if code == NOT_FOUND or (code != 0 and re.search(r"No such file|not found", error) and not output):
        return Gpus(installed=False)
    gpus, complaints = [], []
    output, warnings = _without_warnings(output)
    for row in _rows(output):
        try:
            gpus.append(_parse_row(row))
        except ValueError:
            complaints.append(", ".join(row))
        else:
            complaints.extend(_troubles(row))
    if code != 0 and not complaints and not (code == _INFOROM and gpus):
        complaints.append(" ".join(error.split()) or f"nvidia-smi ended with exit code {code}")
    divided = any(gpu["mig_mode"] == "Enabled" for gpu in gpus)
    parts = parse_mig(run_command(LIST)[1]) if divided else {}
    gpus = [{**gpu, "mig_devices": parts.get(gpu["uuid"], [])} for gpu in gpus]
    return Gpus(gpus=gpus, error="; ".join(complaints) or None, warnings=warnings)


def parse_mig(output: str) -> dict[str, list[dict[str, str]]]:
    """Return what MIG made of each GPU, by its UUID, from nvidia-smi's list: C({"uuid", "slice"}), such as 1g.10gb."""
    found: dict[str, list[dict[str, str]]] = {}
    parts: list[dict[str, str]] = []
    for line in output.splitlines():
        gpu, part = _GPU_LINE.match(line), _MIG_LINE.match(line)
        if gpu:
            parts = found.setdefault(gpu.group(1), [])
        elif part:
            parts.append({"uuid": part.group(2), "slice": part.group(1)})
    return found


def cuda_version(run_command: RunCommand) -> str | None:
    """Return the newest CUDA version that the driver supports, such as ``12.8``; drivers before R535 do not tell."""
    return parse_cuda_version(run_command(VERSION)[1])


def parse_cuda_version(output: str) -> str | None:
    """Read the CUDA version from ``nvidia-smi --version``, or from the head of its table."""
    match = re.search(r"CUDA (?:UMD )?Version\s*:\s*([0-9]+\.[0-9]+)", output)
    return match.group(1) if match else None


def driver_version(gpus: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the driver's version; a host has one driver."""
    return next((gpu["driver_version"] for gpu in gpus if gpu.get("driver_version")), None)


def container_toolkit(runtimes: Iterable[str]) -> dict[str, bool]:
    """Return whether the NVIDIA container toolkit is there, whether Docker has its runtime, and whether its hook is.

    The runtime is not needed for ``--gpus`` where the hook is: for that Docker looks for the hook on its PATH.
    """
    found = {program for program in _TOOLKIT_PROGRAMS if shutil.which(program, path=search_path())}
    return {"installed": bool(found), "configured": "nvidia" in runtimes, "hook": _HOOK in found}


def installed(program: str) -> bool:
    """Tell whether a program is on the host's PATH."""
    return shutil.which(program, path=search_path()) is not None


def _without_warnings(output: str) -> tuple[str, tuple[str, ...]]:
    """Return an answer without the warnings that follow it, and those."""
    lines = [(line, _WARNING.match(line.strip())) for line in output.splitlines()]
    return "\n".join(line for line, told in lines if not told), tuple(told.group(1) for _line, told in lines if told)


def _rows(output: str) -> list[list[str]]:
    return [[text.strip() for text in row] for row in csv.reader(output.splitlines(), skipinitialspace=True) if row]


def _parse_row(row: list[str]) -> dict[str, Any]:
    if len(row) != len(_FIELDS):
        raise ValueError(f"nvidia-smi printed a line that is no GPU: {', '.join(row)}")
    gpu: dict[str, Any] = {}
    for (_theirs, ours, read), text in zip(_FIELDS, row, strict=True):
        gpu[ours] = None if text in _ABSENT or _IN_BRACKETS.fullmatch(text) else read(text)
    if None in (gpu["index"], gpu["name"], gpu["uuid"]):
        raise ValueError(f"nvidia-smi printed a GPU without index, name or UUID: {', '.join(row)}")
    return gpu


def _troubles(row: list[str]) -> list[str]:
    """Return what a GPU's line says of trouble, such as "[GPU is lost]"."""
    said = sorted({text.strip("[]") for text in row if text not in _ABSENT and _IN_BRACKETS.fullmatch(text)})
    return [f"GPU {row[0]}: {text}" for text in said]
