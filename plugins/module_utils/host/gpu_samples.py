# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What GPUs do at a moment: nvidia-smi's figures, again and again. What they have counted: :mod:`.gpu_counters`."""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import csv
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand, search_path

# nvidia-smi's name of a figure, and ours, with its unit. Source: nvidia-smi --help-query-gpu.
# power.draw is the average of the last second on all data centre GPUs since Ampere.
FIGURES = {
    "utilization.gpu": "utilization_percent",
    "memory.used": "memory_used_mib",
    "power.draw": "power_w",
    "clocks.sm": "clock_sm_mhz",
    "temperature.gpu": "temperature_c",
}
# Why clocks are lower than they could be, by the bits of NVML's nvmlClocksEventReasons. An idle GPU, and clocks that
# somebody set, are no throttling.
THROTTLE_REASONS = {
    0x04: "sw_power_cap",
    0x08: "hw_slowdown",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
}
# The new name, and that of drivers before R535.
_REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")


@dataclass(frozen=True)
class Sample:
    """One GPU at one moment. C(figures) has the values of FIGURES that the GPU gives; C(throttled) its reasons."""

    index: str
    uuid: str
    figures: dict[str, float]
    throttled: frozenset[str]


def query(run_command: RunCommand, interval: float) -> list[str] | None:
    """Return the command that prints a line for each GPU every *interval* seconds; None where there is no nvidia-smi.

    It ends when its output is closed.
    """
    program = shutil.which("nvidia-smi", path=search_path())
    if program is None:
        return None
    reasons = next((name for name in _REASONS if run_command([program, f"--query-gpu={name}", *_FORM])[0] == 0), None)
    if reasons is None:
        return None
    figures = ",".join(("index", "uuid", *FIGURES, reasons))
    return [program, f"--query-gpu={figures}", *_FORM, f"--loop-ms={interval * 1000:.0f}"]


def start(run_command: RunCommand, interval: float) -> subprocess.Popen[str] | None:
    """Start that command; None where there is none. It ends whatever becomes of this process."""
    argv = query(run_command, interval)
    if argv is None:
        return None
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
    )


_FORM = ("--format=csv,noheader,nounits",)


def parse(line: str) -> Sample | None:
    """Return the sample of a line; None for a line that is none, such as a complaint of a GPU that was lost.

    >>> parse("0, GPU-1, 98, 71000, 650.5, 1755, 61, 0x0000000000000004").throttled
    frozenset({'sw_power_cap'})
    """
    row = [text.strip() for text in next(csv.reader([line]), [])]
    if len(row) != len(FIGURES) + 3:
        return None
    index, uuid, *values, reasons = row
    figures = {}
    for name, text in zip(FIGURES.values(), values, strict=True):
        # What a GPU does not tell is N/A, in several spellings.
        with suppress(ValueError):
            figures[name] = float(text)
    return Sample(index, uuid, figures, _throttled(reasons))


def _throttled(text: str) -> frozenset[str]:
    try:
        bits = int(text, 16)
    except ValueError:
        return frozenset()
    return frozenset(name for bit, name in THROTTLE_REASONS.items() if bits & bit)
