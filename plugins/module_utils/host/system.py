# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's operating system, processor, memory and disks, from /proc, /etc and the kernel."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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


def expand_home(path: str) -> str:
    """Expand a leading ~ to the home of the user that logged in, who under sudo is not root."""
    user = os.environ.get("SUDO_USER")
    if user and os.geteuid() == 0 and (path == "~" or path.startswith("~/")):
        path = f"~{user}{path[1:]}"
    return os.path.expanduser(path)


def disks(paths: Iterable[str]) -> list[dict[str, Any]]:
    """Return free and total GiB where each path is, or will be: ``[{"path", "free_gib", "total_gib"}]``.

    A path that cannot be looked at has ``None`` for both.
    """
    found = []
    for path in dict.fromkeys(paths):
        try:
            usage = shutil.disk_usage(_existing(Path(expand_home(path))))
        except OSError:
            found.append({"path": path, "free_gib": None, "total_gib": None})
        else:
            found.append(
                {"path": path, "free_gib": round(usage.free / _GIB, 1), "total_gib": round(usage.total / _GIB, 1)}
            )
    return found


def _existing(path: Path) -> Path:
    return next(item for item in (path.absolute(), *path.absolute().parents) if item.exists())


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
