# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps in a row of noisy figures, some of which are far off for a reason of their own. Pure functions, no I/O.

Figures are logarithms, so that a step is a share of what was before: -0.05 is 5 % less. The row is gone through from
its first figure on, and nothing is taken back later: what is found up to a run is what would have been found on that
day.
"""

from __future__ import annotations

import math
import statistics
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.results import noise

# A level is known after so many figures; before that nothing is called a step.
KNOWN = 6
# A step is looked for among this many of the last figures, and the noise learned from this many.
LOOK_BACK = 8
LEARN_FROM = 60
# How often one look at steady figures may find a step. A history has dozens of looks.
CHANCE = 2e-4
# A level of fewer figures than this has few looks, and what it tells of its noise hides most of a loss: a look may find
# one more often, at little cost over the whole history.
YOUNG, YOUNG_CHANCE = 13, 1.3e-3
# A slow slide is measured from so many first figures of a level, and must be by so much larger than a step.
BEGINNING = 16
_SLIDE = 1.25
# Of so many figures after a step all must have moved; of more their median.
_ALL = 3


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


def steps(values: Sequence[float], expected: float, least: float, confirm: int = 2) -> list[Step]:
    """Return the steps in a row, oldest first.

    *expected* is the standard deviation that such figures have from run to run, *least* the smallest step that counts.
    *confirm* is how many figures must agree; the newest of them is always one.
    """
    found: list[Step] = []
    start = 0
    # The level without its last LOOK_BACK figures, in order, so that most figures need no closer look.
    settled: list[float] = []
    for now, value in enumerate(values):
        if now - start >= LOOK_BACK:
            insort(settled, values[now - LOOK_BACK])
        if now - start + 1 < KNOWN + confirm:
            continue
        if len(settled) >= KNOWN and abs(value - _middle(settled)) <= least:
            continue
        step = _newest(values, start, now, expected, least, confirm)
        if step:
            found.append(step)
            start, settled = step.index, []
            for settled_value in values[start : max(start, now - LOOK_BACK + 1)]:
                insort(settled, settled_value)
    return found


def place(values: Sequence[float], step: Step) -> int:
    """Return where a step began, as the figures since then show it better than those with which it was found.

    It is where the figures around it lie nearest to the levels on either side, by their absolute distance.
    """
    first, last = max(1, step.index - 2 * LOOK_BACK), min(len(values), step.index + 2 * LOOK_BACK)
    nearest, best = step.index, float("inf")
    for index in range(max(first, step.index - 4), min(last, step.index + 5)):
        distance = sum(abs(value - step.before) for value in values[first:index])
        distance += sum(abs(value - step.after) for value in values[index:last])
        if distance < best:
            nearest, best = index, distance
    return nearest


def _newest(values: Sequence[float], start: int, now: int, expected: float, least: float, confirm: int) -> Step | None:
    """Return the most certain step that ends with the figure *now*, if there is one."""
    best, certainty = None, 1.0
    for first in range(max(start + KNOWN, now - LOOK_BACK + 1), now - confirm + 2):
        before, after = values[start:first], values[first : now + 1]
        middle = statistics.median(before)
        size = level(after, middle) - middle
        if abs(size) <= least:
            continue
        limit = max(least, allowance(noise.learn(before[-LEARN_FROM:], expected), len(before), len(after)))
        if abs(size) > limit * certainty:
            best, certainty = Step(first, middle, statistics.median(after), now), abs(size) / limit
    return best or _slide(values, start, now, expected, least)


def _slide(values: Sequence[float], start: int, now: int, expected: float, least: float) -> Step | None:
    """Return what a slow slide has come to, which no single run shows: the last figures against the level's first."""
    first = now - LOOK_BACK + 1
    if first - start < BEGINNING:
        return None
    began, after = values[start : start + BEGINNING], values[first : now + 1]
    middle, last = statistics.median(began), statistics.median(after)
    limit = _SLIDE * allowance(noise.learn(began, expected), BEGINNING, len(after))
    return Step(first, middle, last, now) if abs(last - middle) > max(2 * least, limit) else None


def allowance(of: noise.Noise, before: int, after: int) -> float:
    """Return how far the level of so many runs may be from that of the runs before them for no reason."""
    variance = of.of_mean(before) * noise.MEDIAN + of.of_mean(after) * (noise.MEDIAN if after > _ALL else 1)
    chance = YOUNG_CHANCE if before < YOUNG else CHANCE
    return noise.student_t(1 - chance, of.freedom) * math.sqrt(variance)


def level(after: Sequence[float], before: float) -> float:
    """Return the level of figures after a step, as far as chance can be kept out of it.

    Of three or fewer it is the one nearest to the level before: all of them must have moved. Of more it is the median,
    the nearer one of two.
    """
    ordered = sorted(after, key=lambda value: abs(value - before))
    return ordered[0] if len(ordered) <= _ALL else ordered[(len(ordered) - 1) // 2]


def _middle(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
