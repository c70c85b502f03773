# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host beside its GPUs: how fast its disk reads, and at what clock its CPUs run."""

from __future__ import annotations

import errno
import mmap
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.host.system import cache_place, existing

_BLOCK = 8 * 2**20
_MHZ = re.compile(r"^cpu MHz\s*:\s*([\d.]+)", re.MULTILINE)


def disk_read(path: str, mib: int, seconds: float, wanted: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Write a file of so many MiB to the file system of *path* and read it, past the cache of the kernel.

    It has no name, so nothing is left of it however this ends. Reading ends after *seconds*; *wanted* is asked between
    blocks, and may raise. Where it cannot be done C(disk_error) says why.
    """
    place = existing(Path(cache_place(path)))
    place = place if place.is_dir() else place.parent
    found: dict[str, Any] = {"disk_path": str(path)}
    try:
        free = os.statvfs(place)
        size = min(mib * 2**20, free.f_bavail * free.f_frsize // 4) // _BLOCK * _BLOCK
        if size < _BLOCK:
            return {**found, "disk_error": f"{place} is full: no room for a file to read"}
        descriptor = _nameless(place)
    except OSError as error:
        return {**found, "disk_error": f"{place}: {error.strerror}"}
    buffer = mmap.mmap(-1, _BLOCK)
    try:
        buffer.write(os.urandom(_BLOCK))
        for _block in range(size // _BLOCK):
            wanted()
            os.write(descriptor, buffer)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, size, os.POSIX_FADV_DONTNEED)
        os.lseek(descriptor, 0, os.SEEK_SET)
        begun, read = time.perf_counter(), 0
        while read < size and time.perf_counter() - begun < seconds:
            wanted()
            read += os.readv(descriptor, [buffer])
        took = time.perf_counter() - begun
        return {**found, "disk_read_mb_s": read / took / 1e6, "disk_read_mib": read // 2**20}
    except OSError as error:
        return {**found, "disk_error": f"{place}: {error.strerror}"}
    finally:
        os.close(descriptor)
        buffer.close()


def _nameless(place: Path) -> int:
    """Open a file without a name, past the kernel's cache where the file system can."""
    for direct in (os.O_DIRECT, 0):
        try:
            return os.open(place, os.O_TMPFILE | os.O_RDWR | direct, 0o600)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
                raise
    # NFS has no O_TMPFILE.
    path = place / f".inference.fleet-{os.getpid()}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    path.unlink()
    return descriptor


def cpu_mhz(text: str) -> list[float]:
    """Return the clock of each CPU in MHz, of /proc/cpuinfo; nothing where it does not tell, as on ARM.

    >>> cpu_mhz("cpu MHz\\t\\t: 2000.000\\ncpu MHz\\t\\t: 3500.5\\n")
    [2000.0, 3500.5]
    """
    return [float(value) for value in _MHZ.findall(text)]


def numa_nodes(place: Path = Path("/sys/devices/system/node")) -> int:
    """Return how many NUMA nodes the host has."""
    return len(list(place.glob("node[0-9]*")))
