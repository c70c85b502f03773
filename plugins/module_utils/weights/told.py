# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that tell how far weights are on their way to a host: often enough, and not too often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ansible_collections.inference.fleet.plugins.module_utils.progress import size

# Seconds without a line, at most; a tenth of the way is told too.
EVERY = 25.0

Say = Callable[[str], None]


class Told:
    """Tells how far a transfer is. Threads may share it."""

    def __init__(self, say: Say, total: int = 0, verb: str = "weights") -> None:
        self._say, self._total, self._verb = say, total, verb
        self._done, self._tenth = 0, -1
        self._when = self._moved = time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Tell that so many bytes more are here."""
        with self._lock:
            self._tell(self._done + count, self._total)

    def tell(self, done: int, total: int) -> None:
        """Tell that so many bytes of so many are here; called often, also where none came."""
        with self._lock:
            self._tell(done, total)

    def _tell(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done != self._done:
            self._moved = now
        self._done, self._total = done, total
        tenth = done * 10 // total if total else 0
        if tenth != self._tenth or now - self._when > EVERY:
            still = f", and nothing came for {now - self._moved:.0f} s" if now - self._moved > EVERY else ""
            self._tenth, self._when = tenth, now
            self._say(f"{self._verb}: {size(done)} of {size(total)}{still}")


class Waiting:
    """Tells that something is waited for, and for how long."""

    def __init__(self, say: Say) -> None:
        self._say, self._begun = say, time.monotonic()
        self._when: float | None = None

    def tell(self, text: str) -> None:
        """Say a text with the time that it has taken; called often."""
        now = time.monotonic()
        if self._when is None or now - self._when > EVERY:
            self._when = now
            self._say(f"{text} (for {now - self._begun:.0f} s)")
