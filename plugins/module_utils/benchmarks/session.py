# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A benchmark: warm-up, then repeats, each of which counts only when every request did what was asked.

A sweep is that for several workloads, one after the other: its points.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import (
    answers,
    counting,
    disturbances,
    load,
    preconditions,
    runner,
    telemetry,
)
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.plan import Plan
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.redaction import redact
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.remarks import DOUBT, Remark
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Workload
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import RepeatResult

# Progress lines are this far apart in time, and in the share of the requests.
SAY_SECONDS = 2.0
SAY_SHARE = 0.1


class Runner(Protocol):
    """What runs a client: see :mod:`.runner`."""

    executable: str
    # Of the image that the client comes from, where it comes from one: a tag says little.
    image_id: str | None
    # The client's first process while it runs.
    pid: int | None

    def version(self, distribution: str) -> str | None: ...

    def module(self, names: Sequence[str]) -> str | None: ...

    def run(
        self,
        argv: Sequence[str],
        environment: dict[str, str],
        directory: Path,
        timeout: float,
        tick: Callable[[str], None],
    ) -> runner.Ended: ...


@dataclass(frozen=True)
class Repeat:
    """A repeat that counts. Times are RFC 3339, UTC. C(counted) is what the engine counted meanwhile."""

    index: int
    seed: int
    started_at: str
    finished_at: str
    result: RepeatResult
    raw: dict[str, Any]
    telemetry: Mapping[str, Any] | None = None
    counted: load.Totals = field(default_factory=load.Totals)
    accept_lengths: tuple[float, ...] = ()
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Point:
    """A workload, and its repeats that count."""

    workload: Workload
    repeats: tuple[Repeat, ...]


@dataclass(frozen=True)
class Measured:
    """What came of a benchmark: the points that count, and the failure that ended a sweep before its time.

    C(answers) is what a result document says of the engine's answers; C(simulated) tells of an endpoint that says of
    itself that no model answers.
    """

    points: tuple[Point, ...]
    failure: FleetError | None = None
    answers: Mapping[str, Any] | None = None
    simulated: bool = False


def now() -> str:
    """Return the time as result documents have it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def run(plan: Plan, client_runner: Runner, work_dir: Path, progress: Progress) -> Measured:
    """Run the warm-up and the repeats of each point.

    Each run of the client has a directory of its own under *work_dir*, which is gone at the end unless a run failed.
    FleetError where the endpoint is not ready, it answers wrong before or after, or the first point does not count. A
    later point that does not ends the sweep, and loses nothing that was measured before it.
    """
    workloads = plan.points()
    for workload in workloads:
        preconditions.require_ready(plan.endpoint, workload, plan.api_key)
    work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    simulated = answers.simulated(plan.endpoint, plan.api_key)
    before = None
    if plan.check_answers and not simulated:
        _require_idle(plan, progress)
        progress.say("asking the engine questions with one right answer")
        before = answers.ask(plan.endpoint, plan.api_key)
        answers.require(before, plan.min_right_answers / 100, "before")
    points: list[Point] = []
    failure = None
    for number, workload in enumerate(workloads, start=1):
        prefix = f"point {number}/{len(workloads)} ({_difference(workload, workloads)}), " if len(workloads) > 1 else ""
        try:
            points.append(_run_point(plan, workload, client_runner, work_dir / f"point-{number}", prefix, progress))
        except FleetError as error:
            if not points:
                raise
            failure = error
            break
    after = _ask_again(plan, failure, work_dir) if before else None
    if failure is None:
        shutil.rmtree(work_dir, ignore_errors=True)
    return Measured(tuple(points), failure, _told(plan, simulated, before, after), simulated)


def _ask_again(plan: Plan, failure: FleetError | None, work_dir: Path) -> answers.Score | None:
    """Return the score after a benchmark; None where the engine is gone, which *failure* tells of already."""
    try:
        score = answers.ask(plan.endpoint, plan.api_key)
    except FleetError as error:
        if failure:
            return None
        raise FleetError(f"{error}. The raw output is kept on the host in {work_dir}.") from error
    try:
        answers.require(score, plan.min_right_answers / 100, "after")
    except FleetError as error:
        raise FleetError(f"{error}. The raw output is kept on the host in {work_dir}.") from error
    return score


def _told(plan: Plan, simulated: bool, before: answers.Score | None, after: answers.Score | None) -> dict[str, Any]:
    """Return what the result document says of the engine's answers."""
    reason = "no model answers: the endpoint is a simulator" if simulated else "said by the user"
    return {
        "applicable": before is not None,
        "reason": None if before else reason,
        "wanted_share": plan.min_right_answers / 100 if before else None,
        "before": before.as_dict() if before else None,
        "after": after.as_dict() if after else None,
    }


