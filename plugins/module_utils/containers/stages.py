# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host's part in an engine of several hosts, a stage at a time: who leads the hosts says what comes next.

Nothing is gone until all of them serve: the way back is written down before the first engine stops, and stays there
until the stage that keeps the new ones, or that goes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan, slots, state
from ansible_collections.inference.fleet.plugins.module_utils.containers.lifecycle import Before, Lifecycle
from ansible_collections.inference.fleet.plugins.module_utils.containers.look import Look
from ansible_collections.inference.fleet.plugins.module_utils.errors import as_told

# What comes later, or was done before.
_LATER = frozenset({plan.WAIT, plan.REMOVE_PREVIOUS})


class Stages(Lifecycle):
    """The engine of one slot of a host, which is a part of one that several hosts serve."""

    def stage(self, name: str, look: Look, seconds: float, warnings: Sequence[str]) -> Look:
        """Do what a stage asks for; return the look with the steps that were done.

        Raises :class:`FleetError` where it fails; nothing is put back then but by the stage that goes back. *seconds*
        is how long an endpoint is awaited at most: ``ready`` of the look tells whether it serves, and after going back
        whether what is there ran before.
        """
        self.warnings = list(warnings)
        self._find()
        self._id = look.current.id if look.current else ""
        if name == plan.STOPS:
            return look._replace(steps=self._stopped(look))
        if name == plan.STARTS:
            self._write_way_back(look)
            try:
                return self.act(look._replace(steps=tuple(step for step in look.steps if step not in _LATER)), warnings)
            finally:
                self._note_aside()
        if name == plan.AWAITS:
            return look._replace(ready=self._serves_within(seconds))
        if name == plan.KEEPS:
            previous = self._group.previous
            self._remove_all(previous)
            state.forget_way_back(self._slot.name)
            return look._replace(steps=(plan.REMOVE_OLD,) if previous else ())
        if name == plan.GOES_BACK:
            steps, ran = self._back()
            return look._replace(steps=steps, ready=ran)
        if look.current and not look.current.running:
            self._start()
            return look._replace(steps=(plan.START,))
        return look

    def _stopped(self, look: Look) -> tuple[str, ...]:
        """Stop the container where it runs; return what was done."""
        self._write_way_back(look)
        if not (look.current and look.current.running):
            return ()
        self._progress.say("stopping the container; the engine is stopped on all of its hosts")
        self._stop()
        return (plan.STOP,)

    def _try(self, work: Callable[[], None], before: Before | None) -> None:
        """Do something that can fail, and go nowhere back: the other hosts have to, too."""
        del before
        try:
            work()
        except Exception as error:
            raise as_told(error) from error

    def _after_swap(self) -> None:
        """Leave the old container: it is the way back."""

    def _write_way_back(self, look: Look) -> None:
        """Write down what is there before anything is done; what an interrupted run wrote down stays."""
        there = {item.id for item in self._group.members}
        known = state.way_back(self._slot.name)
        if known and (known["id"] is None or known["id"] in there):
            return
        kept = next(iter(self._group.previous), None)
        if kept:
            before = Before(kept.id, slots.own_name(kept), ran=True)
        elif look.current:
            before = Before(look.current.id, look.current.name, look.current.running)
        else:
            before = Before()
        state.set_way_back(self._slot.name, asdict(before))

    def _note_aside(self) -> None:
        """Write down the engines that made room, which come back with the old one."""
        if self._aside:
            known = state.way_back(self._slot.name) or asdict(Before())
            aside = [*known.get("aside", ()), *(other.id for other in self._aside)]
            state.set_way_back(self._slot.name, {**known, "aside": aside})

    def _serves_within(self, seconds: float) -> bool:
        """Wait until the endpoint serves; tell whether it does. One limit, ready_timeout, is for the whole start."""
        current = self._own()
        start = self._waiting.start(begun=current.runs_for(time.time()) if current else 0)
        with self._progress.heartbeat(start.words):
            if self._waiting.wait_within(self._id, start, seconds) is None:
                return False
        self._progress.say(f"ready after {start.seconds:.0f} s")
        return True

    def _back(self) -> tuple[tuple[str, ...], bool]:
        """Have what was there before in its place again, stopped; return what was done, and whether it ran."""
        known = state.way_back(self._slot.name)
        if known is None:
            return (), False
        aside, steps = known.pop("aside", ()), []
        before = Before(**known)
        for item in self._find().members:
            if item.id == before.id:
                continue
            if item.started:
                self._progress.say(self._keep_log(item.id))
            self._remove(item)
            steps.append(plan.REMOVE)
        self._id = before.id or ""
        old = self._own()
        if old and old.running:
            self._stop()
            steps.append(plan.STOP)
        if old and old.name != before.name:
            self._rename(old.id, before.name)
            steps.append(plan.PUT_BACK)
        for other in aside:
            self._daemon.start(other, self._wanted.timeouts.start)
        state.forget_way_back(self._slot.name)
        return tuple(steps), before.ran
