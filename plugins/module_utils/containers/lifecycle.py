# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one engine container from what it is to what it should be, with a way back."""

from __future__ import annotations

import fcntl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.inference.fleet.plugins.module_utils.containers import compare, plan, secrets, state
from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import Change
from ansible_collections.inference.fleet.plugins.module_utils.containers.conflicts import conflicts
from ansible_collections.inference.fleet.plugins.module_utils.containers.daemon import Daemon
from ansible_collections.inference.fleet.plugins.module_utils.containers.failures import explain, last_lines
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL_SECRETS, Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.files import make_directory
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

MISSING, ALWAYS, NEVER = "missing", "always", "never"
PULL_POLICIES = (MISSING, ALWAYS, NEVER)

# A label on images that are made on the host.
IMAGE_LABEL = "inference.fleet.image"
_SERVING = (plan.PRESENT, plan.RESTARTED)
# Often enough to see readiness within a second; each look is one inspect and one probe.
_LOOK_EVERY = 0.25
# The exit codes of a process that was asked to end, or made to.
_STOPPED = (0, 137, 143)
# How long, in seconds, a daemon that shuts down may answer after it stopped a container.
_DAEMON_ENDS_WITHIN = 10


@dataclass(frozen=True)
class Build:
    """How to make the image on the host: see :class:`engines.spec.ImageBuild`."""

    entrypoint: tuple[str, ...]
    write: Callable[[BinaryIO], None]
    label: str


@dataclass(frozen=True)
class Weights:
    """What the engine would else download while nothing serves.

    ``here`` tells whether the host has it. ``fetch`` downloads it, gives up when the event is set,
    and returns a warning where it leaves the download to the engine.
    """

    here: Callable[[], bool]
    fetch: Callable[[Callable[[str], None], threading.Event], str | None]


@dataclass(frozen=True)
class Timeouts:
    """Limits in seconds."""

    pull: int = 3600
    weights: int = 7200
    start: int = 120
    ready: int = 1800
    stop: int = 30

    @property
    def longest(self) -> int:
        """The time that a run may take: to fetch, to start the new engine, and to go back to the old one."""
        return max(self.pull, self.weights) + 2 * (self.stop + self.start + self.ready)


@dataclass(frozen=True)
class Preflight:
    """What a host has to have before a container is made, or its image and weights are brought.

    ``problems`` gets what Docker knows of the image, ``None`` where it is not there, the collection's containers, and
    the names of those whose GPUs and ports do not count; it returns sentences. They fail the run where it is
    ``strict``, and are warnings otherwise.
    """

    problems: Callable[[Mapping[str, Any] | None, Sequence[Observed], frozenset[str]], list[str]]
    strict: bool = True


@dataclass(frozen=True)
class Wanted:
    """What the user asked for."""

    state: str
    container: ContainerSpec
    pull: str = MISSING
    build: Build | None = None
    weights: Weights | None = None
    recreate: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)
    preflight: Preflight | None = None
    # Containers whose GPUs and ports do not count: the same task changes them too.
    siblings: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Probe:
    """How to tell whether the endpoint of a container serves.

    ``ready`` returns ``None`` when it does, else what is missing; with ``True`` it asks for a
    completion too, which a look at a busy engine does not. ``phase`` reads a line of the engine's
    log. ``warm_up`` has the engine do its first work, within seconds, before anybody waits for it.
    """

    ready: Callable[[Observed, bool], str | None]
    phase: Callable[[str], str | None]
    warm_up: Callable[[Observed, float], None] | None = None


@dataclass(frozen=True)
class Look:
    """What a look at the host found, and what follows from it.

    ``current`` is the container of the name, or the one that is to be put back there; ``status`` is that of the name.
    """

    current: Observed | None
    changes: tuple[Change, ...]
    steps: tuple[str, ...]
    ready: bool
    situation: plan.Situation = field(default_factory=plan.Situation)
    status: str = "absent"

    @property
    def changed(self) -> bool:
        """Whether the steps change anything."""
        return plan.changed(self.steps)


@dataclass(frozen=True)
class _Before:
    """The container to go back to, if there was one, and whether it ran."""

    id: str | None = None
    ran: bool = False


