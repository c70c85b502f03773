# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one engine container from what it is to what it should be, with a way back."""

from __future__ import annotations

import fcntl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

from ansible_collections.inference.fleet.plugins.module_utils.containers import compare, plan, secrets
from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import Change
from ansible_collections.inference.fleet.plugins.module_utils.containers.daemon import Daemon
from ansible_collections.inference.fleet.plugins.module_utils.containers.failures import explain, last_lines
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL_SECRETS, Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

MISSING, ALWAYS, NEVER = "missing", "always", "never"
PULL_POLICIES = (MISSING, ALWAYS, NEVER)

# A label on images that are made on the host.
IMAGE_LABEL = "inference.fleet.image"
# Often enough to see readiness within a second; each look is one inspect and one probe.
_LOOK_EVERY = 0.5


@dataclass(frozen=True)
class Build:
    """How to make the image on the host: see :class:`engines.spec.ImageBuild`."""

    entrypoint: tuple[str, ...]
    write: Callable[[BinaryIO], None]
    label: str


@dataclass(frozen=True)
class Timeouts:
    """Limits in seconds."""

    pull: int = 3600
    ready: int = 1800
    stop: int = 30


@dataclass(frozen=True)
class Wanted:
    """What the user asked for."""

    state: str
    container: ContainerSpec
    pull: str = MISSING
    build: Build | None = None
    recreate: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True)
class Probe:
    """How to tell whether the endpoint serves.

    ``ready`` returns ``None`` when it does, else what is missing. ``phase`` reads a line of the
    engine's log. ``thorough`` asks for a completion too, which a look at a busy engine does not.
    """

    ready: Callable[[bool], str | None]
    phase: Callable[[str], str | None]


@dataclass(frozen=True)
class Look:
    """What a look at the host found, and what follows from it."""

    current: Observed | None
    changes: tuple[Change, ...]
    steps: tuple[str, ...]
    ready: bool

    @property
    def changed(self) -> bool:
        """Whether the steps change anything."""
        return plan.changed(self.steps)