def _require_idle(plan: Plan, progress: Progress) -> str | None:
    """Return when nobody uses the engine, with a note where it does not tell."""
    return load.require_idle(plan.endpoint, plan.api_key, plan.wait_idle, progress.say_asked)


def _difference(workload: Workload, workloads: Sequence[Workload]) -> str:
    """Return what tells a point from the others, as C(max_concurrency 8)."""
    shapes = [item.as_dict() for item in workloads]
    varied = [name for name in shapes[0] if name != "seed" and len({shape[name] for shape in shapes}) > 1]
    return ", ".join(f"{name} {workload.as_dict()[name]}" for name in varied)


def _run_point(
    plan: Plan, workload: Workload, client_runner: Runner, directory: Path, prefix: str, progress: Progress
) -> Point:
    unknown = _require_idle(plan, progress)
    directory.mkdir(mode=0o700)
    if plan.warmup:
        warmup = workload.warmup()
        progress.say(f"{prefix}warm-up: {warmup.num_prompts} requests, not counted")
        _run_once(plan, warmup, client_runner, directory / "warmup", f"{prefix}warm-up", progress)
    repeats = []
    for index in range(1, plan.repeats + 1):
        started_at = now()
        # With the same prompts the second repeat would be served from the prefix cache.
        own = workload.with_seed(workload.seed + index - 1)
        title = f"{prefix}benchmark {index}/{plan.repeats}"
        progress.say(
            f"{title}: starting {plan.client.NAME}, {own.num_prompts} requests, {own.max_concurrency} at a time"
        )
        once = _run_once(plan, own, client_runner, directory / f"repeat-{index}", title, progress)
        result = once.result
        progress.say(
            f"{title}: done in {result.duration:.0f} s, output {result.metrics['output_throughput']:.1f} tok/s, "
            f"TTFT {result.metrics['mean_ttft_ms']:.0f} ms"
        )
        remarks = [Remark(remark.kind, f"{title}: {remark.text}") for remark in once.remarks]
        if unknown:
            remarks.append(Remark(DOUBT, unknown))
        if plan.gpus and once.telemetry["gpus"] is None:
            remarks.append(Remark(DOUBT, telemetry.NO_GPUS))
        repeats.append(
            Repeat(
                index,
                own.seed,
                started_at,
                now(),
                result,
                once.raw,
                once.telemetry,
                once.counted,
                once.accept_lengths,
                tuple(remarks),
            )
        )
    return Point(workload, tuple(repeats))


@dataclass(frozen=True)
class _Once:
    """What came of one run of the client that counts."""

    result: RepeatResult
    raw: dict[str, Any]
    telemetry: dict[str, Any]
    counted: load.Totals
    accept_lengths: tuple[float, ...]
    remarks: tuple[Remark, ...]