class Lifecycle:
    """One engine container on one host. ``warnings`` collects what the user should hear."""

    def __init__(self, daemon: Daemon, wanted: Wanted, probe: Probe, progress: Progress) -> None:
        self._daemon = daemon
        self._wanted = wanted
        self._probe = probe
        self._progress = progress
        self._name = wanted.container.name
        self._next = f"{self._name}-next"
        self._previous = f"{self._name}-previous"
        self.warnings: list[str] = []

    # Looking

    def look(self) -> Look:
        """Find out what is there and what to do. Changes nothing."""
        current, kept = self._own(self._name), self._own(self._previous)
        running = bool(current and current.running)
        ready = bool(current and running and self._probe.ready(current, False) is None)
        situation = plan.Situation(
            exists=current is not None,
            running=running,
            ready=ready,
            changes=self._changes(current),
            has_next=self._own(self._next) is not None,
            has_previous=kept is not None,
            kept_changes=self._changes(kept),
        )
        # Whether what is there, or is to be put back, has the image's name already.
        seen = current or kept
        named = self._wanted.state not in _SERVING or seen is None or seen.spec.image == self._wanted.container.image
        steps = self._plan(situation, named)
        status = current.status if current else "absent"
        if plan.PUT_BACK in steps:
            return Look(kept, situation.kept_changes, steps, False, situation, status)
        return Look(current, situation.changes, steps, ready, situation, status)

    def _plan(self, situation: plan.Situation, named: bool) -> tuple[str, ...]:
        wanted = self._wanted
        steps = plan.plan(wanted.state, situation, wanted.recreate)
        if plan.starts(steps):
            self._refuse_conflicts()
        if plan.needs_image(wanted.state, steps):
            # A container that is to be put back serves first.
            self._require(strict=plan.PUT_BACK not in steps)
            steps = plan.plan(wanted.state, replace(situation, missing=self._missing()), wanted.recreate)
        elif not named and self._may_pull and self._daemon.image(wanted.container.image) is None:
            # The wanted reference is another name of the content that runs: the host only has to learn it.
            steps = plan.plan(wanted.state, replace(situation, missing=(plan.PULL_IMAGE,)), wanted.recreate)
        return tuple(steps)

    def _refuse_conflicts(self) -> None:
        """Fail where the engine would share a GPU or a port with another that runs."""
        mine = {self._name, self._next, self._previous} | self._wanted.siblings
        others = [container for container in self._daemon.ours() if container.name not in mine]
        found = conflicts(self._wanted.container, others)
        if found:
            raise FleetError("\n".join(found))

    def _require(self, strict: bool) -> None:
        """Fail before anything is stopped, where the new engine could not serve on this host."""
        if self._wanted.preflight is None:
            return
        problems = self._wanted.preflight.problems(
            self._daemon.image(self._wanted.container.image), self._daemon.ours(), self._wanted.siblings
        )
        if problems and strict and self._wanted.preflight.strict:
            raise FleetError(
                "\n".join(
                    [
                        f"{self._name} could not serve on this host, and no engine was touched.",
                        *problems,
                        "If you know better, set preflight to warn.",
                    ]
                )
            )
        self.warnings += [problem for problem in problems if problem not in self.warnings]

    def _own(self, name: str) -> Observed | None:
        found = self._daemon.container(name)
        if found and not found.ours:
            raise FleetError(
                f"a container named {name} is there already, and inference.fleet did not make it "
                f"(image {found.spec.image}, {found.status}). It was not touched. "
                f"Choose another container_name, or remove it: docker rm -f {name}"
            )
        return found

    @property
    def _may_pull(self) -> bool:
        return self._wanted.pull != NEVER and self._wanted.build is None

    def _changes(self, current: Observed | None) -> tuple[Change, ...]:
        if current is None or self._wanted.state not in _SERVING:
            return ()
        wanted = self._wanted.container
        # A reference that is the same is the same image, even where its tag has moved on the host.
        image_id = None
        if wanted.image != current.spec.image:
            here = self._daemon.image(wanted.image)
            image_id = here["Id"] if here else self._id_in_registry(current)
        changes = compare.compare(wanted, current, image_id, secrets.read(current.secrets_source))
        if self._wanted.pull == ALWAYS and self._may_pull and not any(c.field == "image" for c in changes):
            changes = self._moved(current) + changes
        return tuple(changes)

    def _id_in_registry(self, current: Observed) -> str | None:
        """Return the running image's id where the registry knows it by the wanted reference."""
        if not self._may_pull:
            return None
        try:
            there = self._registry_digest()
        except FleetError:
            # The pull, which comes next, tells what is wrong with the registry.
            return None
        return current.image_id if there in self._daemon.digests(current.image_id) else None

    def _registry_digest(self) -> str:
        return self._daemon.registry_digest(self._wanted.container.image, self._wanted.timeouts.pull)

    def _moved(self, current: Observed) -> list[Change]:
        """Return the change of a tag that means another content in the registry now."""
        here = self._daemon.digests(current.image_id)
        there = self._registry_digest()
        return [] if there in here else [Change("image", ", ".join(here) or current.image_id, there)]

    def _missing(self) -> tuple[str, ...]:
        """Return the steps that bring what a new container needs to the host."""
        reference, weights = self._wanted.container.image, self._wanted.weights
        here = self._daemon.image(reference)
        steps = []
        if self._wanted.build:
            steps += [plan.BUILD_IMAGE] if here is None else []
        elif here is None and self._wanted.pull == NEVER:
            raise FleetError(
                f"image {reference} is not on the host, and pull is {NEVER}. Load it there, or set pull to {MISSING}."
            )
        elif here is None or (
            self._wanted.pull == ALWAYS and self._registry_digest() not in self._daemon.digests(reference)
        ):
            steps.append(plan.PULL_IMAGE)
        if weights and not weights.here():
            steps.append(plan.FETCH_WEIGHTS)
        return tuple(steps)

    # Acting

    def apply(self) -> Look:
        """Do what a look asks for, under the host's lock; return the look that was acted on.

        Raises :class:`FleetError` with what was there back in place when the engine does not come up.
        """
        with self._lock():
            look = self.look()
            ran = look.current.id if look.current and look.current.running else None
            self._sweep()
            fetched = tuple(step for step in look.steps if step in plan.FETCH)
            if fetched:
                self._fetch(fetched, look.current)
                # What the image is was a guess until now: a new reference may be the content that runs already.
                look = self.look()
            steps = tuple(step for step in look.steps if step not in plan.FETCH)
            self._do(steps, look.changes, ran)
            return replace(look, steps=fetched + steps)

    def _sweep(self) -> None:
        """Remove secret files whose container was never made: a run was cut off between the two."""
        containers = [self._own(name) for name in (self._name, self._next, self._previous)]
        secrets.sweep(self._name, {container.secrets_source for container in containers if container})

    def _fetch(self, steps: Sequence[str], current: Observed | None) -> None:
        """Bring the image and the weights to the host at the same time, while the old engine serves."""
        stop = threading.Event()
        problems: list[FleetError] = []
        with ThreadPoolExecutor(max_workers=1) as pool:
            weights: Future[str | None] | None = None
            if plan.FETCH_WEIGHTS in steps and self._wanted.weights:
                weights = pool.submit(self._wanted.weights.fetch, self._progress.say, stop)
            try:
                self._fetch_image(steps, lambda: weights is not None and weights.done() and bool(weights.exception()))
            except BaseException as error:
                stop.set()
                if not isinstance(error, FleetError):
                    raise
                problems.append(error)
            if weights:
                try:
                    warning = weights.result()
                except FleetError as error:
                    problems.append(error)
                else:
                    self.warnings += [warning] if warning else []
        if problems:
            untouched = f"\n{self._name} was not touched." if current else ""
            raise FleetError("\n".join(str(problem) for problem in problems) + untouched)

    def _fetch_image(self, steps: Sequence[str], cancelled: Callable[[], bool]) -> None:
        reference = self._wanted.container.image
        if plan.BUILD_IMAGE in steps and self._wanted.build:
            self._build(self._wanted.build, reference)
        if plan.PULL_IMAGE in steps:
            self._progress.say(f"pulling {reference}")
            self._daemon.pull(reference, self._wanted.timeouts.pull, self._progress.say, cancelled)

    def _build(self, build: Build, reference: str) -> None:
        self._progress.say(f"building image {reference}")
        with tempfile.NamedTemporaryFile(prefix="inference.fleet-", suffix=".tar") as archive:
            build.write(archive)  # type: ignore[arg-type]
            archive.flush()
            entrypoint = ", ".join(f'"{word}"' for word in build.entrypoint)
            self._daemon.import_image(
                archive.name, reference, [f"ENTRYPOINT [{entrypoint}]", f"LABEL {IMAGE_LABEL}={build.label}"]
            )

    def _do(self, steps: Sequence[str], changes: Sequence[Change], ran: str | None) -> None:
        """Do the steps; *ran* is the id of the container that ran when this run began."""
        # A container that an interrupted run kept is the way back of the one that it made.
        kept = self._own(self._previous)
        prepared = self._own(self._next)
        before = _Before(kept.id, ran=True) if kept else None
        for step in steps:
            if step == plan.REMOVE:
                self._remove_everything()
            elif step == plan.REMOVE_NEXT:
                self._remove(self._next)
            elif step == plan.REMOVE_PREVIOUS:
                self._remove(self._previous)
                before = None
            elif step == plan.PUT_BACK:
                self._put_back()
                before = None
            elif step == plan.CREATE:
                before = _Before()
                self._try(self._create_and_start, before)
            elif step == plan.REPLACE:
                old = self._own(self._name)
                before = _Before()
                if old:
                    # So did one that an interrupted run kept, or stopped when its successor was prepared; and a daemon
                    # that was restarted meanwhile may not have come to it yet.
                    kept_or_stopped = plan.PUT_BACK in steps or bool(prepared and old.stopped_after(prepared))
                    before = _Before(old.id, old.running or kept_or_stopped or old.id == ran)
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
            self._remove(self._previous)

    def _put_back(self) -> None:
        self._progress.say("an earlier run was interrupted: putting back the container that it kept")
        self._remove(self._next)
        self._remove(self._name)
        self._daemon.rename(self._previous, self._name)

    def _create_and_start(self) -> None:
        self._create(self._name)
        self._start_alone()

    def _create(self, name: str) -> None:
        wanted = self._wanted.container
        # The daemon refuses a bind mount whose source is not there.
        made = [path for path in (Path(mount.source) for mount in wanted.mounts) if make_directory(path)]
        source = secrets.write_new(self._name, wanted.secrets)
        labels = {**wanted.labels, **({LABEL_SECRETS: source} if source else {})}
        try:
            self._daemon.create(replace(wanted, labels=labels), name, source)
            user, group = self._daemon.user(name, wanted.image)
            if user:
                secrets.give([*made, *([Path(source)] if source else [])], user, group)
        except FleetError:
            secrets.remove(source)
            raise

    def _swap(self) -> None:
        """Put the new container in the old one's place; the old one is kept, stopped: they do not share GPUs."""
        self._remove(self._next)
        self._create(self._next)
        self._progress.say("stopping the old container; it is kept until the new one is ready")
        self._stop()
        self._daemon.rename(self._name, self._previous)
        self._daemon.rename(self._next, self._name)
        self._start_alone()

    def _start_alone(self) -> None:
        """Start a new container; another engine may have come up since the host was looked at."""
        with state.host_lock():
            self._refuse_conflicts()
            self._start()

    def _stop(self) -> None:
        self._daemon.stop(self._name, self._wanted.timeouts.stop)

    def _start(self) -> None:
        self._progress.say("starting the container")
        current = self._own(self._name)
        if current and current.status == "restarting":
            # The daemon waits longer each time before it starts one that ends again and again.
            self._stop()
        try:
            self._daemon.start(self._name, self._wanted.timeouts.start)
        except FleetError as error:
            cause = explain(str(error))
            raise FleetError(f"{error} That is: {cause}." if cause else str(error)) from error

    def _update(self, changes: Sequence[Change]) -> None:
        fields = {change.field for change in changes if change.how == compare.UPDATE}
        current, wanted = self._own(self._name), self._wanted.container
        if current is None:
            raise FleetError(f"container {self._name} was removed while it was to be updated. Run again.")
        if fields - {"networks", "labels"}:
            self._daemon.update(self._name, wanted, fields)
        if "networks" in fields:
            attached, networks = set(current.networks), set(compare.networks(wanted))
            for network in sorted(attached - networks):
                self._daemon.disconnect(self._name, network)
            for network in sorted(networks - attached):
                self._daemon.connect(self._name, network)
        if "labels" in fields:
            state.relabel(current, compare.our_labels(wanted))

    def _rewrite_secrets(self) -> None:
        current, wanted = self._own(self._name), self._wanted.container
        if current and current.secrets_source:
            secrets.rewrite(current.secrets_source, {key: wanted.secrets[key] for key in wanted.live_secrets})

    def _wait_and_warm_up(self) -> None:
        started = time.monotonic()
        container = self._wait()
        if self._probe.warm_up:
            self._progress.say("warming up")
            self._probe.warm_up(container, max(1.0, self._wanted.timeouts.ready - (time.monotonic() - started)))
        self._progress.say(f"ready after {time.monotonic() - started:.0f} s")

    def _wait(self) -> Observed:
        """Return the container when its endpoint serves; raise when it cannot, or not in time."""
        limit = self._wanted.timeouts.ready
        started = time.monotonic()
        log_since: float = time.time() - 1
        # The log is read by whole seconds, so a line comes more than once.
        said: set[str] = set()
        restarts: int | None = None
        outages = self._daemon.outages
        while True:
            container = self._own(self._name)
            if container is None:
                raise FleetError(f"container {self._name} was removed while its endpoint was awaited.")
            if self._daemon.outages != outages or self._ends_with_daemon(container):
                # That says nothing of the engine.
                outages, restarts = self._daemon.outages, None
                self._start()
                continue
            restarts = container.restart_count if restarts is None else restarts
            if not container.running or container.restart_count > restarts:
                raise FleetError(self._why_ended(container))
            missing = self._probe.ready(container, True)
            if missing is None:
                return container
            if time.monotonic() - started > limit:
                raise FleetError(
                    f"the endpoint of {self._name} was not ready within ready_timeout, {limit} s: {missing}. "
                    + self._last_words()
                )
            now = time.time()
            for line in self._daemon.logs(self._name, since=log_since, tail=200).splitlines():
                phase = self._probe.phase(line)
                if phase and phase not in said:
                    said.add(phase)
                    self._progress.say(phase)
            log_since = now - 1
            time.sleep(_LOOK_EVERY)

    def _ends_with_daemon(self, container: Observed) -> bool:
        """Tell whether a container ended because the daemon ends; return when the daemon is back.

        A daemon that shuts down stops its containers first, and answers until it has. One that is
        to run is not left alone by a daemon that goes on.
        """
        if container.status != "exited" or container.exit_code not in _STOPPED or container.oom_killed:
            return False
        outages, deadline = self._daemon.outages, time.monotonic() + _DAEMON_ENDS_WITHIN
        while time.monotonic() < deadline and self._daemon.outages == outages:
            found = self._own(self._name)
            if found is None or found.status != "exited":
                break
            time.sleep(_LOOK_EVERY)
        return self._daemon.outages != outages

    def _why_ended(self, container: Observed) -> str:
        log = self._daemon.logs(self._name, tail=400)
        cause = explain(log, container.exit_code, container.oom_killed)
        how = f"the engine in {self._name} ended with exit code {container.exit_code} before it was ready"
        if container.error:
            how += f" ({container.error})"
        return f"{how}: {cause}. {self._last_words()}" if cause else f"{how}. {self._last_words()}"

    def _last_words(self) -> str:
        lines = last_lines(self._daemon.logs(self._name, tail=100))
        return "Its last lines:\n" + "\n".join(lines) if lines else "It wrote no log."

    # Going back

    def _try(self, work: Callable[[], None], before: _Before | None) -> None:
        """Do something that can fail; where a new container was made, go back then to what was there before it."""
        try:
            work()
        except FleetError as error:
            if before is None:
                raise
            try:
                outcome = self._go_back(before)
            except FleetError as second:
                outcome = f"Going back failed too: {second} Run again: the next run takes up what was left."
            raise FleetError(f"{error}\n{outcome}", **error.details) from error

    def _go_back(self, before: _Before) -> str:
        """Remove the failed container, keep its log, have the one before it as it was; say so in a sentence."""
        where = ""
        for name in (self._next, self._name):
            container = self._own(name)
            if container and container.id != before.id:
                if container.was_started:
                    where = f"The failed container's whole log is in {self._keep_log(name)}. "
                self._remove(name)
        if before.id is None:
            return f"{where}There was no container before it, so none is left."
        if self._own(self._name) is None:
            self._daemon.rename(self._previous, self._name)
        if not before.ran:
            return f"{where}The container before it is as it was, not running."
        self._progress.say("the new container failed; the old one is put back")
        self._daemon.start(self._name, self._wanted.timeouts.start)
        try:
            self._wait()
        except FleetError as error:
            return f"{where}The container before it was put back and started, but does not serve: {error}"
        return f"{where}The container before it was put back and serves again."

    def _keep_log(self, name: str) -> str:
        return str(state.keep_log(self._name, self._daemon.logs(name)))

    def _remove(self, name: str) -> None:
        container = self._own(name)
        if container:
            self._daemon.remove(name)
            secrets.remove(container.secrets_source)

    def _remove_everything(self) -> None:
        current = self._own(self._name)
        if current and current.running:
            self._stop()
        for name in (self._next, self._name, self._previous):
            self._remove(name)
        state.forget(self._name)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one run at a time work on this container; another waits, as long as a run may take."""
        deadline = time.monotonic() + self._wanted.timeouts.longest
        with state.lock_path(self._name).open("w") as stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise FleetError(
                            f"another run has been working on {self._name} for longer than its time-outs allow. "
                            "Wait for it, or end it, and run again."
                        ) from None
                    self._progress.say(f"waiting for another run that works on {self._name}")
                    time.sleep(1)
            yield
