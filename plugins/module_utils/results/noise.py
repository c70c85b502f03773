# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far figures lie apart for no reason: the one model behind better, worse, steps, improvements and ranks.

Figures are logarithms, so that a difference is a share. Those of one subject differ within a run (its repeats, which
share one start of the engine), from run to run, and slowly: a night is like the night before. Runs are taken for an
autoregression of the first order, whose spread and correlation are learned from the subject's own runs. What few runs
tell is weighed with what such figures usually do, and all quantiles are those of Student's t. Pure functions of the
standard library: a control host need not have SciPy for one quantile.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# What the median absolute deviation of normally distributed values is multiplied by to give their standard deviation.
_NORMAL = 1.4826
# The variance of a median is that of a mean times this, for normally distributed values.
MEDIAN = 1.4
# Deviations count up to so many standard deviations: a few runs may be far off for a reason of their own.
_CLIP = 2.5
# What cutting takes from the variance of normally distributed values.
_CUT = 1.06
# A difference of two runs is one where chance makes it in less than 1 of 20 pairs, with something to spare for a spread
# that is itself only estimated.
_PAIR = 0.98
# The usual spread from run to run, as a standard deviation of logarithms, and for how many runs it counts.
USUAL = {"mean_ttft_ms": 0.03, "median_ttft_ms": 0.03, "p99_ttft_ms": 0.06}
USUAL_ELSE = 0.012
_USUAL_WEIGHT = 5
# The usual correlation of a run with the one before it, and for how many runs it counts.
_USUAL_CORRELATION, _CORRELATION_WEIGHT = 0.2, 10
# So many standard errors are added to the correlation: too low a one is worse than too high a one.
_CAUTION = 0.3
_HIGHEST_CORRELATION = 0.9


@dataclass(frozen=True)
class Noise:
    """The spread of one subject's figures: *deviation* is a standard deviation of logarithms, *freedom* its degrees.

    *correlation* is that of a run with the one before it.
    """

    deviation: float
    freedom: int
    correlation: float

    def of_mean(self, runs: int) -> float:
        """Return the variance of the mean of so many runs in a row."""
        return self.deviation**2 * _shrink(runs, self.correlation)

    def of_difference(self) -> float:
        """Return how far two runs with nothing changed lie apart at most, in 19 of 20 pairs and more."""
        return self.of_means(1, 1)

    def of_means(self, *runs: int) -> float:
        """Return the same for the means of two sides, each of so many independent runs, or for one mean beside 0."""
        return student_t(_PAIR, self.freedom) * self.deviation * math.sqrt(sum(1 / count for count in runs))


def usual(metric: str) -> float:
    """Return the spread from run to run that a metric has where nothing else is known."""
    return USUAL.get(metric, USUAL_ELSE)


def parameters() -> dict[str, float]:
    """Return the model's numbers by name: the report's page has the same model in its script, and no numbers."""
    return {
        "normal": _NORMAL,
        "clip": _CLIP,
        "cut": _CUT,
        "pair": _PAIR,
        "usual_weight": _USUAL_WEIGHT,
        "usual_correlation": _USUAL_CORRELATION,
        "correlation_weight": _CORRELATION_WEIGHT,
        "caution": _CAUTION,
        "highest_correlation": _HIGHEST_CORRELATION,
    }


def learn(values: Sequence[float], expected: float) -> Noise:
    """Return the noise of *values*, runs at one level in their order; of none it is what is *expected*."""
    if not values:
        return Noise(expected, _USUAL_WEIGHT, _USUAL_CORRELATION)
    count = len(values)
    middle = statistics.median(values)
    # Of few values the median deviation falls short, by about this much.
    limit = _CLIP * max(deviation(values, middle) * (1 + 1.5 / count), expected / 2)
    off = [max(-limit, min(limit, value - middle)) for value in values]
    squares = sum(value * value for value in off)
    products = sum(one * other for one, other in itertools.pairwise(off))
    own = products / squares if squares else 0.0
    # An estimate of few values is too low on average.
    own += (1 + 3 * max(own, 0.0)) / count
    weight = count + _CORRELATION_WEIGHT
    correlation = (count * own + _CORRELATION_WEIGHT * _USUAL_CORRELATION) / weight + _CAUTION / math.sqrt(weight)
    correlation = round(min(_HIGHEST_CORRELATION, max(0.0, correlation)), 2)
    variance = _CUT * squares / max(1, count - 1)
    # Runs that resemble one another tell as much as fewer independent ones.
    worth = 1 / _shrink(count, correlation) - 1
    blended = (_USUAL_WEIGHT * expected**2 + worth * variance) / (_USUAL_WEIGHT + worth)
    return Noise(math.sqrt(blended), int(_USUAL_WEIGHT + worth), correlation)


def within(groups: Iterable[Sequence[float]], expected: float) -> Noise:
    """Return the noise of groups of independent runs, each at a level of its own; of none it is what is *expected*."""
    listed = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in listed)
    blended = (_USUAL_WEIGHT * expected**2 + freedom * pooled(listed) ** 2) / (_USUAL_WEIGHT + freedom)
    return Noise(math.sqrt(blended), _USUAL_WEIGHT + freedom, 0.0)


@functools.cache
def _shrink(count: int, correlation: float) -> float:
    """Return the variance of the mean of correlated values, by that of one."""
    if not correlation:
        return 1 / count
    return (1 + 2 * sum((1 - lag / count) * correlation**lag for lag in range(1, count))) / count


@functools.cache
def student_t(probability: float, freedom: int) -> float:
    """Return a quantile of Student's t, for a *probability* above one half.

    >>> [round(student_t(0.975, freedom), 3) for freedom in (1, 2, 5, 30)]
    [12.706, 4.303, 2.571, 2.042]
    """
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < probability:
        high *= 2
    for _halving in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, freedom) < probability else (low, middle)
    return high


def _student_cdf(value: float, freedom: int) -> float:
    """Return the share below a *value* of 0 or more: the finite series of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan2(value, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    for step in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine * cosine * (step - 1) / step
        total += term
    if odd:
        return 0.5 + (angle + (sine * total if freedom > 1 else 0.0)) / math.pi
    return 0.5 + sine * total / 2


def scale(values: Sequence[float]) -> float:
    """Return the spread of *values* as a standard deviation, which less than half of them can spoil.

    >>> round(scale([1.0, 2.0, 3.0, 4.0, 1000.0]), 4)
    1.4826
    """
    return deviation(values, statistics.median(values))


def deviation(values: Iterable[float], middle: float) -> float:
    """Return the spread of *values* around a *middle* that is known."""
    return _NORMAL * statistics.median(abs(value - middle) for value in values)


def pooled(groups: Iterable[Sequence[float]]) -> float:
    """Return the standard deviation within groups; 0 where no group has two values."""
    # Not statistics.variance, whose exact fractions take most of the time of a large history.
    squares, freedom = 0.0, 0
    for group in groups:
        if len(group) > 1:
            middle = sum(group) / len(group)
            squares += sum((value - middle) ** 2 for value in group)
            freedom += len(group) - 1
    return (squares / freedom) ** 0.5 if freedom else 0.0
