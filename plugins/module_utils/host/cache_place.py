# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where on a host a cache of weights is."""

from __future__ import annotations

import os
import re
from pathlib import Path

AUTO = "auto"
DEFAULT_CACHE = "~/.cache/huggingface"
MOUNTS = Path("/proc/mounts")
# Where persistent file systems are mounted, the likelier first.
_PERSISTENT = (r"/lambda/nfs/[^/]+", r"/home/[^/]+/[^/]+", r"/data(/[^/]+)?")
_TRANSIENT = ("tmpfs", "ramfs", "overlay", "squashfs", "autofs", "fuse.gvfsd-fuse", "fuse.portal")


def expand_home(path: str) -> str:
    """Expand a leading ~ to the home of the user that logged in, who under sudo is not root."""
    user = os.environ.get("SUDO_USER")
    if user and os.geteuid() == 0 and (path == "~" or path.startswith("~/")):
        path = f"~{user}{path[1:]}"
    return os.path.expanduser(path)


def cache_place(path: str) -> str:
    """Return where a cache of weights is: V(auto) is on the host's first persistent file system, else in the home."""
    if path != AUTO:
        return expand_home(path)
    found = persistent(MOUNTS.read_text(encoding="utf-8", errors="replace"))
    return f"{found}/huggingface" if found else expand_home(DEFAULT_CACHE)


def persistent(mounts: str) -> str | None:
    """Return where the first file system that outlives the host is mounted, from the lines of /proc/mounts.

    Lambda's are mounted under /lambda/nfs, in a home, or under /data.

    >>> persistent("/dev/vda1 / ext4 rw 0 0\\nfs /lambda/nfs/models virtiofs rw,relatime 0 0\\n")
    '/lambda/nfs/models'
    """
    fields = [line.split() for line in mounts.splitlines()]
    # The kernel writes a space as its octal number.
    points = [
        re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
        for _device, point, kind, options, *_rest in fields
        if kind not in _TRANSIENT and "rw" in options.split(",")
    ]
    ranked = sorted(
        (rank, point) for point in points for rank, place in enumerate(_PERSISTENT) if re.fullmatch(place, point)
    )
    return ranked[0][1] if ranked else None
