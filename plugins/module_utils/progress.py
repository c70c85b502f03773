# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain progress lines from a module on a host to the person on the controller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

# Seconds for which a control host may not ask after its work before that counts as interrupted.
ABANDONED = 300
# Seconds after which work that goes on says so, and how often that is looked at.
TELL_EVERY = 30
_LOOK_EVERY = 1.0


def size(count: int) -> str:
    """Return a number of bytes as a person reads it.

    >>> size(160 * 2**30), size(3 * 2**20)
    ('160.0 GiB', '3 MiB')
    """
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 / 10 else f"{count / 2**20:.0f} MiB"


class Progress:
    """Append lines to a file that the controller follows; without a path, say nothing.

    A line equal to the one before it is dropped, so callers may report in a loop. A *name* tells whose line it is,
    where several write to one file.
    """

    def __init__(
        self, path: str | None = None, name: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = Path(path) if path else None
        self._name = name
        self._last: str | None = None
        self._begun = time.time()
        self._clock, self._told = clock, clock()
        self._lock = threading.RLock()

    @property
    def asked_path(self) -> str | None:
        """The file that the controller touches whenever it asks for news."""
        return f"{self._path}.asked" if self._path else None

    def require_asked(self) -> None:
        """Raise FleetError where nobody waits any more.

        The controller said so, or has not asked for news for ABANDONED seconds.
        """
        if self.asked_path is None:
            return
        stop = Path(f"{self._path}.stop")
        if stop.exists():
            stop.unlink(missing_ok=True)
            raise FleetError("the control host was interrupted, and with it this work")
        try:
            asked = Path(self.asked_path).stat().st_mtime
        except OSError:
            asked = self._begun
        if time.time() - max(asked, self._begun) > ABANDONED:
            raise FleetError(f"the control host has not asked after this work for {ABANDONED} s: it was interrupted")

    def say(self, text: str) -> None:
        """Append one line. Whatever line breaks the text has are made spaces."""
        line = " ".join(text.split())
        line = f"{self._name}: {line}" if self._name else line
        with self._lock:
            if self._path is None or line == self._last:
                return
            self._last, self._told = line, self._clock()
            # What is said is not worth the work: a disk that is full ends neither a deployment nor its way back.
            with suppress(OSError), self._path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")

    def say_asked(self, text: str) -> None:
        """Append one line of a wait that ends, with FleetError, where nobody waits with it any more."""
        self.require_asked()
        self.say(text)

    def beat(self, words: Callable[[], str]) -> None:
        """Say where the work is, where nothing was said for TELL_EVERY seconds."""
        with self._lock:
            if self._clock() - self._told >= TELL_EVERY:
                self.say(words())

    @contextmanager
    def heartbeat(self, words: Callable[[], str]) -> Iterator[None]:
        """Never be silent for longer than TELL_EVERY seconds while this is open, whatever is waited for meanwhile."""
        done = threading.Event()

        def tell() -> None:
            while not done.wait(_LOOK_EVERY):
                self.beat(words)

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            done.set()
            teller.join()
