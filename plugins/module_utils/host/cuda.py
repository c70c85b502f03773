# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether CUDA starts: what cuInit() says, which nvidia-smi does not know.

Source: the result codes of the CUDA driver API, https://docs.nvidia.com/cuda/cuda-driver-api/.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.host.command import TIMED_OUT, RunCommand

LIBRARY = "libcuda.so.1"
# A process of its own: cuInit() can hang, or bring its process down.
PROGRAM = """
import ctypes, json, sys
try:
    cuda = ctypes.CDLL(sys.argv[1])
except OSError as error:
    print(json.dumps({"library": str(error)}))
else:
    code, devices = cuda.cuInit(0), ctypes.c_int(0)
    if code == 0:
        code = cuda.cuDeviceGetCount(ctypes.byref(devices))
    print(json.dumps({"code": code, "devices": devices.value}))
"""
# Result codes: NVIDIA's name, what it means, what to do.
MEANINGS = {
    3: ("NOT_INITIALIZED", "the driver is not initialised", "Look at dmesg for NVRM lines, and reboot."),
    34: ("STUB_LIBRARY", "libcuda is a stub to link with", "Have the driver's own libcuda.so.1 come first."),
    46: ("DEVICE_UNAVAILABLE", "a GPU is held by another process", "Set its compute mode: nvidia-smi -c DEFAULT."),
    100: ("NO_DEVICE", "CUDA sees no GPU", "See that /dev/nvidia* exist and CUDA_VISIBLE_DEVICES is not set."),
    101: ("INVALID_DEVICE", "a GPU is in no state to be used", "Look at dmesg for Xid lines, and reboot."),
    802: (
        "SYSTEM_NOT_READY",
        "the system is not yet initialised: GPUs have not joined their fabric",
        "Start the fabric manager, of the driver's own version: systemctl restart nvidia-fabricmanager. On a virtual "
        "machine, have its provider look at the host's.",
    ),
    803: (
        "SYSTEM_DRIVER_MISMATCH",
        "libcuda and the kernel's driver are of different versions",
        "Reboot, or have one driver installed only.",
    ),
    804: (
        "COMPAT_NOT_SUPPORTED_ON_DEVICE",
        "a compatibility libcuda came first, which this GPU does not support",
        "Upgrade the driver, or choose an older image.",
    ),
    999: ("UNKNOWN", "the driver does not know why", "Look at dmesg for NVRM lines, load nvidia_uvm, or reboot."),
}


def argv(python: str = sys.executable) -> list[str]:
    """Return the command that starts CUDA and prints what read() reads."""
    return [python, "-I", "-c", PROGRAM, LIBRARY]


def start(run_command: RunCommand) -> dict[str, Any]:
    """Start CUDA and return what came of it, as read() does."""
    return read(*run_command(argv()))


def read(code: int, output: str, error: str) -> dict[str, Any]:
    """Return ``{"code", "name", "devices", "error", "remedy"}`` from the end of the command argv() and what it printed.

    ``code`` is cuInit()'s, ``None`` where it gave none; ``name``, ``error`` and ``remedy`` are ``None`` where CUDA
    started.
    """
    try:
        said = json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError):
        said = {}
    if "library" in said:
        return _result(None, None, f"{LIBRARY} cannot be loaded: {said['library']}", "Install the driver's libcuda.")
    if "code" not in said:
        why = f"it ended with exit code {code}" + (f": {' '.join(error.split())[:200]}" if error.strip() else "")
        if code == TIMED_OUT:
            why = "it did not come back, and was ended"
        return _result(None, None, why, "Look at dmesg for NVRM and Xid lines, and reboot.")
    if said["code"] == 0:
        return _result(0, None, None, None, said["devices"])
    name, meaning, remedy = MEANINGS.get(
        said["code"], ("", "see cudaError_enum in CUDA's documentation", "Look at dmesg for NVRM and Xid lines.")
    )
    return _result(said["code"], f"CUDA_ERROR_{name}" if name else None, meaning, remedy)


def failed(error: str, remedy: str) -> dict[str, Any]:
    """Return what read() does for a CUDA that could not even be asked."""
    return _result(None, None, error, remedy)


def _result(
    code: int | None, name: str | None, error: str | None, remedy: str | None, devices: int | None = None
) -> dict[str, Any]:
    return {"code": code, "name": name, "devices": devices, "error": error, "remedy": remedy}


def describe(result: dict[str, Any]) -> str:
    """Return what came of it in words.

    >>> describe(read(0, '{"code": 0, "devices": 8}', ""))
    'it starts, with 8 GPUs'
    """
    if result["code"] == 0:
        return f"it starts, with {result['devices']} GPUs"
    if result["code"] is None:
        return str(result["error"])
    return f"error {result['code']}{' ' + result['name'] if result['name'] else ''}: {result['error']}"
