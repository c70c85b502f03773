# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regressions in a history: hosts that became slower than they were, or that are slower than their siblings.

docs/history.md says what counts as one. Pure functions: the same documents give the same answer.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import environment, robust, siblings, steps
from ansible_collections.inference.fleet.plugins.module_utils.history.acknowledged import Acknowledgement
from ansible_collections.inference.fleet.plugins.module_utils.results import metrics, series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import Subject, subject

Document = Mapping[str, Any]

# What can be watched.
METRICS: Mapping[str, metrics.Metric] = {metric.key: metric for metric in metrics.COMPARED}
# The smallest change that counts, in per cent. The time to the first token varies most between runs.
LEAST = {
    "output_throughput": 1.5,
    "mean_ttft_ms": 5.0,
    "p99_ttft_ms": 10.0,
    "mean_tpot_ms": 1.5,
    "mean_itl_ms": 1.5,
}
# How many runs in a row must agree.
CONFIRM = 2
# A series whose last run is older than that of the whole history by this many days is no longer watched.
MAX_AGE = 30

STEP, SLOWER = "step", "siblings"
# No two runs are closer to one another than this, as a standard deviation of their logarithms.
_NOISE = 0.002


@dataclass(frozen=True)
class Finding:
    """One regression. *subject* is the id of what was measured, *slot* the engine's place on the host.

    *before* and *now* are in the metric's unit, *change_percent* is of *before*. *kind* is C(step) for a host that
    changed, and C(siblings) for one that its siblings outrun. *since_run* is the first run of the step, *since* its
    time; *last_good_run* the one before it. *runs* tells how many runs it has lasted. *changed* lists what changed with
    the step, or what sets a slow host apart.
    """

    kind: str
    subject: str
    host: str
    slot: str
    simulated: bool
    profile: str
    engine: str
    model: str
    workload: str
    metric: str
    unit: str
    before: float
    now: float
    change_percent: float
    since_run: str
    since: str
    last_good_run: str | None
    runs: int
    changed: tuple[Mapping[str, str], ...] = ()
    sentence: str = ""

    @property
    def short(self) -> str:
        """The figure and its change."""
        return f"{METRICS[self.metric].label} {_size(self.change_percent)}"


