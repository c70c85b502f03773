# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One figure of one subject over time: what became of its level. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import environment, findings, steps
from ansible_collections.inference.fleet.plugins.module_utils.history.findings import Finding
from ansible_collections.inference.fleet.plugins.module_utils.results import metrics, noise, quality, series, words

Document = Mapping[str, Any]
# Whether somebody accepts the change of a figure that began with the run at an index of its row.
Accepts = Callable[["Row", int, str], bool]

# Runs so far apart hardly resemble one another, whatever drifts from night to night.
_APART = 5
# So many hosts, with so many runs each, tell what is usual for their kind.
_HOSTS, _RUNS = 3, 12
# No two runs are closer to one another than this.
_LEAST = 0.002


@dataclass(frozen=True)
class Row:
    """One metric of one series: the logarithms of its figures, oldest first, larger being better.

    *runs* are those that count, *left_out* those that something disturbed since the last of them.
    """

    metric: metrics.Metric
    runs: tuple[Document, ...]
    values: tuple[float, ...]
    left_out: tuple[Document, ...]

    def figure(self, value: float) -> float:
        """Return a logarithm as a figure in the metric's unit."""
        return math.exp(value if self.metric.higher_is_better else -value)

    def percent(self, before: float, after: float) -> float:
        """Return a change of the figure in per cent."""
        return 100 * (self.figure(after) / self.figure(before) - 1)


@dataclass(frozen=True)
class Told:
    """What a row tells: its *open* regression, *accepted* ones, steps for the *better*, and what is *suspected*."""

    open: Finding | None = None
    accepted: tuple[Finding, ...] = ()
    better: tuple[Finding, ...] = ()
    suspected: str = ""


def row(item: series.Series, key: str) -> Row:
    """Return a series' row of one metric. Runs without the figure, or with another in its place, are passed over."""
    metric = findings.METRICS[key]
    sign = 1 if metric.higher_is_better else -1
    runs, values, left_out = [], [], []
    for run in item.runs:
        value = series.value(run, key)
        if not value or value < 0 or quality.marked(run, key):
            continue
        of = run["quality"]
        if (of["warnings"] or of.get("disturbed")) and quality.disturbed(run):
            left_out.append(run)
            continue
        runs.append(run)
        values.append(sign * math.log(value))
        left_out = []
    return Row(metric, tuple(runs), tuple(values), tuple(left_out))


def expected(rows: Sequence[Row], key: str) -> float:
    """Return the spread from run to run that rows of one kind have: theirs where they are many, else the usual one."""
    own = [
        noise.deviation((after - before for before, after in zip(row.values, row.values[_APART:], strict=False)), 0.0)
        / math.sqrt(2)
        for row in rows
        if len(row.values) >= _RUNS
    ]
    return max(_LEAST, statistics.median(own)) if len(own) >= _HOSTS else noise.usual(key)


def tell(row: Row, spread: float, least: float, confirm: int, accepts: Accepts) -> Told:
    """Return what a row tells. *spread* is what :func:`expected` gave, *least* a share."""
    if not row.values:
        return Told()
    found = steps.steps(row.values, spread, least, confirm)
    opened: steps.Step | None = None
    accepted: list[Finding] = []
    better: list[Finding] = []
    # The level that the host is held to: the best that it kept, until a step down from it is acknowledged.
    reference = None
    for step in found:
        reference = step.before if reference is None else reference
        if opened and _back(step.before, opened, reference, least):
            opened = None
        known = step.size < 0 and accepts(row, step.index, findings.STEP)
        if known:
            accepted.append(_finding(row, step, reference))
        if known or _back(step.after, step, reference, least):
            if step.size > 0 and opened is None:
                better.append(_finding(row, step, step.before, step.after))
            reference, opened = step.after, None
        elif step.size < 0 and opened is None:
            opened = step
    if opened and reference is not None and _back(_now(row, opened), opened, reference, least):
        # Two bad days one after the other, and good ones since.
        opened = None
    told = Told(accepted=tuple(accepted), better=tuple(better))
    if opened:
        level = reference if reference is not None else opened.before
        return replace(told, open=_finding(row, opened, level))
    start = found[-1].index if found else 0
    disturbed = _disturbed(row, start, spread, least, confirm)
    if isinstance(disturbed, Finding):
        if accepts(row, len(row.runs) - 1, findings.DISTURBED):
            return replace(told, accepted=(*told.accepted, disturbed))
        return replace(told, open=disturbed)
    return replace(told, suspected=disturbed or _suspect(row, start, spread, least, confirm))


def _now(row: Row, step: steps.Step) -> float:
    """Return the level since a step, as it is now."""
    return statistics.median(row.values[step.index :][-8:])


