# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one engine container from what it is to what it should be, with a way back."""

from __future__ import annotations

import fcntl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.containers import compare, plan, secrets, state
from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import Change
from ansible_collections.inference.fleet.plugins.module_utils.containers.daemon import Daemon
from ansible_collections.inference.fleet.plugins.module_utils.containers.look import Look, Looker
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL_SECRETS, Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.start import Start
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import IMAGE_LABEL, Build, Probe, Wanted
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis import lines
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import explain
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.files import make_directory
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

# Often enough to see readiness within a second; each look is one inspect and one probe.
_LOOK_EVERY = 0.25
# The exit codes of a process that was asked to end, or made to.
_STOPPED = (0, 137, 143)
# How many lines of a log are read at once, for what is new or for the cause of a failure.
_LAST_LINES = 10_000
# How long, in seconds, a daemon that shuts down may answer after it stopped a container.
_DAEMON_ENDS_WITHIN = 10


@dataclass(frozen=True)
class _Before:
    """The container to go back to, if there was one, and whether it ran."""

    id: str | None = None
    ran: bool = False


class Lifecycle(Looker):
    """One engine container on one host: looks at it, and does what there is to do."""

    def __init__(self, daemon: Daemon, wanted: Wanted, probe: Probe, progress: Progress) -> None:
        super().__init__(daemon, wanted, probe)
        self._progress = progress

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
            for network in compare.networks(wanted)[1:]:
                self._daemon.connect(name, network)
            user, group = self._daemon.user(name, wanted.image, wanted.user)
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
        with self._progress.heartbeat(lambda: f"the container has {self._wanted.timeouts.stop} s to stop"):
            self._daemon.stop(self._name, self._wanted.timeouts.stop)

    def _start(self) -> None:
        self._progress.say("starting the container")
        current = self._own(self._name)
        if current and current.status == "restarting":
            # The daemon waits longer each time before it starts one that ends again and again.
            self._stop()
        try:
            with self._progress.heartbeat(lambda: "the Docker daemon is still starting the container"):
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
            attach, detach = compare.attachments(wanted, current)
            for network in detach:
                self._daemon.disconnect(self._name, network)
            for network in attach:
                self._daemon.connect(self._name, network)
        if "labels" in fields:
            state.relabel(current, compare.our_labels(wanted))

    def _rewrite_secrets(self) -> None:
        current, wanted = self._own(self._name), self._wanted.container
        if current and current.secrets_source:
            secrets.rewrite(current.secrets_source, {key: wanted.secrets[key] for key in wanted.live_secrets})

    def _wait_and_warm_up(self) -> None:
        start = self._started()
        with self._progress.heartbeat(start.words):
            container = self._wait(start)
            if self._probe.warm_up:
                self._progress.say("warming up")
                start.awaits("its answers to the warm-up")
                self._probe.warm_up(container, max(1.0, self._wanted.timeouts.ready - start.seconds))
        self._progress.say(f"ready after {start.seconds:.0f} s")

    def _started(self) -> Start:
        return Start(self._probe.log(), self._wanted.timeouts.ready, self._progress.say)

    def _wait(self, start: Start) -> Observed:
        """Return the container when its endpoint serves; raise when it cannot, or not in time."""
        limit = self._wanted.timeouts.ready
        log_since: float = time.time() - 1
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
            start.asks()
            missing = self._probe.ready(container, True)
            now = time.time()
            start.read(self._daemon.logs(self._name, since=log_since, tail=_LAST_LINES))
            log_since = now - 1
            if missing is None:
                return container
            start.awaits(missing)
            if start.seconds > limit:
                raise FleetError(
                    f"the endpoint of {self._name} was not ready within ready_timeout, {limit} s: {missing}. "
                    + self._last_words()
                )
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
        # Each of many processes may have written a long traceback, and the first that failed matters.
        log = self._daemon.logs(self._name, tail=_LAST_LINES)
        cause = self._probe.log().explain(log, container.exit_code, container.oom_killed)
        how = f"the engine in {self._name} ended with exit code {container.exit_code} before it was ready"
        if container.error:
            how += f" ({container.error})"
        return f"{how}: {cause}. {self._last_words()}" if cause else f"{how}. {self._last_words()}"

    def _last_words(self) -> str:
        words = lines.last(self._daemon.logs(self._name, tail=100))
        return "Its last lines:\n" + "\n".join(words) if words else "It wrote no log."

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
        start = self._started()
        try:
            with self._progress.heartbeat(start.words):
                self._wait(start)
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
