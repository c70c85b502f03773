# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From samples to a score and how sure it is. Pure functions.

A benchmark of 10 tasks tells a share to within about 30 points: a score without its interval tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Any

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Score:
    """A share from 0 to 1, and the interval that has the true one with 95 % confidence.

    *tasks* are different samples, *runs* all of them with their trials. *worth* is how many independent samples the
    runs are worth: trials of one task resemble one another.
    """

    value: float
    low: float
    high: float
    tasks: int
    runs: int
    worth: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as a document has it."""
        return {**vars(self), "confidence": CONFIDENCE, "method": "wilson"}


def wilson(value: float, count: float, z: float = Z) -> tuple[float, float]:
    """Return the interval of Wilson's score for a share of *count* samples.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, https://doi.org/10.1214/ss/1009213286.

    >>> tuple(round(each, 3) for each in wilson(0.6, 5)), tuple(round(each, 3) for each in wilson(1.0, 10))
    ((0.231, 0.882), (0.722, 1.0))
    """
    middle = (value + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(value * (1 - value) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def score(values: Iterable[tuple[str, float]]) -> Score:
    """Return the score of runs, each the name of its task and its own score from 0 to 1.

    ValueError where there is none, or one is no share.
    """
    by_task: dict[str, list[float]] = {}
    for task, value in values:
        if not 0 <= value <= 1:
            raise ValueError(f"the score of {task} is {value}, wanted 0 to 1")
        by_task.setdefault(task, []).append(value)
    if not by_task:
        raise ValueError("there is no sample")
    runs = sum(map(len, by_task.values()))
    means = [fmean(found) for found in by_task.values()]
    value, worth = fmean(means), _worth(means, runs)
    low, high = wilson(value, worth)
    return Score(value, low, high, len(means), runs, worth)


def _worth(means: Sequence[float], runs: int) -> float:
    """Return how many independent samples runs are worth, by how far the means of tasks are apart.

    Never fewer than there are tasks, and never more than there are runs.
    """
    tasks, value = len(means), fmean(means)
    if runs == tasks or tasks < 2:
        return float(tasks)
    squared_error = sum((mean - value) ** 2 for mean in means) / (tasks - 1) / tasks
    if squared_error == 0:
        return float(tasks)
    return min(float(runs), max(float(tasks), value * (1 - value) / squared_error))


def difference(before: Mapping[str, Any], after: Mapping[str, Any], z: float = Z) -> tuple[float, float]:
    """Return the interval of a change from one score to another, as documents have them.

    Source: Newcombe 1998, method 10, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.

    >>> tuple(round(each, 2) for each in difference({"value": 0.8, "worth": 50}, {"value": 0.4, "worth": 50}))
    (-0.55, -0.21)
    """
    low, high = wilson(before["value"], before["worth"], z)
    new_low, new_high = wilson(after["value"], after["worth"], z)
    change = after["value"] - before["value"]
    return (
        change - math.hypot(after["value"] - new_low, high - before["value"]),
        change + math.hypot(new_high - after["value"], before["value"] - low),
    )


def pooled(scores: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return several scores as one.

    >>> pooled([{"value": 1.0, "worth": 10}, {"value": 0.5, "worth": 30}])
    {'value': 0.625, 'worth': 40}
    """
    worth = sum(each["worth"] for each in scores)
    return {"value": sum(each["value"] * each["worth"] for each in scores) / worth, "worth": worth}
