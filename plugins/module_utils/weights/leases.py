# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has something of a cache that several hosts may share: files beside it, in the same file system.

Locks are not asked: on NFS and Lustre flock(2) may say yes to everybody. Nor are the hosts' clocks: how old a lease is,
the file system says, by the time that it gives a file which is written now.

A lease is a JSON file in ``CACHE/.inference.fleet/THING/``. ``work.json`` is the one that only one can hold: who
downloads, copies or removes. Every other is of one who reads: an engine, a share. One with a lifetime is renewed while
its holder lives, and has run out when it was not. One without, an engine's, holds until the engine is removed, because
a container runs without anybody who could renew it.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.files import make_directory

DIRECTORY = ".inference.fleet"
# Seconds: how long a lease holds that nobody renews, how often it is renewed, how often who waits looks, and speaks.
LIFETIME = 180.0
RENEW_EVERY = 20.0
LOOK_EVERY = 1.0
TELL_EVERY = 25.0
_WORK = "work.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_PROCESS = re.compile(r"(\d+ \d+)?")


@dataclass(frozen=True)
class Lease:
    """What a lease's file says: who has it, what for, and until when (``None``: until it is given back).

    ``host`` tells hosts apart, ``name`` is what their users call them. ``place`` and ``process`` name the process that
    holds it, where there is one: whoever runs beside it can see that it has ended.
    """

    host: str
    name: str
    what: str
    holder: str
    lifetime: float | None = None
    place: str = ""
    process: str = ""
    age: float = 0.0

    @property
    def alive(self) -> bool:
        """Tell whether it holds."""
        if self.process and self.place == _place():
            return self.process == _process(int(self.process.partition(" ")[0]))
        return self.lifetime is None or self.age <= self.lifetime

    def __str__(self) -> str:
        return f"{self.name} ({self.what}, {_period(self.age)} ago)"


