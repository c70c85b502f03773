# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and launches of one account, spaced out over all processes of this machine.

Lambda counts one request a second and one launch in twelve seconds for the whole account. Each process books the next
free moment in a file and sleeps until then, so that nobody holds a lock while it waits.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

REQUEST_SECONDS = 1.0
# One in 12 s is allowed.
LAUNCH_SECONDS = 13.0
# A moment further ahead than this was written by a clock that has been set back since.
_FURTHEST = 3600.0


@dataclass(frozen=True)
class Clock:
    """The time, and how to wait; tests have another."""

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def state_folder() -> Path:
    """Return the folder where this user's processes keep what they must know of each other."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "inference.fleet" / "lambda"


def account_folder(api_key: str, api_url: str) -> Path:
    """Return the part of an account, which is told by a hash: its key is written nowhere."""
    return state_folder() / hashlib.sha256(f"{api_url}\n{api_key}".encode()).hexdigest()[:16]


@contextmanager
def locked(path: Path) -> Iterator[IO[str]]:
    """Open a file for this process alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        yield stream


def booked(path: Path, spacing: float, clock: Clock) -> float:
    """Book the next free moment of a file, and return it: seconds since 1970. *spacing* is in seconds."""
    with locked(path) as stream:
        now = clock.now()
        try:
            last = float(stream.read())
        except ValueError:
            last = 0.0
        moment = now if last > now + _FURTHEST else max(now, last + spacing)
        stream.seek(0)
        stream.truncate()
        stream.write(f"{moment:.3f}")
    return moment