def _run_once(
    plan: Plan, workload: Workload, client_runner: Runner, directory: Path, title: str, progress: Progress
) -> _Once:
    """Run the client once. FleetError where the run does not count."""
    directory.mkdir(mode=0o700)
    for name, text in plan.client.files(workload, plan.endpoint).items():
        (directory / name).write_text(text, encoding="utf-8")
    argv = plan.argv(workload, directory, client_runner.executable)
    watch = _Watch(title, workload.num_prompts, progress.say)
    sampler = telemetry.Sampler(plan.endpoint, plan.api_key, plan.gpus, lambda: client_runner.pid)

    def tick(text: str) -> None:
        progress.require_asked()
        watch.see(plan.client.requests_done(directory, text))

    log = ""
    before = load.look(plan.endpoint, plan.api_key)
    try:
        with sampler:
            ended = client_runner.run(
                argv,
                plan.client.environment(plan.api_key),
                directory,
                plan.timeout,
                tick,
            )
        log = ended.log
        after = load.settled(plan.endpoint, plan.api_key)
        counted = after.totals.since(before.totals) if before and after else load.Totals()
        result, raw = _judge(plan, workload, directory, ended, counted)
    except FleetError as error:
        log = runner.last_lines(str(error.details.get("log", log)))
        known = [plan.api_key] if plan.api_key else []
        log = redact(log, known)
        parts = [f"{title} does not count: {error}."]
        if isinstance(error, runner.TimeLimitError):
            parts.append(f"{watch.done} of {workload.num_prompts} requests were over. Raise timeout, or ask for less.")
        if "answers" in error.details:
            parts.append(f"The server answered: {error.details['answers']}.")
        if plan.extra_args:
            parts.append(f"extra_args may be why: {shlex.join(redact(plan.extra_args, known))}.")
        parts.append(f"The raw output is kept on the host in {directory}.")
        if log:
            parts.append(f"Last lines of {plan.client.NAME}:\n{log}")
        raise FleetError(" ".join(parts), command=shlex.join(redact(argv, known)), raw_output=str(directory)) from error
    seen = telemetry.summarise(sampler.samples, result.duration, plan.gpus)
    most = round(seen["engine"]["requests"]["max"]) if seen["engine"] else 0
    return _Once(
        result,
        raw,
        seen,
        counted,
        sampler.samples.accept_lengths(),
        tuple(counting.remarks(result, workload, counted, most) + disturbances.remarks(seen, result.duration)),
    )


def _judge(
    plan: Plan, workload: Workload, directory: Path, ended: runner.Ended, counted: load.Totals
) -> tuple[RepeatResult, dict[str, Any]]:
    """Return what a run came to if it counts, else raise FleetError. The exit code alone decides nothing."""
    try:
        raw = plan.client.load(directory)
        result = plan.client.parse(raw, workload, plan.slo)
    except FleetError as error:
        asked = preconditions.ask_once(plan.endpoint, workload, plan.api_key)
        raise FleetError(f"{error}; the client ended with exit code {ended.exit_code}", answers=asked) from error
    faults = counting.shortfalls(result, workload) or counting.faults(result, workload, counted, plan.max_prefix_cached)
    if faults:
        asked = preconditions.ask_once(plan.endpoint, workload, plan.api_key)
        answers = "; ".join([*result.errors[:3], asked])
        raise FleetError(f"{'; '.join(faults)} (the client's exit code: {ended.exit_code})", answers=answers)
    return result, plan.client.compact(raw)


class _Watch:
    """Turns counts of finished requests into a few lines."""

    def __init__(self, title: str, wanted: int, say: Callable[[str], None]) -> None:
        self._title, self._wanted, self._say = title, wanted, say
        self._started = self._said_at = time.monotonic()
        self._said = 0
        self.done = 0

    def see(self, done: int | None) -> None:
        moment = time.monotonic()
        self.done = done or self.done
        if done is None or done <= self._said or moment - self._said_at < SAY_SECONDS:
            return
        if done - self._said >= self._wanted * SAY_SHARE or moment - self._said_at >= 30:
            self._say(f"{self._title}: {done} of {self._wanted} requests, {moment - self._started:.0f} s")
            self._said, self._said_at = done, moment


def make_work_dir(parent: str, run_id: str) -> Path:
    """Return the directory of a run, which does not exist yet. FleetError where nothing can be written there."""
    path = Path(parent) / run_id
    try:
        Path(parent).mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise FleetError(f"work_dir {parent} cannot be made: {error.strerror}") from error
    if not os.access(parent, os.W_OK):
        raise FleetError(f"work_dir {parent} cannot be written to by this user")
    return path