class Leases:
    """The leases on one thing of a cache."""

    def __init__(self, cache: str | Path, thing: str) -> None:
        self._cache = Path(cache)
        self.directory = self._cache / DIRECTORY / thing

    def all(self) -> list[Lease]:
        """Return every lease that holds."""
        found = (_read(path) for path in sorted(self.directory.glob("*.json")))
        leases = [lease for lease in found if lease]
        if not leases:
            return []
        now = self._now()
        aged = [replace(lease, age=max(now - lease.age, 0.0)) for lease in leases]
        return [lease for lease in aged if lease.alive]

    def others(self, ended: Collection[str] = ()) -> list[Lease]:
        """Return what others hold: other hosts, but for those that *ended* names, and other processes of this one.

        A name may be a pattern, as of a shell.
        """
        mine = _process(os.getpid())
        return [
            lease
            for lease in self.all()
            if (not _named(lease, ended) if lease.host != host_id() else lease.process not in ("", mine))
        ]

    def hold(self, name: str, what: str, *, lifetime: float | None = None, process: int | None = None) -> Path:
        """Hold a thing for one of this host's readers, by its name: written anew, whatever was there; return the file.

        Raises :class:`FleetError` where the cache cannot be written.
        """
        path = self._reader(name)
        try:
            os.replace(self._temporary(_lease(what, lifetime, process)), path)
        except OSError as error:
            raise FleetError(f"could not write to the cache {self._cache}: {error.strerror}.") from error
        return path

    def holds(self, name: str) -> bool:
        """Tell whether one of this host's readers has a lease."""
        return self._reader(name).exists()

    def release(self, name: str) -> None:
        """Give back what one of this host's readers held."""
        with suppress(OSError):
            self._reader(name).unlink()
        self._tidy()

    def forget(self, ended: Collection[str]) -> None:
        """Remove the leases of this host's readers, of hosts that are gone, and those that have run out."""
        for path in self.directory.glob("*.json"):
            lease = _read(path) if path.name != _WORK else None
            if lease and (lease.host == host_id() or _named(lease, ended) or not self._aged(lease).alive):
                path.unlink(missing_ok=True)
        self._tidy()

    @contextmanager
    def work(self, what: str, wait: Callable[[Lease], None], lost: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Be the only one, of all hosts, who works on the thing.

        While another does, *wait* is called with its lease, often; it ends the waiting by an exception. *lost* is
        called, in a thread, where the lease was taken over because it could not be renewed.
        """
        mine = self._take(what, wait)
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(mine, ended, lost), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()
            if self._is(mine):
                (self.directory / _WORK).unlink(missing_ok=True)
            self._tidy()

    def now(self) -> float:
        """Return the file system's time, in seconds."""
        self._make()
        return self._now()

    # How a lease is had

    def _take(self, what: str, wait: Callable[[Lease], None]) -> Lease:
        path = self.directory / _WORK
        while True:
            mine = _lease(what, LIFETIME, os.getpid())
            if self._create(mine, path):
                return mine
            there = _read(path)
            if there is None:
                # It went meanwhile; or it is being written, on a file system without links.
                if self._is_scrap(path):
                    path.unlink(missing_ok=True)
            elif self._aged(there).alive:
                wait(self._aged(there))
            else:
                self._put_aside(path, there)
                continue
            time.sleep(LOOK_EVERY)

    def _create(self, lease: Lease, path: Path) -> bool:
        """Make a file that was not there, with its content; tell whether it was made.

        A link is made by one alone on every file system. NFS may lose the answer to it: the count of links tells.
        """
        temporary = self._temporary(lease)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:
            if temporary.stat().st_nlink < 2:
                return self._create_exclusively(lease, path)
        finally:
            made = self._is(lease)
            temporary.unlink(missing_ok=True)
        return made

    def _create_exclusively(self, lease: Lease, path: Path) -> bool:
        """Make the file where a file system has no links."""
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as stream:
                stream.write(_text(lease))
        except FileExistsError:
            return False
        return self._is(lease)

    def _put_aside(self, path: Path, dead: Lease) -> None:
        """Take a lease away that has run out, and not the one that another host made in its place meanwhile."""
        aside = self.directory / f"aside-{uuid.uuid4().hex}"
        there = _read(path)
        if there is None or there.holder != dead.holder:
            return
        with suppress(FileNotFoundError):
            os.rename(path, aside)
            taken = _read(aside)
            if taken and taken.holder != dead.holder:
                # Its holder sees at its next renewal whether it still has it.
                with suppress(OSError):
                    os.link(aside, path)
            aside.unlink(missing_ok=True)

    def _keep(self, mine: Lease, ended: threading.Event, lost: Callable[[], None]) -> None:
        """Renew a lease until the work is over."""
        while not ended.wait(RENEW_EVERY):
            if not self._is(mine):
                lost()
                return
            # A file system that does not answer now may at the next time.
            with suppress(OSError):
                os.utime(self.directory / _WORK)

    # Files

    def _make(self) -> None:
        while True:
            try:
                make_directory(self.directory)
                return
            except FleetError as error:
                # Another host may have removed it, being empty, while it was made.
                if not (isinstance(error.__cause__, FileNotFoundError) and self._cache.is_dir()):
                    raise

    def _tidy(self) -> None:
        for directory in (self.directory, self.directory.parent):
            with suppress(OSError):
                directory.rmdir()

    def _reader(self, name: str) -> Path:
        return self.directory / f"{host_id()}-{_UNSAFE.sub('-', name)}.json"

    def _temporary(self, lease: Lease) -> Path:
        path = self.directory / f"new-{uuid.uuid4().hex}"
        while True:
            self._make()
            # Another host may have removed the directory, which was empty, just now.
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                break
        with os.fdopen(descriptor, "w") as stream:
            stream.write(_text(lease))
            stream.flush()
            os.fsync(stream.fileno())
        return path

    def _is(self, lease: Lease) -> bool:
        """Tell whether a lease on the work is still the one that is there; one that cannot be read now may be."""
        path = self.directory / _WORK
        there = _read(path)
        return there.holder == lease.holder if there else path.exists() and not self._is_scrap(path)

    def _is_scrap(self, path: Path) -> bool:
        try:
            return self._now() - path.stat().st_mtime > LIFETIME
        except OSError:
            return False

    def _aged(self, lease: Lease) -> Lease:
        return replace(lease, age=max(self._now() - lease.age, 0.0))

    def _now(self) -> float:
        """Ask the file system for its time; this host's where it may not be written."""
        path = self.directory / f"now-{uuid.uuid4().hex}"
        try:
            path.touch()
            now = path.stat().st_mtime
            path.unlink()
        except OSError:
            return time.time()
        return now


def _read(path: Path) -> Lease | None:
    """Return a lease as its file has it, its age being the time when it was renewed; ``None`` where it is none."""
    try:
        with path.open(encoding="utf-8") as stream:
            facts = json.load(stream)
            return Lease(
                host=str(facts["host"]),
                name=str(facts["name"]),
                what=str(facts["what"]),
                holder=str(facts["holder"]),
                lifetime=None if facts["lifetime"] is None else float(facts["lifetime"]),
                place=str(facts["place"]),
                process=_PROCESS.fullmatch(str(facts["process"]))[0],  # type: ignore[index]
                age=os.fstat(stream.fileno()).st_mtime,
            )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _named(lease: Lease, names: Collection[str]) -> bool:
    return any(fnmatch.fnmatchcase(lease.name, name) for name in names)


def _lease(what: str, lifetime: float | None, process: int | None) -> Lease:
    return Lease(
        host=host_id(),
        name=socket.gethostname(),
        what=what,
        holder=uuid.uuid4().hex,
        lifetime=lifetime,
        place=_place() if process else "",
        process=_process(process) if process else "",
    )


def _text(lease: Lease) -> str:
    facts: dict[str, Any] = asdict(lease)
    del facts["age"]
    return json.dumps(facts)


@functools.lru_cache(maxsize=1)
def host_id() -> str:
    """Return what tells this host from others, also from one that was made of the same image."""
    parts = [socket.gethostname()]
    for path in ("/etc/machine-id", "/sys/class/dmi/id/product_uuid"):
        with suppress(OSError):
            parts.append(Path(path).read_text(encoding="utf-8").strip())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=1)
def _place() -> str:
    """Return what is the same for two processes that see each other under their numbers."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process(number: int) -> str:
    """Return a process's number and when it was started: a number may be given again. Nothing where there is none."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return f"{number} {fields[19]}" if fields[0] not in "ZX" else ""


def _period(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
