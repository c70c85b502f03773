# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's image: the host's own Python and the simulator's files, in one root file system.

Nothing is pulled. Paths in the image are those of the host, so that the interpreter finds its parts.
"""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import os
import pkgutil
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

if TYPE_CHECKING:
    # Ansible sends to a host what an import names. The files are only read there: to run them would take longer than
    # all that a look at an engine does.
    from ..endpoint import guard  # noqa: F401  (named, not run)
    from . import answers, asked, faults, latency, members, pace, schemas, script, server, shapes, web  # noqa: F401  (likewise)

HOME = "/opt/inference.fleet"
# Its own files, and the one of another package that it shares with the real engines: in the image as in the collection.
_FILES = {
    "simulator": (
        "answers.py",
        "asked.py",
        "faults.py",
        "latency.py",
        "members.py",
        "pace.py",
        "schemas.py",
        "script.py",
        "server.py",
        "shapes.py",
        "web.py",
    ),
    "endpoint": ("guard.py",),
}
_PACKAGES = __name__.rpartition(".")[0].rpartition(".")[0]
# The package that they are in there.
_IN_IMAGE = "inference_fleet"
# The users that every distribution has.
_PASSWD = b"""\
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
"""
# A first process has no default for signals: without this, a stop during the imports would wait ten seconds.
_MAIN = b"""\
import signal
import sys

signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(0))

from inference_fleet.simulator.server import main

main()
"""
# The distribution's Python first: its parts are all in one place, and it stays when a virtual environment goes.
_SYSTEM_PYTHON = "/usr/bin/python3"
_LEFT_OUT = re.compile(
    r"(^|/)(__pycache__|test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|unittest"
    r"|(site|dist)-packages|config-[^/]*)(/|$)|\.pyc$|\.a$"
)
_LIBRARY = re.compile(r"(?:=>\s*)?(/\S+)\s+\(0x")


@functools.lru_cache(maxsize=1)
def _interpreter() -> tuple[str, str, str]:
    """Return the real path of the Python that goes into the image, its standard library's, and its version."""
    candidates = [path for path in (_SYSTEM_PYTHON, sys.executable) if path and os.access(path, os.X_OK)]
    question = (
        "import asyncio, os, sys; assert sys.version_info >= (3, 10); "
        "print(os.path.realpath(sys.executable)); print(os.path.dirname(os.__file__)); print(sys.version)"
    )
    for path in candidates:
        if _is_this(path) and sys.version_info >= (3, 10) and importlib.util.find_spec("asyncio"):
            return os.path.realpath(path), os.path.dirname(os.__file__), sys.version.splitlines()[0]
        found = subprocess.run([path, "-I", "-c", question], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            executable, library, version = found.stdout.splitlines()[:3]
            return executable, library, version
    raise FleetError(
        "no Python 3.10 or newer with its standard library was found, which the simulator's image is made of. "
        f"Tried: {', '.join(candidates) or 'none'}. Install python3."
    )


def _is_this(path: str) -> bool:
    """Tell whether a path is the Python that runs this, which needs not be started to be asked."""
    return os.path.realpath(path) == os.path.realpath(sys.executable)


def sources() -> dict[str, bytes]:
    """Return the simulator's files by their place in the image.

    They are read from wherever this package was loaded, a zip included.
    """
    found = {"__main__.py": _MAIN}
    for package, names in _FILES.items():
        for name in names:
            content = pkgutil.get_data(f"{_PACKAGES}.{package}", name)
            if content is None:
                raise FleetError(f"the simulator's file {package}/{name} could not be read.")
            found[f"{_IN_IMAGE}/{package}/{name}"] = content
    return found


@functools.lru_cache(maxsize=1)
def tag() -> str:
    """Return a tag that changes with the simulator's files and the Python they run on."""
    state = hashlib.sha256("\n".join(_interpreter()).encode())
    for name, content in sorted(sources().items()):
        state.update(name.encode() + content)
    return state.hexdigest()[:12]


def entrypoint() -> list[str]:
    """Return the image's entry point: Python runs the __main__ of a folder."""
    return [_interpreter()[0], HOME]


def write_rootfs(stream: BinaryIO) -> None:
    """Write the root file system as a tar archive, the same bytes for the same content."""
    executable, library, _unused = _interpreter()
    files = {Path(executable), *_tree(Path(library))}
    files |= set(_libraries([Path(executable), *(path for path in files if path.suffix == ".so")]))
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        writer = _Writer(archive)
        for path in sorted(files):
            writer.host_file(path)
        for name, content in sorted(sources().items()):
            writer.text(f"{HOME}/{name}", content)
        writer.text("/etc/passwd", _PASSWD)
        writer.directory("/tmp", 0o1777)


def _tree(root: Path) -> Iterator[Path]:
    for directory, directories, names in os.walk(root):
        here = Path(directory).relative_to(root).as_posix()
        directories[:] = sorted(name for name in directories if not _LEFT_OUT.search(f"{here}/{name}"))
        for name in names:
            if not _LEFT_OUT.search(f"{here}/{name}"):
                yield Path(directory, name)


def _libraries(programs: Iterable[Path]) -> Iterator[Path]:
    """Return the shared libraries that programs load, the loader included."""
    found = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False)
    for line in found.stdout.splitlines():
        match = _LIBRARY.search(line)
        if match:
            yield Path(match.group(1))


class _Writer:
    """Adds members to an archive, each directory and link on the way once."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._made: set[str] = set()

    def host_file(self, path: Path) -> None:
        """Add a file of the host under its own path; links on the way stay links."""
        real = Path(os.path.realpath(path))
        place = Path("/")
        for part in path.parts[1:]:
            place /= part
            if place.is_symlink():
                self._link(place)
                if place != path:
                    # /lib/x is /usr/lib/x where /lib is a link: go on there.
                    self.host_file(Path(os.path.realpath(place), *path.parts[len(place.parts) :]))
                elif real != path:
                    self.host_file(real)
                return
        self._parents(path)
        if str(path) not in self._made and path.is_file():
            self._made.add(str(path))
            self.content(str(path), path.read_bytes(), path.stat().st_mode & 0o755)

    def text(self, path: str, content: bytes) -> None:
        """Add a file that the host does not have."""
        self._parents(Path(path))
        self.content(path, content, 0o644)

    def content(self, path: str, content: bytes, mode: int) -> None:
        """Add a file."""
        member = self._member(path, mode)
        member.size = len(content)
        self._archive.addfile(member, io.BytesIO(content))

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Add a directory, once."""
        if path not in self._made:
            self._made.add(path)
            member = self._member(path, mode)
            member.type = tarfile.DIRTYPE
            self._archive.addfile(member)

    def _parents(self, path: Path) -> None:
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            self.directory(str(parent))

    def _link(self, path: Path) -> None:
        if str(path) in self._made:
            return
        self._parents(path)
        self._made.add(str(path))
        member = self._member(str(path), 0o777)
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
        self._archive.addfile(member)

    @staticmethod
    def _member(path: str, mode: int) -> tarfile.TarInfo:
        member = tarfile.TarInfo(path.lstrip("/"))
        member.mode, member.mtime = mode, 0
        return member