def _back(level: float, step: steps.Step, reference: float, least: float) -> bool:
    """Whether a level is the reference again, or better: less than half of what was lost is missing."""
    return level >= reference - max(least, -step.size / 2)


def _suspect(row: Row, start: int, spread: float, least: float, confirm: int) -> str:
    """Return what the last run alone would be a step of."""
    if confirm < 2:
        return ""
    sooner = steps.steps(row.values[start:], spread, least, confirm=1)
    if not sooner or sooner[-1].seen_at != len(row.values) - start - 1 or sooner[-1].size > 0:
        return ""
    return f"{row.metric.label} {findings.size(row.percent(sooner[-1].before, row.values[-1]))}"


def _disturbed(row: Row, start: int, spread: float, least: float, confirm: int) -> Finding | str:
    """Return what is to be said of last runs that do not count, and are slower than those that do; else nothing."""
    before = row.values[start:]
    if not row.left_out or len(before) < steps.KNOWN:
        return ""
    sign = 1 if row.metric.higher_is_better else -1
    values = [sign * math.log(series.value(run, row.metric.key) or 1) for run in row.left_out]
    middle, now = statistics.median(before), statistics.median(values)
    limit = steps.allowance(noise.learn(before[-steps.LEARN_FROM :], spread), len(before), 1)
    if steps.level(values, middle) - middle >= -max(least, limit):
        return ""
    change, quote = row.percent(middle, now), quality.disturbed(row.left_out[-1])
    if len(row.left_out) < confirm:
        return f"{row.metric.label} {findings.size(change)} in a run that is left out (\u201c{quote}\u201d)"
    first, count = row.left_out[0], len(row.left_out)
    return Finding(
        **findings.head(first, row.metric),
        kind=findings.DISTURBED,
        before=row.figure(middle),
        now=row.figure(now),
        change_percent=change,
        since_run=first["run_id"],
        since=first["started_at"],
        last_good_run=row.runs[-1]["run_id"],
        runs=count,
        sentence=(
            f"{findings.name(first)}: {row.metric.label} {findings.size(change)}, from "
            f"{words.number(row.figure(middle))} to {words.number(row.figure(now))} {row.metric.unit}, since "
            f"{words.when(first['started_at'])} ({first['run_id']}), in {count} runs that do not count, as each "
            f"was disturbed. The last one says: \u201c{quote}\u201d."
        ),
    )


def _finding(row: Row, step: steps.Step, reference: float, after: float | None = None) -> Finding:
    began = steps.place(row.values, step)
    first, last_good = row.runs[began], row.runs[began - 1]
    now = _now(row, step) if after is None else after
    change = row.percent(reference, now)
    changed = tuple(environment.differences(environment.facts(last_good), environment.facts(first)))
    runs = len(row.runs) - began
    since = (
        f"{findings.name(first)}: {row.metric.label} {findings.size(change)}, from "
        f"{words.number(row.figure(reference))} to {words.number(row.figure(now))} {row.metric.unit}, since "
        f"{words.when(first['started_at'])} ({first['run_id']}, {runs} run{'s' if runs > 1 else ''})."
    )
    return Finding(
        **findings.head(row.runs[-1], row.metric),
        kind=findings.STEP,
        before=row.figure(reference),
        now=row.figure(now),
        change_percent=change,
        since_run=first["run_id"],
        since=first["started_at"],
        last_good_run=last_good["run_id"],
        runs=runs,
        changed=changed,
        sentence=f"{since} {_what_changed(changed)}{_warned(row, last_good, first)}",
    )


def _what_changed(changed: Sequence[Mapping[str, str]]) -> str:
    if not changed:
        return "Nothing that is recorded changed with it."
    return (
        "Changed with it: " + "; ".join(f"{item['what']} {item['before']} → {item['after']}" for item in changed) + "."
    )


def _warned(row: Row, before: Document, after: Document) -> str:
    """Return what the first run of a step was warned of and the run before it was not, and what was left out."""
    known = {_shape(text) for text in before["quality"]["warnings"]}
    new = [text for text in after["quality"]["warnings"] if _shape(text) not in known]
    said = f" Its first run says: \u201c{new[0]}\u201d." if new else ""
    if row.left_out:
        count = len(row.left_out)
        said += (
            f" {count} run{'s' if count > 1 else ''} since {'are' if count > 1 else 'is'} left out: "
            f"\u201c{quality.disturbed(row.left_out[-1])}\u201d."
        )
    return said


def _shape(text: str) -> str:
    return "".join(letter for letter in text if not letter.isdigit())
