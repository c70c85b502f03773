# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Middle and spread of figures, a few of which may be far off. Pure functions of the standard library."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

# What the median absolute deviation of normally distributed values is multiplied by to give their standard deviation.
_NORMAL = 1.4826


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
