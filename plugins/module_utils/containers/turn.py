# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's turn at a slot: a look under its lock, and what acts only where the look finds something to do.

Most runs find nothing. What acts, and what tells why an engine did not come up, is loaded where acting begins: on a
host, whatever a run loads is compiled anew each time.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan, secrets, slots, state
from ansible_collections.inference.fleet.plugins.module_utils.containers.daemon import Daemon
from ansible_collections.inference.fleet.plugins.module_utils.containers.look import Look, Looker
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL_SECRETS
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import Probe, Wanted
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress


class Turn(Looker):
    """One run's turn at one slot of one host."""

    def __init__(self, daemon: Daemon, wanted: Wanted, probe: Probe, progress: Progress) -> None:
        super().__init__(daemon, wanted, probe)
        self._progress = progress

    def apply(self) -> Look:
        """Look under the slot's lock and do what there is to do; return the look that was acted on.

        Raises :class:`FleetError` with what was there back in place when the engine does not come up.
        """
        with self._locks():
            look = self.look()
            self._sweep()
            return self._act(look) if look.steps else look

    def stage(self, name: str, seconds: float) -> Look:
        """Do this host's part of a stage of an engine that several hosts serve, under the slot's lock."""
        from ansible_collections.inference.fleet.plugins.module_utils.containers.acting import ActingDaemon
        from ansible_collections.inference.fleet.plugins.module_utils.containers.stages import Stages

        with self._locks():
            look = self.look() if name == plan.STARTS else Look(self.container(), (), (), ready=False)
            self._sweep()
            stages = Stages(ActingDaemon(self._daemon), self._wanted, self._probe, self._progress)
            look = stages.stage(name, look, seconds, self.warnings)
            self.warnings = stages.warnings
        return look

    def _act(self, look: Look) -> Look:
        from ansible_collections.inference.fleet.plugins.module_utils.containers.acting import ActingDaemon
        from ansible_collections.inference.fleet.plugins.module_utils.containers.lifecycle import Lifecycle

        lifecycle = Lifecycle(ActingDaemon(self._daemon), self._wanted, self._probe, self._progress)
        look = lifecycle.act(look, self.warnings)
        # Of what several hosts had begun, nothing is left.
        state.forget_way_back(self._slot.name)
        self.warnings = lifecycle.warnings
        return look

    def _sweep(self) -> None:
        """Remove secret files whose container was never made: a run was cut off between the two."""
        used = {item.labels.get(LABEL_SECRETS) for item in self._listed if item.ours}
        for folder in dict.fromkeys((self._slot.name, self._slot.container)):
            secrets.sweep(folder, used)

    @contextmanager
    def _locks(self) -> Iterator[None]:
        """Let one run at a time work on this slot, and on the one that its engine was in."""
        current = self._find().current
        names = {self._slot.name, *([slots.slot_of(current.labels, current.name)] if current else [])}
        with ExitStack() as held:
            # In one order, so that no two runs wait for each other.
            for name in sorted(names):
                held.enter_context(self._lock(name))
            yield

    @contextmanager
    def _lock(self, slot: str) -> Iterator[None]:
        """Let one run at a time work on a slot; another waits, as long as a run may take."""
        deadline = time.monotonic() + self._wanted.timeouts.longest
        with state.lock_path(slot).open("w") as stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise FleetError(
                            f"another run has been working on slot {slot} for longer than its time-outs allow. "
                            "Wait for it, or end it, and run again."
                        ) from None
                    self._progress.say(f"waiting for another run that works on slot {slot}")
                    time.sleep(1)
            yield
