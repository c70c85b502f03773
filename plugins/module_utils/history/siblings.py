# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts beside their siblings: those that ran the same engine, model and workload on the same profile. Pure functions.

A host is compared with its siblings alone, never with itself: a slow one must not shift the middle that it is
compared with.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import environment, robust
from ansible_collections.inference.fleet.plugins.module_utils.results import series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import Subject, subject

Document = Mapping[str, Any]

METRIC = "output_throughput"
# Of fewer hosts nobody can say which is the odd one.
ENOUGH = 3
# A host is slower where it lies this many standard deviations below its siblings, and this share of their median.
DEVIATIONS = 4.0
LEAST = 0.01


@dataclass(frozen=True)
class Rank:
    """One host's latest run among those of its siblings.

    *rank* is 1 for the fastest. *value* is in the metric's unit, *ratio* is the value by the median of the whole group.
    *margin* is the fraction of the siblings' median that a host may lie below it for no reason; None where there are
    too few siblings. *sentence* says all of it.
    """

    subject: Subject
    host: str
    run_id: str
    started_at: str
    rank: int
    value: float
    ratio: float
    margin: float | None
    slower: bool
    sentence: str


@dataclass(frozen=True)
class Siblings:
    """The latest runs of hosts that may be compared, the fastest first. *median* is in the metric's unit."""

    simulated: bool
    profile: str
    engine: str
    model: str
    workload: Mapping[str, Any]
    median: float
    rows: tuple[Rank, ...]


def rank(documents: Iterable[Document]) -> tuple[Siblings, ...]:
    """Rank the latest run of each host by its output throughput, each among its siblings.

    *documents* come in any order, and may hold any number of runs of a host. A host that serves two engines, say, is in
    two groups.
    """
    ordered = sorted(documents, key=lambda document: (words.parse_time(document["started_at"]), document["run_id"]))
    groups: dict[Subject, list[Document]] = {}
    for item in series.all_series(ordered):
        # A figure of 0 has no ratio, and no run that counts has one.
        if series.value(item.latest, METRIC):
            groups.setdefault(item.subject.kind, []).append(item.latest)
    return tuple(map(_ranked, groups.values()))


def _ranked(members: Sequence[Document]) -> Siblings:
    first = members[0]
    values = {document["run_id"]: document["metrics"][METRIC]["mean"] for document in members}
    middle = statistics.median(values.values())
    ordered = sorted(members, key=lambda document: (-values[document["run_id"]], document["host"]))
    rows = []
    for place, document in enumerate(ordered, start=1):
        others = [other for other in members if other is not document]
        value = values[document["run_id"]]
        margin, slower, sentence = _judged(document, others)
        rows.append(
            Rank(
                subject=subject(document),
                host=document["host"],
                run_id=document["run_id"],
                started_at=document["started_at"],
                rank=place,
                value=value,
                ratio=value / middle,
                margin=margin,
                slower=slower,
                sentence=sentence,
            )
        )
    return Siblings(
        simulated=first["simulated"],
        profile=series.profile(first),
        engine=series.engine(first),
        model=first["model"]["id"],
        workload=first["workload"],
        median=middle,
        rows=tuple(rows),
    )


def _judged(document: Document, others: Sequence[Document]) -> tuple[float | None, bool, str]:
    """Return the margin, whether the host is slower than its siblings by more, and what to say of it."""
    if len(others) < ENOUGH:
        found = {0: "No sibling", 1: "One sibling"}.get(len(others), f"{len(others)} siblings")
        return None, False, f"{found}: {ENOUGH} are needed to say whether a host is slow."
    theirs = [other["metrics"][METRIC]["mean"] for other in others]
    middle = statistics.median(theirs)
    margin = allowance(theirs, [repeats(other, METRIC) for other in (document, *others)])
    behind = 1 - document["metrics"][METRIC]["mean"] / middle
    place = (
        f"{words.percent(abs(behind))} {'below' if behind > 0 else 'above'} the median of its {len(others)} siblings"
    )
    if behind <= margin:
        if behind <= 0:
            return margin, False, f"{place}."
        return margin, False, f"{place}, within the {words.percent(margin)} that chance explains."
    sentence = f"{place}, more than the {words.percent(margin)} that chance explains."
    unlike = unlike_most(document, others)
    return margin, True, f"{sentence} Unlike most of them: {unlike}." if unlike else sentence


def allowance(others: Sequence[float], repeated: Iterable[Sequence[float]], least: float = LEAST) -> float:
    """Return how far from *others*' median a value may be for no reason, as a fraction of that median.

    The spread of the hosts is taken from their median absolute deviation, and is no less than that of the repeats
    within a run, *repeated*: hosts that happen to lie close together must not make an ordinary one a slow one.
    """
    middle = statistics.median(others)
    spread = max(robust.scale(others), robust.pooled(repeated))
    return max(least, DEVIATIONS * spread * (1 + 1 / len(others)) ** 0.5 / abs(middle))


def repeats(document: Document, metric: str) -> tuple[float, ...]:
    """Return a metric's value in each repeat of a run."""
    summary = document["metrics"][metric]
    return tuple(summary.get("values") or (summary["mean"],))


def unlike_most(document: Document, others: Sequence[Document]) -> str:
    """Return in what a run's surroundings differ from those of more than half of its siblings, as one text."""
    mine = environment.facts(document)
    theirs = [environment.facts(other) for other in others]
    usual = {}
    for name in mine:
        # A dictionary or a tuple of options cannot be counted, its text can.
        seen = [repr(item[name]) for item in theirs]
        most = statistics.mode(seen)
        if 2 * seen.count(most) > len(seen):
            usual[name] = theirs[seen.index(most)][name]
    return "; ".join(
        f"{item['what']} {item['after']} (theirs {item['before']})" for item in environment.differences(usual, mine)
    )