@dataclass(frozen=True)
class Found:
    """What a history shows: *regressions*, and those that were *acknowledged*.

    *suspected* are sentences on last runs that look like a step, and are too few to tell it from chance. *watched*
    counts the series, *young* those of them with too few runs for a step to be found. *unused* are acknowledgements
    of nothing.
    """

    regressions: tuple[Finding, ...] = ()
    acknowledged: tuple[Finding, ...] = ()
    suspected: tuple[str, ...] = ()
    watched: int = 0
    young: int = 0
    unused: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can have."""
        return asdict(self)


@dataclass(frozen=True)
class _Row:
    """One metric of one series: the logarithms of its figures, oldest first, larger being better."""

    metric: metrics.Metric
    runs: tuple[Document, ...]
    values: tuple[float, ...]

    @property
    def repeats(self) -> float:
        """The spread of the repeats within a run."""
        return robust.pooled(
            [math.log(value) for value in siblings.repeats(run, self.metric.key) if value > 0] for run in self.runs
        )

    def figure(self, value: float) -> float:
        return math.exp(value if self.metric.higher_is_better else -value)


def find(
    documents: Iterable[Document],
    acknowledgements: Sequence[Acknowledgement] = (),
    least: Mapping[str, float] | None = None,
    confirm: int = CONFIRM,
    max_age: float = MAX_AGE,
) -> Found:
    """Return the regressions of a history.

    *documents* come in any order. *least* has the smallest change that counts, in per cent, by metric; only its metrics
    are watched. *max_age* is in days.
    """
    least = LEAST if least is None else least
    ordered = sorted(documents, key=lambda document: (words.parse_time(document["started_at"]), document["run_id"]))
    groups = [
        [item for item in members if _age(item.latest, ordered[-1]) <= timedelta(days=max_age)]
        for members in _families(ordered)
    ]
    used: set[int] = set()
    open_steps: list[Finding] = []
    settled: list[Finding] = []
    suspects: dict[str, list[str]] = {}
    for members in groups:
        for key, smallest in least.items():
            rows = [row for row in (_row(item, key) for item in members) if row.values]
            steady = _typical_noise(rows)
            found = [_of_row(row, steady, smallest / 100, confirm, acknowledgements, used) for row in rows]
            mine = [step for step, _known, _suspect in found if step]
            open_steps += [_with_siblings(step, mine, len(rows)) for step in mine]
            settled += [step for _step, known, _suspect in found for step in known]
            for row, (_step, _known, suspect) in zip(rows, found, strict=True):
                if suspect:
                    run = row.runs[-1]
                    suspects.setdefault(f"{_subject(run)}, {run['run_id']}", []).append(suspect)
    if siblings.METRIC in least:
        hosts, known = _slower(groups, confirm, acknowledgements, used)
        # One that became slower has been told of, or accepted, already.
        told = {item.subject for item in (*open_steps, *settled)}
        open_steps += [item for item in hosts if item.subject not in told]
        settled += known
    return Found(
        regressions=tuple(sorted(open_steps, key=_order)),
        acknowledged=tuple(sorted(settled, key=_order)),
        suspected=tuple(
            f"{run}: {', '.join(changes)}. {confirm} such runs in a row would be a regression."
            for run, changes in suspects.items()
        ),
        watched=sum(map(len, groups)),
        young=sum(len(item.runs) < steps.KNOWN + confirm for members in groups for item in members),
        unused=tuple(item.text() for number, item in enumerate(acknowledgements) if number not in used),
    )


def _families(ordered: Sequence[Document]) -> list[list[series.Series]]:
    """Return the series whose hosts are siblings of one another."""
    families: dict[Subject, list[series.Series]] = {}
    for item in series.successions(series.all_series(ordered)):
        families.setdefault(item.subject.kind, []).append(item)
    return list(families.values())


def _age(document: Document, newest: Document) -> timedelta:
    return words.parse_time(newest["started_at"]) - words.parse_time(document["started_at"])


def _order(item: Finding) -> tuple[Any, ...]:
    place = (item.simulated, item.host, item.slot, item.profile, item.engine, item.model, item.workload, item.subject)
    return (*place, list(METRICS).index(item.metric), item.kind)


def _row(item: series.Series, key: str) -> _Row:
    metric = METRICS[key]
    sign = 1 if metric.higher_is_better else -1
    runs = tuple(run for run in item.runs if (series.value(run, key) or 0) > 0)
    return _Row(metric, runs, tuple(sign * math.log(series.value(run, key)) for run in runs))


def _typical_noise(rows: Sequence[_Row]) -> float:
    """Return the spread from run to run that the hosts of a family have, of which a young series knows little.

    It is taken from the differences of successive runs, so that a step adds one large difference and no more.
    """
    own = [
        robust.deviation((after - before for before, after in zip(row.values, row.values[1:], strict=False)), 0.0)
        / math.sqrt(2)
        for row in rows
        if len(row.values) >= steps.KNOWN
    ]
    return statistics.median(own) if own else 0.0


def _of_row(
    row: _Row,
    steady: float,
    least: float,
    confirm: int,
    acknowledgements: Sequence[Acknowledgement],
    used: set[int],
) -> tuple[Finding | None, list[Finding], str | None]:
    """Return a row's open regression, those that were acknowledged, and what is suspected of its last run."""
    noise = max(_NOISE, steady, row.repeats / math.sqrt(3))
    found = steps.steps(row.values, noise, least, confirm)
    opened: steps.Step | None = None
    known: list[Finding] = []
    # The level that the host is held to: the best that it kept, until a step down from it is acknowledged.
    reference = None
    for step in found:
        reference = step.before if reference is None else reference
        if opened and _back(step.before, opened, reference, least):
            opened = None
        acknowledged = step.size < 0 and _acknowledged(row, step, acknowledgements, used)
        if acknowledged:
            known.append(_finding(row, step, reference))
        if acknowledged or _back(step.after, step, reference, least):
            reference, opened = step.after, None
        elif step.size < 0 and opened is None:
            opened = step
    if opened and reference is not None and _back(_now(row, opened), opened, reference, least):
        # Two bad days one after the other, and good ones since.
        opened = None
    suspect = None if opened else _suspect(row, found, noise, least, confirm)
    if opened is None:
        return None, known, suspect
    return _finding(row, opened, reference if reference is not None else opened.before), known, None


def _now(row: _Row, step: steps.Step) -> float:
    """Return the level since a step, as it is now."""
    return statistics.median(row.values[step.index :][-steps.LOOK_BACK :])


def _back(level: float, step: steps.Step, reference: float, least: float) -> bool:
    """Whether a level is the reference again, or better: less than half of what was lost is missing."""
    return level >= reference - max(least, -step.size / 2)


def _suspect(row: _Row, found: Sequence[steps.Step], noise: float, least: float, confirm: int) -> str | None:
    """Return what the last run alone would be a step of."""
    if confirm < 2:
        return None
    start = found[-1].index if found else 0
    sooner = steps.steps(row.values[start:], noise, least, confirm=1)
    if not sooner or sooner[-1].seen_at != len(row.values) - start - 1 or sooner[-1].size > 0:
        return None
    return f"{row.metric.label} {_size(_percent(row, sooner[-1].before, row.values[-1]))}"


def _acknowledged(
    row: _Row, step: steps.Step, acknowledgements: Sequence[Acknowledgement], used: set[int]
) -> Acknowledgement | None:
    for number, item in enumerate(acknowledgements):
        if item.covers(row.metric.key, STEP, row.runs, step.index):
            used.add(number)
            return item
    return None


