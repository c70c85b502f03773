# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a container's start while its endpoint is awaited: its phases, and never nothing for long."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import Log
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.phase import Phase

# Longer than an endpoint that is not up takes to say so, in seconds.
_ANSWERS_WITHIN = 15


class Start:
    """Follows one start, which began *begun* seconds ago.

    *limit* is how long it may take, in seconds; *say* takes what is to be told at once.

    Two threads may use it: one that reads the log, and one that tells what is awaited.
    """

    def __init__(
        self,
        log: Log,
        limit: float,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        begun: float = 0,
    ):
        self._log, self.limit, self._say, self._clock = log, limit, say, clock
        self._began = clock() - begun
        # The log is read by whole seconds, so a line comes more than once: what was read of each phase.
        self._read: dict[tuple[str, int | None], int] = {}
        self._current: Phase | None = None
        self._missing = ""
        self._asked: float | None = None
        self._lock = Lock()

    @property
    def seconds(self) -> float:
        """How long the start has taken."""
        return self._clock() - self._began

    def read(self, text: str) -> None:
        """Take what the log has now; tell a phase that is new, and each tenth of one that counts."""
        for line in text.splitlines():
            phase = self._log.phase(line)
            if phase:
                self._take(phase)

    def asks(self) -> None:
        """Take that the endpoint is being asked whether it serves: an engine's first answer may take minutes."""
        with self._lock:
            self._asked = self._clock()

    def awaits(self, missing: str) -> None:
        """Take what keeps the start from being over."""
        with self._lock:
            self._missing, self._asked = missing, None

    @property
    def phase(self) -> str:
        """The last phase that the log told of."""
        with self._lock:
            return str(self._current or "none that its log tells")

    def words(self) -> str:
        """Return where the start is, for a moment at which nothing else is to be told."""
        with self._lock:
            current, missing = self._current, self._missing
            if self._asked is not None and self._clock() - self._asked > _ANSWERS_WITHIN:
                missing = "its first answer"
        return f"{current or 'starting'}, {self.seconds:.0f} s of {self.limit:.0f}; waiting for the endpoint: {missing}"

    def _take(self, phase: Phase) -> None:
        key, done = (phase.name, phase.total), phase.done or 0
        before = self._read.get(key)
        if before is not None and done <= before:
            return
        self._read[key] = done
        with self._lock:
            self._current = phase
        told = phase if before is None else Phase(phase.name, before, phase.total)
        if before is None or told.tenth != phase.tenth:
            self._say(str(phase))
