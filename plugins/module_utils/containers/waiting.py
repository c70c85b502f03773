# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until a started container's endpoint serves, and say why it does not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers.acting import ActingDaemon
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.start import Start
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import Probe
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis import lines
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

# Often enough to see readiness within a second; each look is one inspect and one probe.
_LOOK_EVERY = 0.25
# The exit codes of a process that was asked to end, or made to.
_STOPPED = (0, 137, 143)
# How many lines of a log are read at once, for what is new or for the cause of a failure.
_LAST_LINES = 10_000
# How long, in seconds, a daemon that shuts down may answer after it stopped a container.
_DAEMON_ENDS_WITHIN = 10


class Waiting:
    """Waits for a container's endpoint. *start* starts it again, where the daemon ended it with itself."""

    def __init__(
        self, daemon: ActingDaemon, probe: Probe, progress: Progress, limit: float, start: Callable[[], None]
    ) -> None:
        self._daemon = daemon
        self._probe = probe
        self._progress = progress
        self._limit = limit
        self._start_again = start
        self._id = ""

    def start(self, limit: float | None = None, begun: float = 0) -> Start:
        """Return what follows a start that began *begun* seconds ago, and may take *limit*, or ready_timeout."""
        return Start(self._probe.log(), limit or self._limit, self._progress.say, begun=begun)

    def wait(self, container_id: str, start: Start) -> Observed:
        """Return a container when its endpoint serves; raise :class:`FleetError` when it cannot, or not in time."""
        found = None
        while found is None:
            found = self.wait_within(container_id, start, math.inf)
        return found

    def wait_within(self, container_id: str, start: Start, seconds: float) -> Observed | None:
        """Do the same for some seconds at most; return ``None`` where it is still awaited then."""
        give_up = time.monotonic() + seconds
        self._id, limit = container_id, start.limit
        log_since: float = time.time() - 1
        restarts: int | None = None
        outages = self._daemon.outages
        while True:
            container = self._daemon.container(self._id)
            if container is None:
                raise FleetError("the container was removed while its endpoint was awaited.")
            if self._daemon.outages != outages or self._ends_with_daemon(container):
                # That says nothing of the engine.
                outages, restarts = self._daemon.outages, None
                self._start_again()
                continue
            restarts = container.restart_count if restarts is None else restarts
            if not container.running or container.restart_count > restarts:
                raise FleetError(self._why_ended(container))
            start.asks()
            # One limit for all of readiness, the first answer included.
            missing = self._is_missing(container, limit - start.seconds)
            now = time.time()
            start.read(self._log(since=log_since, tail=_LAST_LINES)[0])
            log_since = now - 1
            if missing is None:
                return container
            start.awaits(missing)
            if start.seconds > limit:
                within = f"ready_timeout, {limit} s" if limit == self._limit else f"{limit} s"
                raise FleetError(
                    f"the endpoint of {container.name} was not ready within {within}: {missing}. "
                    f"Its last phase was: {start.phase}. " + self._last_words()
                )
            if time.monotonic() > give_up:
                return None
            time.sleep(_LOOK_EVERY)

    def _is_missing(self, container: Observed, left: float) -> str | None:
        try:
            return self._probe.ready(container, max(1.0, left))
        except FleetError as error:
            raise FleetError(
                f"the endpoint of {container.name} cannot become ready: {error} {self._last_words()}"
            ) from error

    def _log(self, **which: Any) -> tuple[str, str]:
        """Return the container's log and, where it cannot be read, why: that alone is no reason for anything."""
        try:
            return self._daemon.logs(self._id, **which), ""
        except FleetError as error:
            return "", str(error)

    def _ends_with_daemon(self, container: Observed) -> bool:
        """Tell whether a container ended because the daemon ends; return when the daemon is back.

        A daemon that shuts down stops its containers first, and answers until it has. One that is
        to run is not left alone by a daemon that goes on.
        """
        if container.status != "exited" or container.exit_code not in _STOPPED or container.oom_killed:
            return False
        outages, deadline = self._daemon.outages, time.monotonic() + _DAEMON_ENDS_WITHIN
        while time.monotonic() < deadline and self._daemon.outages == outages:
            found = self._daemon.container(self._id)
            if found is None or found.status != "exited":
                break
            time.sleep(_LOOK_EVERY)
        return self._daemon.outages != outages

    def _why_ended(self, container: Observed) -> str:
        # Each of many processes may have written a long traceback, and the first that failed matters.
        log, _unread = self._log(tail=_LAST_LINES)
        # One that Docker started again has the exit code no more.
        code = None if container.running else container.exit_code
        cause = self._probe.log().explain(log, code, container.oom_killed)
        ended = "ended, and was started again by Docker," if code is None else f"ended with exit code {code}"
        how = f"the engine in {container.name} {ended} before it was ready"
        if container.error:
            how += f" ({container.error})"
        return f"{how}: {cause}. {self._last_words()}" if cause else f"{how}. {self._last_words()}"

    def _last_words(self) -> str:
        log, unread = self._log(tail=100)
        words = lines.last(log)
        return "Its last lines:\n" + "\n".join(words) if words else unread or "It wrote no log."
