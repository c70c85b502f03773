# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a boot, Docker starts engines: not before the file systems are mounted that they mount.

An engine that comes first sees the empty directory below the mount point, and goes on seeing it. So Docker's unit gets
a drop-in that orders it after those mounts. It wants them and does not require them: where one fails, the host's other
containers start all the same; the engine does not where its directory is in the file system, and so is not there
without it. systemd reads the file when it boots; it is not asked to reload now, since that can take running containers
their GPUs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import DOCKER_HOST

STEP = "have Docker start after the file systems that the engine mounts"
UNITS = Path("/etc/systemd/system")
MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")
_PLAIN = re.compile(r"[A-Za-z0-9:_]")


def drop_in(paths: Iterable[str], mountinfo: str) -> str:
    """Return the drop-in of Docker's unit for containers with these directories of the host; nothing where none is on a
    file system of its own. *mountinfo* is the kernel's list. Pure.
    """
    points = {_OCTAL.sub(lambda found: chr(int(found[1], 8)), line.split()[4]) for line in mountinfo.splitlines()}
    above = (max((point for point in points if _is_in(path, point)), key=len, default="/") for path in paths)
    units = sorted({unit(point) for point in above if point != "/"})
    if not units:
        return ""
    return "# inference.fleet: an engine mounts directories of these file systems.\n[Unit]\n" + "".join(
        f"Wants={name}\nAfter={name}\n" for name in units
    )


def _is_in(path: str, point: str) -> bool:
    return path == point or path.startswith(f"{point.rstrip('/')}/")


def unit(point: str) -> str:
    r"""Return the name of a mount point's unit, as systemd-escape --path does.

    >>> unit("/lambda/nfs/my-data")
    'lambda-nfs-my\\x2ddata.mount'
    """
    escaped = []
    for place, letter in enumerate(point.strip("/")):
        if letter == "/":
            escaped.append("-")
        elif _PLAIN.match(letter) or (letter == "." and place):
            escaped.append(letter)
        else:
            escaped += [f"\\x{byte:02x}" for byte in letter.encode()]
    return f"{''.join(escaped)}.mount"


class DropIn:
    """The drop-in of one slot of this host."""

    def __init__(self, slot: str, container: ContainerSpec, docker_host: str, wanted: bool) -> None:
        self._path = UNITS / "docker.service.d" / f"inference.fleet-{slot}.conf"
        # Of another daemon's unit nothing is known.
        self._known = docker_host == DOCKER_HOST and UNITS.is_dir()
        sources = [os.path.realpath(mount.source) for mount in container.mounts]
        self._text = drop_in(sources, MOUNTS.read_text(encoding="utf-8")) if wanted and self._known else ""

    @property
    def differs(self) -> bool:
        """Whether the host has another, or one too many."""
        return self._known and self._found() != self._text

    def _found(self) -> str:
        return self._path.read_text(encoding="utf-8") if self._path.is_file() else ""

    def put(self) -> list[str]:
        """Write it, or remove it where it is not wanted; return a warning where that could not be."""
        temporary = self._path.with_suffix(".new")
        try:
            if self._text:
                self._path.parent.mkdir(exist_ok=True)
                temporary.write_text(self._text, encoding="utf-8")
                temporary.replace(self._path)
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            return [
                f"{self._path} could not be written: {error.strerror}. After a boot, Docker may start the engine "
                "before the file systems that it mounts. Set start_after_mounts to false, if you see to it yourself."
            ]
        return []
