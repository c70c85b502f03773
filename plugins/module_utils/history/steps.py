# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps in a row of noisy figures, some of which are far off for a reason of their own. Pure functions, no I/O.

Figures are logarithms, so that a step is a share of what was before: -0.05 is 5 % less. The row is gone through from
its first figure on, and nothing is taken back later: what is found up to a run is what would have been found on that
day.
"""

from __future__ import annotations

import statistics
from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.history import robust

# A level is known after so many figures; before that nothing is called a step.
KNOWN = 5
# A step is looked for among this many of the last figures, and the spread taken from this many.
LOOK_BACK = 8
SPREAD_OF = 60
# How many standard deviations of the difference of two medians a step must have.
DEVIATIONS = 3.5
# The variance of a median is that of a mean times this, for normally distributed values.
_MEDIAN = 1.57


@dataclass(frozen=True)
class Step:
    """A change of level: *index* is that of its first figure, *before* and *after* are the medians on either side.

    *seen_at* is the index of the figure with which it was found.
    """

    index: int
    before: float
    after: float
    seen_at: int

    @property
    def size(self) -> float:
        return self.after - self.before


def steps(values: Sequence[float], noise: float, least: float, confirm: int = 2) -> list[Step]:
    """Return the steps in a row, oldest first.

    *noise* is the standard deviation that figures have at least, *least* the smallest step that counts. *confirm* is
    how many figures must agree. At each of *known_steps*, indices of figures, a new level begins by itself: whatever
    happened there is no step.
    """
    found: list[Step] = []
    start = 0
    # The level without its last LOOK_BACK figures, in order: it grows by one figure a time.
    settled: list[float] = []
    for now in range(len(values)):
        if now - start - LOOK_BACK >= 0:
            insort(settled, values[now - LOOK_BACK])
        step = _newest(values, start, now, settled, noise, least, confirm)
        if step:
            found.append(step)
            start, settled = step.index, []
    return found


def place(values: Sequence[float], step: Step) -> int:
    """Return where a step began, as the figures since then show it better than those with which it was found.

    It is where the figures around it lie nearest to the levels on either side, by their absolute distance.
    """
    first, last = max(1, step.index - LOOK_BACK), min(len(values), step.index + LOOK_BACK)
    nearest, best = step.index, float("inf")
    for index in range(max(first, step.index - LOOK_BACK // 2), min(last, step.index + LOOK_BACK // 2 + 1)):
        distance = sum(abs(value - step.before) for value in values[first:index])
        distance += sum(abs(value - step.after) for value in values[index:last])
        if distance < best:
            nearest, best = index, distance
    return nearest


def _newest(
    values: Sequence[float], start: int, now: int, settled: Sequence[float], noise: float, least: float, confirm: int
) -> Step | None:
    """Return the most certain step that ends with the figure *now*, if there is one."""
    best, certainty = None, 1.0
    if now - start + 1 < KNOWN + confirm:
        return None
    spread = None
    for first, before in _splits(values, start, now, settled, confirm):
        after = values[first : now + 1]
        middle = _middle(before)
        if spread is None:
            # Of the shortest stretch before a step: one that has begun must not count as noise.
            spread = max(noise, _scale(values[max(start, first - SPREAD_OF) : first]))
        size = level(after, middle) - middle
        limit = max(least, DEVIATIONS * spread * (_MEDIAN * (1 / len(after) + 1 / len(before))) ** 0.5)
        if abs(size) > limit * certainty:
            best, certainty = Step(first, middle, statistics.median(after), now), abs(size) / limit
    return best


def _splits(
    values: Sequence[float], start: int, now: int, settled: Sequence[float], confirm: int
) -> Iterator[tuple[int, Sequence[float]]]:
    """Yield where a step may begin, the earliest first, with the figures of the level before it, in order."""
    before = list(settled)
    earliest = max(start, now - LOOK_BACK + 1)
    for first in range(earliest, now - confirm + 2):
        if first > earliest:
            insort(before, values[first - 1])
        if len(before) >= KNOWN:
            yield first, before


def level(after: Sequence[float], before: float) -> float:
    """Return the level of figures after a step, as far as chance can be kept out of it.

    Of three or fewer it is the one nearest to the level before: all of them must have moved. Of more it is the median,
    the nearer one of two.
    """
    ordered = sorted(after, key=lambda value: abs(value - before))
    return ordered[0] if len(ordered) <= 3 else ordered[(len(ordered) - 1) // 2]


def _middle(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _scale(values: Sequence[float]) -> float:
    """Return the spread of a level. Of few figures the median deviation falls short, by about this much."""
    return robust.scale(values) * (1 + 1.5 / len(values))