class Lifecycle:
    """One engine container on one host."""

    def __init__(self, daemon: Daemon, wanted: Wanted, probe: Probe, progress: Progress) -> None:
        self._daemon = daemon
        self._wanted = wanted
        self._probe = probe
        self._progress = progress
        self._name = wanted.container.name
        self._next = f"{self._name}-next"
        self._previous = f"{self._name}-previous"

    # Looking

    def look(self) -> Look:
        """Find out what is there and what to do. Changes nothing."""
        current = self._own(self._name)
        has_next, has_previous = bool(self._own(self._next)), bool(self._own(self._previous))
        serves = self._wanted.state in (plan.PRESENT, plan.RESTARTED)
        changes = tuple(self._changes(current)) if current and serves else ()
        running = bool(current and current.running)
        ready = running and self._probe.ready(False) is None
        situation = plan.Situation(
            exists=current is not None,
            running=running,
            ready=ready,
            changes=changes,
            has_next=has_next,
            has_previous=has_previous,
        )
        steps = tuple(plan.plan(self._wanted.state, situation, self._wanted.recreate))
        return Look(current, changes, steps, ready)

    def _own(self, name: str) -> Observed | None:
        found = self._daemon.container(name)
        if found and not found.ours:
            raise FleetError(
                f"a container named {name} is there already, and inference.fleet did not make it "
                f"(image {found.spec.image}, {found.status}). It was not touched. "
                f"Choose another container_name, or remove it: docker rm -f {name}"
            )
        return found

    def _changes(self, current: Observed) -> list[Change]:
        wanted = self._wanted.container
        # A reference that is the same is the same image, even where its tag has moved on the host.
        image_id = None
        if wanted.image != current.spec.image:
            image_id = (self._daemon.image(wanted.image) or {}).get("Id")
        changes = compare.compare(wanted, current, image_id, secrets.read(current.secrets_source))
        if self._wanted.pull == ALWAYS and not self._wanted.build and not any(c.field == "image" for c in changes):
            changes = self._moved(current) + changes
        return changes

    def _moved(self, current: Observed) -> list[Change]:
        """Return the change of a tag that means another content in the registry now."""
        here = self._daemon.digests(current.image_id)
        there = self._daemon.registry_digest(self._wanted.container.image)
        return [] if there in here else [Change("image", ", ".join(here) or current.image_id, there)]

    # Acting

    def apply(self) -> Look:
        """Do what a look asks for, under the host's lock; return the look that was acted on.

        Raises :class:`FleetError` with what was there back in place when the engine does not come up.
        """
        with self._lock():
            look = self.look()
            if self._wanted.state == plan.ABSENT:
                self._remove_everything(look)
                return look
            if plan.PUT_BACK in look.steps:
                self._remove(self._next)
                self._remove(self._name)
                self._progress.say("an earlier run was interrupted: putting back the container that it kept")
                self._daemon.rename(self._previous, self._name)
                look = self.look()
            if _makes_container(look.steps):
                look = self._fetch(look)
            self._do(look)
            return look

    def _fetch(self, look: Look) -> Look:
        """Have the image on the host while the old container still runs; look again if that tells more."""
        reference = self._wanted.container.image
        here = self._daemon.image(reference)
        if self._wanted.build:
            if here is None:
                self._build(self._wanted.build, reference)
        elif here is None or self._wanted.pull == ALWAYS:
            if self._wanted.pull == NEVER:
                raise FleetError(
                    f"image {reference} is not on the host, and pull is {NEVER}. "
                    f"Load it there, or set pull to {MISSING}."
                )
            self._progress.say(f"pulling {reference}")
            self._daemon.pull(reference, self._wanted.timeouts.pull, self._progress.say)
            # What the image is was a guess until now: a new reference may be the content that runs already.
            return self.look()
        return look

    def _build(self, build: Build, reference: str) -> None:
        self._progress.say(f"building image {reference}")
        with tempfile.NamedTemporaryFile(prefix="inference.fleet-", suffix=".tar") as archive:
            build.write(archive)  # type: ignore[arg-type]
            archive.flush()
            entrypoint = ", ".join(f'"{word}"' for word in build.entrypoint)
            self._daemon.import_image(
                archive.name, reference, [f"ENTRYPOINT [{entrypoint}]", f"LABEL {IMAGE_LABEL}={build.label}"]
            )

    def _do(self, look: Look) -> None:
        made = False
        for step in look.steps:
            if step == plan.REMOVE_NEXT:
                self._remove(self._next)
            elif step == plan.REMOVE_PREVIOUS:
                self._remove(self._previous)
            elif step == plan.CREATE:
                self._create(self._name)
                made = True
                self._try(self._start, made)
            elif step == plan.REPLACE:
                self._swap()
                made = True
                self._try(self._start, made)
            elif step == plan.UPDATE_CONTAINER:
                policy = self._wanted.container.restart_policy
                self._daemon.update_restart_policy(self._name, policy.name, policy.maximum_retries)
            elif step == plan.REWRITE_SECRETS:
                self._rewrite_secrets()
            elif step == plan.START:
                self._daemon.start(self._name)
            elif step == plan.RESTART:
                self._daemon.stop(self._name, self._wanted.timeouts.stop)
                self._daemon.start(self._name)
            elif step == plan.STOP:
                self._daemon.stop(self._name, self._wanted.timeouts.stop)
            elif step == plan.WAIT:
                self._try(self._wait, made)
        if made:
            self._remove(self._previous)

    def _create(self, name: str) -> None:
        wanted = self._wanted.container
        for mount in wanted.mounts:
            # The daemon refuses a bind mount whose source is not there.
            if not Path(mount.source).exists():
                Path(mount.source).mkdir(parents=True)
        source = secrets.write_new(self._name, wanted.secrets)
        labels = {**wanted.labels, **({LABEL_SECRETS: source} if source else {})}
        try:
            self._daemon.create(replace(wanted, labels=labels), name, source)
        except FleetError:
            secrets.remove(source)
            raise

    def _swap(self) -> None:
        """Put the new container in the old one's place; the old one is kept, stopped."""
        self._remove(self._next)
        self._create(self._next)
        self._progress.say("stopping the old container; it is kept until the new one is ready")
        try:
            self._daemon.stop(self._name, self._wanted.timeouts.stop)
            self._daemon.rename(self._name, self._previous)
            self._daemon.rename(self._next, self._name)
        except FleetError:
            if self._own(self._name) is None:
                self._daemon.rename(self._previous, self._name)
            self._daemon.start(self._name)
            self._remove(self._next)
            raise

    def _start(self) -> None:
        self._progress.say("starting the container")
        try:
            self._daemon.start(self._name)
        except FleetError as error:
            cause = explain(str(error))
            raise FleetError(f"{error} That is: {cause}." if cause else str(error)) from error

    def _rewrite_secrets(self) -> None:
        current, wanted = self._own(self._name), self._wanted.container
        if current and current.secrets_source:
            secrets.rewrite(current.secrets_source, {key: wanted.secrets[key] for key in wanted.live_secrets})

    def _wait(self) -> None:
        """Return when the endpoint serves; raise when it cannot, or not in time."""
        limit = self._wanted.timeouts.ready
        started = time.monotonic()
        log_since: float = time.time() - 1
        # The log is read by whole seconds, so a line comes more than once.
        said: set[str] = set()
        restarts: int | None = None
        while True:
            container = self._own(self._name)
            if container is None:
                raise FleetError(f"container {self._name} was removed while its endpoint was awaited.")
            restarts = container.restart_count if restarts is None else restarts
            if not container.running or container.restart_count > restarts:
                raise FleetError(self._why_ended(container))
            missing = self._probe.ready(True)
            if missing is None:
                self._progress.say(f"ready after {time.monotonic() - started:.0f} s")
                return
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

    def _try(self, work: Callable[[], None], made: bool) -> None:
        """Do something that can fail after a new container was made; then go back to what was there."""
        try:
            work()
        except FleetError as error:
            if not made:
                raise
            try:
                outcome = self._go_back()
            except FleetError as second:
                outcome = f"Going back failed too: {second} Run again: the next run takes up what was left."
            raise FleetError(f"{error}\n{outcome}", **error.details) from error

    def _go_back(self) -> str:
        """Remove the failed container, keep its log, start the one before it; say so in a sentence."""
        log_path = self._keep_log()
        self._remove(self._name)
        where = f"The failed container's whole log is in {log_path}."
        if self._daemon.container(self._previous) is None:
            return f"{where} There was no container before it, so none is left."
        self._daemon.rename(self._previous, self._name)
        self._daemon.start(self._name)
        self._progress.say("the new container failed; the old one is started again")
        try:
            self._wait()
        except FleetError as error:
            return f"{where} The container before it was put back and started, but does not serve: {error}"
        return f"{where} The container before it was put back and serves again."

    def _keep_log(self) -> str:
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        path = secrets.directory(self._name) / f"failed-{stamp}.log"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(self._daemon.logs(self._name))
        return str(path)

    def _remove(self, name: str) -> None:
        container = self._own(name)
        if container:
            self._daemon.remove(name)
            secrets.remove(container.secrets_source)

    def _remove_everything(self, look: Look) -> None:
        if look.current and look.current.running:
            self._daemon.stop(self._name, self._wanted.timeouts.stop)
        for name in (self._next, self._name, self._previous):
            self._remove(name)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one run at a time work on this container; another waits, as long as a start may take."""
        secrets.STATE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + self._wanted.timeouts.ready + self._wanted.timeouts.pull
        with (secrets.STATE_DIR / f"{self._name}.lock").open("w") as stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise FleetError(
                            f"another run has been working on {self._name} for longer than pull_timeout and "
                            "ready_timeout together. Wait for it, or end it, and run again."
                        ) from None
                    self._progress.say(f"waiting for another run that works on {self._name}")
                    time.sleep(1)
            yield


def _makes_container(steps: tuple[str, ...]) -> bool:
    """Tell whether steps make a container."""
    return plan.CREATE in steps or plan.REPLACE in steps
