# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one engine container from what it is to what it should be, with a way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

from ansible_collections.inference.fleet.plugins.module_utils.containers import compare, plan, secrets, slots, state
from ansible_collections.inference.fleet.plugins.module_utils.containers.acting import ActingDaemon
from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import Change
from ansible_collections.inference.fleet.plugins.module_utils.containers.conflicts import conflicts
from ansible_collections.inference.fleet.plugins.module_utils.containers.fetch import Fetch
from ansible_collections.inference.fleet.plugins.module_utils.containers.look import Look, Looker
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL_SECRETS, Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import (
    LABEL_NAME,
    LABEL_REPLACES,
    LABEL_SLOT,
    Listed,
    own_name,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.waiting import Waiting
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import Probe, Wanted
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import explain
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError, as_told
from ansible_collections.inference.fleet.plugins.module_utils.host.files import make_directory
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress


@dataclass(frozen=True)
class Before:
    """The container to go back to, if there was one: its id, its name, and whether it ran."""

    id: str | None = None
    name: str = ""
    ran: bool = False


class Lifecycle(Looker):
    """One engine container on one host: does what a look at it, by :mod:`.turn`, found to do."""

    def __init__(self, daemon: ActingDaemon, wanted: Wanted, probe: Probe, progress: Progress) -> None:
        super().__init__(daemon, wanted, probe)
        self._progress = progress

        # The container that is acted on, by its id.
        self._id = ""
        # The engines to be pruned that were stopped.
        self._aside: list[Observed] = []
        self._waiting = Waiting(daemon, probe, progress, wanted.timeouts.ready, self._start)

    def act(self, look: Look, warnings: Sequence[str]) -> Look:
        """Do what a look asks for; return the look that was acted on. The slot's lock is held, *warnings* were found.

        Raises :class:`FleetError` with what was there back in place when the engine does not come up.
        """
        self.warnings = list(warnings)
        self._find()
        ran = look.current.id if look.current and look.current.running else None
        fetched = tuple(step for step in look.steps if step in plan.FETCH)
        if fetched:
            fetch = Fetch(self._daemon, self._wanted, self._progress)
            fetch.fetch(fetched, look.current)
            self.warnings += fetch.warnings
            # What the image is was a guess until now: a new reference may be the content that runs already.
            look = self.look()
        steps = tuple(step for step in look.steps if step not in plan.FETCH)
        self._do(steps, look.changes, ran)
        return look._replace(steps=fetched + steps)

    def _do(self, steps: Sequence[str], changes: Sequence[Change], ran: str | None) -> None:
        """Do the steps; *ran* is the id of the container that ran when this run began."""
        group = self._group
        self._id = group.current.id if group.current else ""
        kept = group.current if group.kept else next(iter(group.previous), None)
        prepared = [item for item in map(self._observed, group.prepared) if item]
        # A container that an interrupted run kept is the way back of the one that it made.
        before = Before(kept.id, own_name(kept), ran=True) if kept else None
        for step in steps:
            if step == plan.REMOVE:
                self._remove_everything(group)
            elif step == plan.REMOVE_NEXT:
                self._remove_all(group.prepared)
            elif step == plan.REMOVE_PREVIOUS:
                self._remove_all(group.previous)
                before = None
            elif step == plan.PUT_BACK:
                self._put_back(group)
                before = None
            elif step == plan.CREATE:
                before = Before()
                self._try(self._create_and_start, before)
            elif step == plan.REPLACE:
                before = self._before_swap(prepared, ran, put_back=plan.PUT_BACK in steps)
                self._try(self._swap, before)
            elif step == plan.UPDATE_CONTAINER:
                self._update(changes)
            elif step == plan.REWRITE_SECRETS:
                self._rewrite_secrets()
            elif step == plan.START:
                self._try(self._start, before)
            elif step == plan.RESTART:
                self._stop()
                self._start()
            elif step == plan.STOP:
                self._stop()
            elif step == plan.WAIT:
                self._try(self._wait_and_warm_up, before)
        if plan.REPLACE in steps:
            self._after_swap()

    def _after_swap(self) -> None:
        self._remove_all(self._find().previous)

    def _before_swap(self, prepared: Sequence[Observed], ran: str | None, put_back: bool) -> Before:
        old = self._own()
        if old is None:
            return Before()
        # It also ran where an interrupted run kept it, or stopped it when its successor was prepared; and a daemon that
        # was restarted meanwhile may not have come to it yet.
        stopped = put_back or any(old.stopped_after(item) for item in prepared)
        return Before(old.id, old.name, old.running or stopped or old.id == ran or old.id in self._wanted.ran)

    def _put_back(self, group: slots.Group) -> None:
        self._progress.say("an earlier run was interrupted: putting back the container that it kept")
        self._remove_all(group.prepared)
        kept = group.current
        if not group.kept:
            self._remove_all([group.current] if group.current else [])
            kept = group.previous[0]
        if kept:
            self._rename(kept.id, own_name(kept))
            self._id = kept.id

    def _rename(self, container: str, name: str) -> None:
        """Give a container a name, unless somebody has it."""
        if not any(item.name == name for item in self._daemon.listed()):
            self._daemon.rename(container, name)

    def _create_and_start(self) -> None:
        self._id = self._create(self._slot.container)
        self._start_alone()

    def _create(self, name: str, replaces: Observed | None = None) -> str:
        """Create the container under a name, or one like it where somebody has that; return its id.

        It is attached to what the one that it replaces was attached to by hand, where that is still there.
        """
        wanted = self._wanted.container
        # The daemon refuses a bind mount whose source is not there.
        made = [path for path in (Path(mount.source) for mount in wanted.mounts) if make_directory(path)]
        source = secrets.write_new(self._slot.name, wanted.secrets)
        labels = {**wanted.labels, **({LABEL_SECRETS: source} if source else {}), LABEL_NAME: self._slot.container}
        labels |= {LABEL_SLOT: self._slot.name, **({LABEL_REPLACES: replaces.id} if replaces else {})}
        found = compare.by_hand(wanted, replaces) if replaces else ()
        try:
            container = self._daemon.create(replace(wanted, labels=labels), self._free(name), source)
            for network in (*compare.networks(wanted)[1:], *filter(self._daemon.has_network, found)):
                self._daemon.connect(container, network)
            user, group = self._daemon.user(container, wanted.image, wanted.user)
            if user:
                secrets.give([*made, *([Path(source)] if source else [])], user, group)
        except Exception:
            secrets.remove(source)
            raise
        return container

    def _free(self, name: str) -> str:
        """Return a name, or one like it where somebody has it."""
        taken = {item.name for item in self._daemon.listed()}
        return name if name not in taken else f"{name}-{token_hex(3)}"

    def _swap(self) -> None:
        """Put the new container in the old one's place; the old one is kept, stopped: they do not share GPUs."""
        old = self._own()
        if old is None:
            raise self._vanished("replaced")
        self._adopt(old)
        self._remove_all(self._group.prepared)
        new = self._create(f"{self._slot.container}{slots.NEXT}", old)
        self._progress.say("stopping the old container; it is kept until the new one is ready")
        self._stop()
        self._daemon.rename(old.id, self._free(f"{old.name}{slots.PREVIOUS}"))
        self._rename(new, self._slot.container)
        self._id = new
        self._start_alone()

    def _vanished(self, done: str) -> FleetError:
        return FleetError(f"the container of slot {self._slot.name} was removed while it was to be {done}. Run again.")

    @staticmethod
    def _adopt(old: Observed) -> None:
        """Note whose a container of an earlier version is, before its name, by which it was found, changes."""
        if LABEL_NAME not in old.spec.labels:
            state.relabel(old, {LABEL_NAME: old.name})

    def _start_alone(self) -> None:
        """Start a new container; another engine may have come up since the host was looked at."""
        with state.host_lock():
            self._find()
            self._refuse_conflicts()
            self._make_room()
            self._start()

    def _make_room(self) -> None:
        """Stop engines that are to be pruned where they have what the new one is to have; it may yet fail."""
        for item in self.others() if self._wanted.prune else ():
            other = self._observed(item)
            if other and conflicts(self._wanted.container, [other], self._wanted.cards):
                self._progress.say(f"stopping {other.name}, which is not wanted any more")
                self._aside.append(other)
                self._daemon.stop(other.id, self._wanted.timeouts.stop)

    def _own(self) -> Observed | None:
        return self._daemon.container(self._id) if self._id else None

    def _stop(self) -> None:
        with self._progress.heartbeat(lambda: f"the container has {self._wanted.timeouts.stop} s to stop"):
            self._daemon.stop(self._id, self._wanted.timeouts.stop)

    def _start(self) -> None:
        self._progress.say("starting the container")
        current = self._own()
        if current and current.status == "restarting":
            # The daemon waits longer each time before it starts one that ends again and again.
            self._stop()
        try:
            with self._progress.heartbeat(lambda: "the Docker daemon is still starting the container"):
                self._daemon.start(self._id, self._wanted.timeouts.start)
        except FleetError as error:
            cause = explain(str(error))
            raise FleetError(f"{error} That is: {cause}." if cause else str(error)) from error

    def _update(self, changes: Sequence[Change]) -> None:
        fields = {change.field for change in changes if change.how == compare.UPDATE}
        current, wanted = self._own(), self._wanted.container
        if current is None:
            raise self._vanished("updated")
        if fields - {"networks", "labels", "slot", "name"}:
            self._daemon.update(current.id, wanted, fields)
        if "networks" in fields:
            attach, detach = compare.attachments(wanted, current)
            for network in detach:
                self._daemon.disconnect(current.id, network)
            for network in attach:
                self._daemon.connect(current.id, network)
        labels = compare.our_labels(wanted) if "labels" in fields else {}
        labels |= {LABEL_SLOT: self._slot.name} if "slot" in fields else {}
        labels |= {LABEL_NAME: self._slot.container} if "name" in fields else {}
        if labels:
            state.relabel(current, labels)
        if "name" in fields:
            self._rename(current.id, self._slot.container)

    def _rewrite_secrets(self) -> None:
        current, wanted = self._own(), self._wanted.container
        if current and current.secrets_source:
            secrets.rewrite(current.secrets_source, {key: wanted.secrets[key] for key in wanted.live_secrets})

    def _wait_and_warm_up(self) -> None:
        start = self._waiting.start()
        with self._progress.heartbeat(start.words):
            container = self._waiting.wait(self._id, start)
            if self._probe.warm_up:
                self._progress.say("warming up")
                start.awaits("its answers to the warm-up")
                self._probe.warm_up(container, max(1.0, self._wanted.timeouts.ready - start.seconds))
        self._progress.say(f"ready after {start.seconds:.0f} s")

    # Going back

    def _try(self, work: Callable[[], None], before: Before | None) -> None:
        """Do something that can fail; where a new container was made, go back then to what was there before it."""
        try:
            work()
        # Whatever it is: an engine that was stopped has to serve again.
        except Exception as error:
            told = as_told(error)
            if before is None:
                raise told from error
            try:
                outcome = self._go_back(before)
            except Exception as second:
                outcome = f"Going back failed too: {as_told(second)} Run again: the next run takes up what was left."
            raise FleetError(f"{told}\n{outcome}", **told.details) from error

    def _go_back(self, before: Before) -> str:
        """Remove the failed container, keep its log, have the one before it as it was; say so in a sentence."""
        where = ""
        for item in self._find().members:
            if item.id != before.id:
                if item.started:
                    where = self._keep_log(item.id)
                self._remove(item)
        for other in self._aside:
            self._daemon.start(other.id, self._wanted.timeouts.start)
            where += f"{other.name}, which made room for it, was started again. "
        if before.id is None:
            return f"{where}There was no container before it, so none is left."
        self._id = before.id
        old = self._own()
        if old and old.name != before.name:
            self._rename(before.id, before.name)
        if not before.ran:
            return f"{where}The container before it is as it was, not running."
        self._progress.say("the new container failed; the old one is put back")
        self._daemon.start(before.id, self._wanted.timeouts.start)
        start = self._waiting.start(self._wanted.timeouts.back)
        try:
            with self._progress.heartbeat(start.words):
                self._waiting.wait(before.id, start)
        except FleetError as error:
            return f"{where}The container before it was put back and started, but does not serve: {error}"
        return f"{where}The container before it was put back and serves again."

    def _keep_log(self, container: str) -> str:
        """Keep a failed container's log, where it can be read and kept; say in a sentence where it is."""
        try:
            path = state.keep_log(self._slot.name, self._daemon.logs(container))
            return f"The failed container's whole log is in {path}. "
        except (FleetError, OSError) as error:
            return f"The failed container's log could not be kept: {as_told(error)} "

    def _remove(self, item: Listed) -> None:
        self._daemon.remove(item.id)
        secrets.remove(item.labels.get(LABEL_SECRETS))
        state.forget(item.id, item.name)

    def _remove_all(self, items: Iterable[Listed]) -> None:
        for item in items:
            self._remove(item)

    def _remove_everything(self, group: slots.Group) -> None:
        if group.current and group.current.running:
            self._stop()
        self._remove_all(group.members)
        state.forget_slot(self._slot.name)
