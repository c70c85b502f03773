# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write below one directory and nowhere else: no link on the way is followed, whoever put it there, and whenever."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Inside:
    """A directory. Every path is relative to it; what is made gets the owner of the directory that it stands in."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def opened(self, path: str, make: bool = False) -> Iterator[int]:
        """Open a directory below, part by part, each made where it is missing and *make* says so."""
        if path and any(part in ("", ".", "..") for part in path.split("/")):
            raise FleetError(f"wanted a path inside {self.root}, found {path!r}.")
        with _closing(os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as held:
            where = self.root
            for part in path.split("/") if path else ():
                where = where / part
                if make:
                    _make(part, held[0])
                try:
                    below = os.open(part, _DIRECTORY, dir_fd=held[0])
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENOTDIR):
                        raise FleetError(
                            f"wanted a directory at {where}, found a link or a file: what other hosts send is written "
                            "inside the cache alone. Remove it, or name a cache_dir where the directory is one."
                        ) from error
                    raise
                os.close(held[0])
                held[0] = below
            yield held[0]

    def size(self, path: str) -> int | None:
        """Return the size of a plain file; ``None`` where there is none, or another thing."""
        folder, name = _split(path)
        try:
            with self.opened(folder) as directory:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    @contextmanager
    def appending(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file for reading and appending. A link, or what else is no plain file, is removed first."""
        folder, name = _split(path)
        with self.opened(folder, make=True) as directory:
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=directory)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, 0o644, dir_fd=directory), "a+b") as stream:
                _give(stream.fileno(), directory)
                yield stream

    def write(self, path: str, text: str) -> None:
        """Write a file at once."""
        folder, name = _split(path)
        temporary = f".{uuid.uuid4().hex}"
        with self.appending(f"{folder}/{temporary}" if folder else temporary) as stream:
            stream.write(text.encode())
        with self.opened(folder) as directory:
            os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)

    def rename(self, path: str, name: str) -> None:
        """Give a file another name in its directory."""
        folder, old = _split(path)
        with self.opened(folder) as directory:
            os.replace(old, name, src_dir_fd=directory, dst_dir_fd=directory)

    def remove(self, path: str) -> None:
        """Remove a file or a link, where there is one."""
        folder, name = _split(path)
        with suppress(FileNotFoundError), self.opened(folder) as directory:
            os.unlink(name, dir_fd=directory)

    def link(self, path: str, target: str) -> None:
        """Have a symbolic link lead to a target, whatever link or file was there."""
        folder, name = _split(path)
        with self.opened(folder, make=True) as directory:
            try:
                if os.readlink(name, dir_fd=directory) == target:
                    return
            except OSError:
                pass
            temporary = f".{uuid.uuid4().hex}"
            os.symlink(target, temporary, dir_fd=directory)
            os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


@contextmanager
def _closing(descriptor: int) -> Iterator[list[int]]:
    held = [descriptor]
    try:
        yield held
    finally:
        os.close(held[0])


def _split(path: str) -> tuple[str, str]:
    folder, _slash, name = path.rpartition("/")
    if name in ("", ".", ".."):
        raise FleetError(f"wanted a file's path inside a directory, found {path!r}.")
    return folder, name


def _make(name: str, directory: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=directory)
    except FileExistsError:
        return
    with suppress(OSError), _closing(os.open(name, _DIRECTORY, dir_fd=directory)) as made:
        _give(made[0], directory)


def _give(descriptor: int, directory: int) -> None:
    """Give what was made to the owner of what it stands in; a file system that squashes root has its own mind."""
    owner = os.fstat(directory)
    with suppress(PermissionError):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
