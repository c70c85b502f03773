# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change points as a report shows them: which figure of which host moved, since when, and what changed with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.reports import words
from ansible_collections.inference.fleet.plugins.module_utils.reports.metrics import long_name
from ansible_collections.inference.fleet.plugins.module_utils.reports.series import Series


@dataclass(frozen=True)
class Change:
    """A step in one metric of a series, found by somebody else: a report only shows it.

    *since* is the run id of the first run after it, *before* and *after* the metric's level in *unit*.
    *with_it* names what changed at the same run. *acknowledged* is why somebody expected it, or None.
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
    acknowledged: str | None = None

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

    @property
    def together(self) -> str:
        """What changed at the same run, in words."""
        return "; ".join(self.with_it) or "nothing that the documents record"


def of_series(changes: Iterable[Change], series: Series) -> tuple[Change, ...]:
    """Return the changes of one series."""
    return tuple(change for change in changes if change.series is series)


def ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return changes as they are shown: what got worse unexpectedly first, then the newest."""
    newest = sorted(changes, key=lambda change: (change.started_at, change.host, change.metric), reverse=True)
    return tuple(sorted(newest, key=lambda change: (change.acknowledged is not None, not change.worse)))
