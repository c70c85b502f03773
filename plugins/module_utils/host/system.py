# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's operating system, processor, memory and disks, from /proc, /etc and the kernel."""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.host.cache_place import cache_place
from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand

_GIB = 2**30


def system() -> dict[str, Any]:
    """Return what a host is, before any GPU or container: the keys of RV(host) that need no other program."""
    return {
        "hostname": socket.gethostname(),
        "os": parse_os_release(_read("/etc/os-release") or _read("/usr/lib/os-release")),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "python_executable": sys.executable,
        "python_from_system": python_from_system(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "cpu_model": parse_cpu_model(_read("/proc/cpuinfo")),
        "memory_mib": parse_memory_mib(_read("/proc/meminfo")),
        "shm_mib": _shm_mib(),
        "listeners": listeners(),
        "init": "systemd" if os.path.isdir("/run/systemd/system") else "other",
        "privileged": os.geteuid() == 0,
    }


def python_from_system() -> bool:
    """Tell whether this Python is the distribution's: only that one sees the distribution's Python packages."""
    return sys.prefix == sys.base_prefix == "/usr"


def parse_os_release(text: str) -> dict[str, str | None]:
    """Return id, version and name from os-release's lines; a rolling release has no version.

    >>> parse_os_release('ID=debian\\nVERSION_ID="12"\\n')
    {'id': 'debian', 'version_id': '12', 'pretty_name': None}
    """
    values = dict(re.findall(r"^([A-Z_]+)=(.*)$", text, flags=re.MULTILINE))
    return {
        name.lower(): values[name].strip().strip("\"'") if name in values else None
        for name in ("ID", "VERSION_ID", "PRETTY_NAME")
    }


def parse_cpu_model(text: str) -> str | None:
    """Return the processor's name from /proc/cpuinfo; ARM's has none."""
    match = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return match.group(1).strip() if match else None


def parse_memory_mib(text: str) -> int | None:
    """Return the memory of /proc/meminfo in MiB."""
    match = re.search(r"^MemTotal:\s*([0-9]+) kB", text, flags=re.MULTILINE)
    return int(match.group(1)) // 1024 if match else None


def listeners() -> list[dict[str, Any]]:
    """Return where somebody listens on TCP: ``[{"address", "port"}]``."""
    return parse_listeners(_read("/proc/net/tcp") + _read("/proc/net/tcp6"))


def parse_listeners(text: str) -> list[dict[str, Any]]:
    """Return the addresses and ports that somebody listens on, from /proc/net/tcp and tcp6, by port.

    >>> parse_listeners("   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1")
    [{'address': '127.0.0.1', 'port': 8000}]
    """
    found = re.findall(r"^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A ", text, flags=re.MULTILINE)
    pairs = sorted({(int(port, 16), _address(address)) for address, port in found})
    return [{"address": address, "port": port} for port, address in pairs]


def _address(text: str) -> str:
    """Read an address of /proc/net/tcp: words of 32 bits, each in the machine's own order."""
    words = [int(text[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def clock_synchronized(run_command: RunCommand) -> bool | None:
    """Return whether the clock follows a time server; None where no systemd can say."""
    code, output, _error = run_command(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    return {"yes": True, "no": False}.get(output.strip()) if code == 0 else None


def _shm_mib() -> int | None:
    try:
        return shutil.disk_usage("/dev/shm").total // 2**20
    except OSError:
        return None


def disks(paths: Iterable[str]) -> list[dict[str, Any]]:
    """Return free and total GiB where each path is, or will be: ``[{"path", "free_gib", "total_gib"}]``.

    A path that cannot be looked at has ``None`` for both.
    """
    found = []
    for path in dict.fromkeys(paths):
        try:
            usage = shutil.disk_usage(existing(Path(cache_place(path))))
        except OSError:
            found.append({"path": path, "free_gib": None, "total_gib": None})
        else:
            found.append(
                {"path": path, "free_gib": round(usage.free / _GIB, 1), "total_gib": round(usage.total / _GIB, 1)}
            )
    return found


def existing(path: Path) -> Path:
    """Return a path, or the nearest directory above it that exists."""
    return next(item for item in (path.absolute(), *path.absolute().parents) if item.exists())


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
