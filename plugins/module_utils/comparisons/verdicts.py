# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether one variant is better than another: the rule of results/, over several runs a side and over hosts. All pure.

Each of a variant's runs on a host has a start of the engine of its own, so that the spread among them holds what
differs from start to start. Variants of one host are compared with one another, and hosts by how much they differ
there: what makes one host faster than another is in both sides, and falls out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.results import noise
from ansible_collections.inference.fleet.plugins.module_utils.results.comparison import BETTER, SAME, WORSE
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import GOODPUT, THROUGHPUTS

# A metric's values by host, one a run.
Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Verdict:
    """One metric of a variant beside another's. *change* and *margin* are fractions of the other's value.

    The margin is how far two variants that do not differ lie apart at most, in 19 of 20 comparisons and more. *verdict*
    is None where nothing tells a spread. *changes* has the change on each host.
    """

    metric: str
    value: float
    other: float
    change: float
    margin: float
    verdict: str
    changes: Mapping[str, float]


def higher_is_better(metric: str) -> bool:
    """Tell which way a metric is better."""
    return metric in (*THROUGHPUTS, GOODPUT)


def verdict(metric: str, ours: Values, theirs: Values, every: Sequence[Values]) -> Verdict | None:
    """Return how one variant stands beside another in a metric; None where no host measured both.

    *every* are the values of all variants of the comparison, these two among them: together they tell the noise.
    """
    hosts = [host for host in ours if _logs(ours[host]) and _logs(theirs.get(host, ()))]
    if not hosts:
        return None
    spread = noise.within((_logs(values) for variant in every for values in variant.values()), noise.usual(metric))
    changes = [_mean(ours[host]) - _mean(theirs[host]) for host in hosts]
    counts = [(len(_logs(ours[host])), len(_logs(theirs[host]))) for host in hosts]
    # What chance alone makes of one host's change, as a variance, on average.
    chance = spread.deviation**2 * statistics.fmean(1 / one + 1 / other for one, other in counts)
    among = noise.within([changes], math.sqrt(chance))
    margin = among.of_means(len(hosts)) if len(hosts) > 1 else spread.of_means(*counts[0])
    change = statistics.fmean(changes)
    found = SAME
    if abs(change) > margin:
        found = BETTER if (change > 0) == higher_is_better(metric) else WORSE
    return Verdict(
        metric,
        math.exp(statistics.fmean(_mean(ours[host]) for host in hosts)),
        math.exp(statistics.fmean(_mean(theirs[host]) for host in hosts)),
        math.expm1(change),
        math.expm1(margin),
        found,
        {host: math.expm1(value) for host, value in zip(hosts, changes, strict=True)},
    )


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(value) for value in values if value > 0]


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(_logs(values))
