# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change points as a report shows them: which figures of which host moved, since when, and what changed with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.history import findings, regressions
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED, long_name
from ansible_collections.inference.fleet.plugins.module_utils.results.series import Series

# Of which changes for the better are shown; for the worse it is the regressions' own choice.
_FOR_THE_BETTER = ("output_throughput", "mean_ttft_ms", "mean_tpot_ms")
# Changes of one host that began within so many runs are one event.
_TOGETHER = 2
_PLACES = {metric.key: place for place, metric in enumerate(COMPARED)}


@dataclass(frozen=True)
class Change:
    """A step in one metric of a series.

    *since* is the run id of the first run after it, *before* and *after* the metric's level in *unit*. *with_it* names
    what changed at the same run. *acknowledged*: somebody knows of it and accepts it.
    """

    series: Series
    metric: str
    unit: str
    since: str
    started_at: str
    before: float
    after: float
    worse: bool
    with_it: tuple[str, ...] = ()
    acknowledged: bool = False

    @property
    def host(self) -> str:
        return self.series.latest["host"]

    @property
    def fraction(self) -> float:
        """The change as a fraction of the level before; 0 where that was 0."""
        return (self.after - self.before) / self.before if self.before else 0.0

    @property
    def size(self) -> str:
        """Such as ``-9.8 %``, with a real minus sign."""
        return words.change(self.fraction)

    @property
    def levels(self) -> str:
        """Such as ``2,140 to 1,930 tok/s``."""
        return f"{words.number(float(self.before))} to {words.number(float(self.after))} {self.unit}"

    @property
    def name(self) -> str:
        return long_name(self.metric)

    @property
    def verdict(self) -> str:
        """``worse`` or ``better``."""
        return "worse" if self.worse else "better"


@dataclass(frozen=True)
class Event:
    """Changes of one host that began together, in the order of the tables: the first stands for all; never empty."""

    changes: tuple[Change, ...]

    @property
    def first(self) -> Change:
        return self.changes[0]

    @property
    def others(self) -> str:
        """The other figures that moved, such as ``TTFT mean +11.2 %``."""
        labels = {metric.key: metric.label for metric in COMPARED}
        return ", ".join(f"{labels[change.metric]} {change.size}" for change in self.changes[1:])

    @property
    def together(self) -> str:
        """What changed at the same run, in words."""
        found = dict.fromkeys(item for change in self.changes for item in change.with_it)
        return "; ".join(found) or "nothing that the documents record"


def of_history(found: regressions.Found, series: Sequence[Series]) -> tuple[Change, ...]:
    """Return the change points that were found in a history: open and acknowledged ones, and those for the better."""
    by_id = {item.subject.id: item for item in series}
    kinds = ((found.regressions, True, False), (found.acknowledged, True, True), (found.improved, False, False))
    return tuple(
        Change(
            by_id[item.subject],
            item.metric,
            item.unit,
            item.since_run,
            item.since,
            item.before,
            item.now,
            worse,
            tuple(f"{part['what']} {part['before']} to {part['after']}" for part in item.changed),
            accepted,
        )
        for items, worse, accepted in kinds
        for item in items
        if item.kind == findings.STEP and (worse or item.metric in _FOR_THE_BETTER)
    )


def of_series(changes: Iterable[Change], series: Series) -> tuple[Change, ...]:
    """Return the changes of one series."""
    return tuple(change for change in changes if change.series is series)


def events(changes: Iterable[Change]) -> tuple[Event, ...]:
    """Return what happened, as it is shown: what got worse and nobody knows of first, then the newest."""
    found: list[list[Change]] = []
    for change in sorted(changes, key=lambda change: (_PLACES[change.metric], change.started_at)):
        near = next((event for event in found if _together(event[0], change)), None)
        if near is None:
            found.append([change])
        else:
            near.append(change)
    newest = sorted(found, key=lambda event: (event[0].started_at, event[0].host), reverse=True)
    ordered = sorted(newest, key=lambda event: (event[0].acknowledged, not event[0].worse))
    return tuple(Event(tuple(event)) for event in ordered)


def _together(one: Change, other: Change) -> bool:
    if one.series is not other.series or (one.worse, one.acknowledged) != (other.worse, other.acknowledged):
        return False
    first, last = sorted((one.started_at, other.started_at))
    return sum(first < run["started_at"] <= last for run in one.series.runs) <= _TOGETHER
