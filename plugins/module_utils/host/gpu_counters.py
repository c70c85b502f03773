# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a GPU's driver has counted since it was loaded: the time that clocks were held down, by reason, and energy.

Samples tell of the moments in which they were taken. These counters miss nothing in between.
"""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import suppress

from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand, search_path

QUERY = ["nvidia-smi", "-q", "-x"]
# The driver's word for a reason, and ours, which is that of the samples. As H200, driver 580, prints it.
_REASONS = {
    "sw_power_cap": "sw_power_cap",
    "sw_therm_slowdown": "sw_thermal_slowdown",
    "hw_therm_slowdown": "hw_thermal_slowdown",
    "hw_power_brake": "hw_power_brake_slowdown",
}
_COUNTERS = "clocks_event_reasons_counters"
_MICROSECONDS = 1e-6

NVML = "libnvidia-ml.so.1"
# nvidia-smi prints no energy. A process of its own asks NVML for it: a library that hangs hangs nothing else, and the
# process ends when nobody reads it any more. It prints a line for each GPU, its UUID and its energy in mJ.
PROGRAM = """
import ctypes, sys, time
nvml, interval = ctypes.CDLL(sys.argv[1]), float(sys.argv[2])
if nvml.nvmlInit_v2() != 0:
    sys.exit(1)
count = ctypes.c_uint(0)
nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
gpus = []
for index in range(count.value):
    gpu, uuid = ctypes.c_void_p(), ctypes.create_string_buffer(96)
    if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(gpu)) == 0:
        if nvml.nvmlDeviceGetUUID(gpu, uuid, ctypes.c_uint(len(uuid))) == 0:
            gpus.append((gpu, uuid.value.decode()))
while gpus:
    for gpu, uuid in gpus:
        energy = ctypes.c_ulonglong(0)
        if nvml.nvmlDeviceGetTotalEnergyConsumption(gpu, ctypes.byref(energy)) == 0:
            print(uuid, energy.value, flush=True)
    time.sleep(interval)
"""


def throttled(run_command: RunCommand) -> dict[str, dict[str, float]]:
    """Return the seconds, since the driver was loaded, by UUID and reason; nothing where the driver does not count."""
    with suppress(OSError):
        return parse(run_command(QUERY)[1])
    return {}


def parse(output: str) -> dict[str, dict[str, float]]:
    """Read :data:`QUERY`'s output. A GPU that does not tell is left out."""
    try:
        log = ET.fromstring(output)
    except ET.ParseError:
        return {}
    found: dict[str, dict[str, float]] = {}
    for gpu in log.iter("gpu"):
        seconds = {}
        for theirs, ours in _REASONS.items():
            text = gpu.findtext(f"{_COUNTERS}/{_COUNTERS}_{theirs}") or ""
            number, _space, unit = text.strip().partition(" ")
            if number.isdigit() and unit == "us":
                seconds[ours] = int(number) * _MICROSECONDS
        uuid = (gpu.findtext("uuid") or "").strip()
        if seconds and uuid:
            found[uuid] = seconds
    return found


def between(before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the seconds from one look to another, by UUID and reason; a driver that was loaded anew tells nothing."""
    found = {}
    for uuid, now in after.items():
        then = before.get(uuid, {})
        seconds = {reason: round(now[reason] - then[reason], 3) for reason in now.keys() & then.keys()}
        if seconds and min(seconds.values()) >= 0:
            found[uuid] = dict(sorted(seconds.items()))
    return found


def energy_query(interval: float, library: str = NVML) -> list[str]:
    """Return the command that prints a line for each GPU every *interval* seconds."""
    return [sys.executable, "-I", "-c", PROGRAM, library, str(interval)]


def energy(interval: float, library: str = NVML) -> subprocess.Popen[str] | None:
    """Start a process that prints a line for each GPU every *interval* seconds; None on a host without nvidia-smi."""
    if shutil.which("nvidia-smi", path=search_path()) is None:
        return None
    return subprocess.Popen(
        energy_query(interval, library),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
    )


def parse_energy(line: str) -> tuple[str, float] | None:
    """Return the UUID and the joules of a line; None for a line that is none.

    >>> parse_energy("GPU-1 120500")
    ('GPU-1', 120.5)
    """
    uuid, _space, text = line.strip().partition(" ")
    return (uuid, int(text) / 1000) if uuid and text.isdigit() else None