def _finding(row: _Row, step: steps.Step, reference: float) -> Finding:
    began = steps.place(row.values, step)
    first, last_good = row.runs[began], row.runs[began - 1]
    now = _now(row, step)
    change = _percent(row, reference, now)
    changed = tuple(environment.differences(environment.facts(last_good), environment.facts(first)))
    runs = len(row.runs) - began
    since = (
        f"{_subject(first)}: {row.metric.label} {_size(change)}, from {words.number(row.figure(reference))} to "
        f"{words.number(row.figure(now))} {row.metric.unit}, since {words.when(first['started_at'])} "
        f"({first['run_id']}, {runs} run{'s' if runs > 1 else ''})."
    )
    return Finding(
        **_head(first, row.metric),
        kind=STEP,
        before=row.figure(reference),
        now=row.figure(now),
        change_percent=change,
        since_run=first["run_id"],
        since=first["started_at"],
        last_good_run=last_good["run_id"],
        runs=runs,
        changed=changed,
        sentence=f"{since} {_what_changed(changed)}",
    )


def _what_changed(changed: Sequence[Mapping[str, str]]) -> str:
    if not changed:
        return "Nothing that is recorded changed with it."
    return (
        "Changed with it: " + "; ".join(f"{item['what']} {item['before']} → {item['after']}" for item in changed) + "."
    )


def _with_siblings(step: Finding, steps_of_all: Sequence[Finding], hosts: int) -> Finding:
    """Return a step with what its siblings did: one that all have is not the host's."""
    if hosts < 2:
        return step
    others = sum(item.host != step.host for item in steps_of_all)
    said = {0: "None"}.get(others, str(others))
    sentence = f"{step.sentence} {said} of its {hosts - 1} siblings became slower too."
    return Finding(**{**vars(step), "sentence": sentence})


def _slower(
    groups: Sequence[Sequence[series.Series]],
    confirm: int,
    acknowledgements: Sequence[Acknowledgement],
    used: set[int],
) -> tuple[list[Finding], list[Finding]]:
    """Return the hosts that were slower than their siblings in each of their last runs, and those acknowledged."""
    found: list[Finding] = []
    known: list[Finding] = []
    for members in groups:
        rounds = [_slow_hosts([item.runs[: len(item.runs) - back] for item in members]) for back in range(confirm)]
        runs_of = {item.subject: item.runs for item in members}
        for slow in set.intersection(*map(set, rounds)):
            rank, middle = rounds[0][slow]
            latest = runs_of[slow][-1]
            finding = Finding(
                **_head(latest, METRICS[siblings.METRIC]),
                kind=SLOWER,
                before=middle,
                now=rank.value,
                change_percent=100 * (rank.value / middle - 1),
                since_run=latest["run_id"],
                since=latest["started_at"],
                last_good_run=None,
                runs=confirm,
                sentence=f"{_subject(latest)}: output throughput {rank.sentence[0].lower()}{rank.sentence[1:]}",
            )
            covering = [
                number
                for number, item in enumerate(acknowledgements)
                if item.covers(siblings.METRIC, SLOWER, runs_of[slow], len(runs_of[slow]) - 1)
            ]
            used.update(covering)
            (known if covering else found).append(finding)
    return found, known


def _slow_hosts(histories: Iterable[Sequence[Document]]) -> dict[Subject, tuple[siblings.Rank, float]]:
    """Return what siblings of the same versions outrun in their latest runs, with those siblings' median."""
    alike: dict[tuple[str, ...], list[Document]] = {}
    for runs in histories:
        if runs:
            facts = environment.facts(runs[-1])
            alike.setdefault(tuple(str(facts[name]) for name in environment.VERSIONS), []).append(runs[-1])
    return {
        row.subject: (row, statistics.median(other.value for other in group.rows if other is not row))
        for documents in alike.values()
        for group in siblings.rank(documents)
        for row in group.rows
        if row.slower
    }


def _head(document: Document, metric: metrics.Metric) -> dict[str, Any]:
    of = subject(document)
    return {
        "subject": of.id,
        "host": of.host,
        "slot": of.slot,
        "simulated": of.simulated,
        "profile": of.profile,
        "engine": of.engine,
        "model": of.model,
        "workload": words.workload(document["workload"]),
        "metric": metric.key,
        "unit": metric.unit,
    }


def _subject(document: Document) -> str:
    mark = f"{series.SIMULATED} " if document["simulated"] else ""
    return f"{mark}{document['host']}, {series.system(document)}"


def _percent(row: _Row, before: float, after: float) -> float:
    return 100 * (row.figure(after) / row.figure(before) - 1)


def _size(change: float) -> str:
    return f"{abs(change):.1f} % {'lower' if change < 0 else 'higher'}"
