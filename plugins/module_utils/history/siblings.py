# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts beside their siblings: those that ran the same engine, model and workload on the same profile. Pure functions.

A host is compared with its siblings alone, never with itself: a slow one must not shift the middle that it is
compared with.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import environment
from ansible_collections.inference.fleet.plugins.module_utils.results import noise, quality, series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import subject

Document = Mapping[str, Any]

METRIC = "output_throughput"
# Of fewer hosts nobody can say which is the odd one.
ENOUGH = 3
# How often an ordinary host may be called slow, and the least share of the median that counts.
CHANCE = 1e-3
LEAST = 0.01
# The usual spread from host to host, as a standard deviation of logarithms, and for how many hosts it counts.
_USUAL, _USUAL_WEIGHT = 0.008, 3


@dataclass(frozen=True)
class Rank:
    """One host's latest run among those of its siblings.

    *subject* is the id of what was measured. *rank* is 1 for the fastest. *value* is in the metric's unit, *ratio* is
    the value by the median of the whole group. *margin* is the fraction of the siblings' median that a host may lie
    below it for no reason; None where there are too few siblings of the same versions. *sentence* says all of it.
    """

    subject: str
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
    two groups. Each is judged among those of the same versions alone.
    """
    ordered = sorted(documents, key=lambda document: (words.parse_time(document["started_at"]), document["run_id"]))
    groups: dict[Any, list[Document]] = {}
    for item in series.all_series(ordered):
        # A figure of 0 has no ratio, and no run that counts has one.
        if series.value(item.latest, METRIC):
            groups.setdefault(item.subject.kind, []).append(item.latest)
    return tuple(map(_ranked, groups.values()))


def slower(members: Sequence[series.Series], confirm: int) -> list[tuple[series.Series, Rank]]:
    """Return which of a kind's series lie below their siblings in each of their last *confirm* runs that count."""
    counted = [
        (
            item,
            [run for run in item.runs[-confirm - _SPARE :] if not quality.disturbed(run) and series.value(run, METRIC)],
        )
        for item in members
    ]
    rounds = []
    for back in range(confirm):
        latest = [(item, runs[-1 - back]) for item, runs in counted if len(runs) > back]
        judged = _judge_all([run for _item, run in latest])
        rounds.append({item.subject: (item, run, *of) for (item, run), of in zip(latest, judged, strict=True) if of[1]})
    found = []
    for key in rounds[0]:
        if all(key in each for each in rounds):
            item, run, margin, _slower, sentence, middle = rounds[0][key]
            value = series.value(run, METRIC)
            found.append(
                (
                    item,
                    Rank(
                        key.id,
                        key.host,
                        run["run_id"],
                        run["started_at"],
                        0,
                        value,
                        value / middle,
                        margin,
                        True,
                        sentence,
                    ),
                )
            )
    return found


# Of a series' last runs, so many that do not count are looked past.
_SPARE = 6


def _ranked(members: Sequence[Document]) -> Siblings:
    first = members[0]
    values = {id(document): document["metrics"][METRIC]["mean"] for document in members}
    middle = statistics.median(values.values())
    ordered = sorted(members, key=lambda document: (-values[id(document)], document["host"]))
    rows = []
    for place, (document, judged) in enumerate(zip(ordered, _judge_all(ordered), strict=True), start=1):
        value, of = values[id(document)], subject(document)
        margin, slow, sentence, _middle = judged
        rows.append(
            Rank(
                of.id,
                of.host,
                document["run_id"],
                document["started_at"],
                place,
                value,
                value / middle,
                margin,
                slow,
                sentence,
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


def _judge_all(members: Sequence[Document]) -> list[tuple[float | None, bool, str, float]]:
    """Return for each of *members* its margin, whether it is slow, what to say of it, and its siblings' median."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for place, document in enumerate(members):
        alike.setdefault(environment.versions(document), []).append(place)
    found: dict[int, tuple[float | None, bool, str, float]] = {}
    for places in alike.values():
        # A run that something disturbed is no measure for a host.
        sound = [place for place in places if not quality.disturbed(members[place])]
        for place in places:
            others = [members[other] for other in sound if other != place]
            found[place] = _judged(members[place], others, len(members) - len(places))
    return [found[place] for place in range(len(members))]


def _judged(document: Document, others: Sequence[Document], unlike: int) -> tuple[float | None, bool, str, float]:
    value = document["metrics"][METRIC]["mean"]
    if len(others) < ENOUGH:
        found = {0: "No sibling", 1: "One sibling"}.get(len(others), f"{len(others)} siblings")
        found += " of the same versions" if unlike else ""
        return None, False, f"{found}: {ENOUGH} are needed to say whether a host is slow.", value
    theirs = [other["metrics"][METRIC]["mean"] for other in others]
    middle = statistics.median(theirs)
    margin = allowance(theirs, [repeats(other, METRIC) for other in (document, *others)])
    behind = 1 - value / middle
    place = (
        f"{words.percent(abs(behind))} {'below' if behind > 0 else 'above'} the median of its {len(others)} siblings"
    )
    warned = quality.disturbed(document)
    if warned:
        return margin, False, f"{place}, in a run that does not count: \u201c{warned}\u201d.", middle
    if behind <= margin:
        if behind <= 0:
            return margin, False, f"{place}.", middle
        return margin, False, f"{place}, within the {words.percent(margin)} that chance explains.", middle
    sentence = f"{place}, more than the {words.percent(margin)} that chance explains."
    apart = unlike_most(document, others)
    return margin, True, f"{sentence} Unlike most of them: {apart}." if apart else sentence, middle


def allowance(others: Sequence[float], repeated: Iterable[Sequence[float]], least: float = LEAST) -> float:
    """Return how far below *others*' median a value may be for no reason, as a fraction of that median.

    The spread of the hosts is taken from their median absolute deviation, weighed with the usual one, and is no less
    than that of the repeats within a run, *repeated*: hosts that happen to lie close together must not make an ordinary
    one a slow one.
    """
    count = len(others)
    logs = [math.log(value) for value in others]
    within = noise.pooled([math.log(value) for value in values if value > 0] for values in repeated)
    own = noise.scale(logs) ** 2
    worth = count - 1
    blended = (_USUAL_WEIGHT * _USUAL**2 + worth * own) / (_USUAL_WEIGHT + worth)
    spread = max(math.sqrt(blended), within)
    limit = noise.student_t(1 - CHANCE, _USUAL_WEIGHT + worth) * spread * math.sqrt(1 + noise.MEDIAN / count)
    return max(least, 1 - math.exp(-limit))


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
