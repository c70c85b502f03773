# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regressions in a history: hosts that became slower than they were, or that are slower than their siblings.

docs/history.md says what counts as one. Pure functions: the same documents give the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import absence, findings, rows, siblings, steps
from ansible_collections.inference.fleet.plugins.module_utils.history.absence import Absent, Wanted
from ansible_collections.inference.fleet.plugins.module_utils.history.acknowledged import Acknowledgement
from ansible_collections.inference.fleet.plugins.module_utils.history.findings import METRICS, SLOWER, STEP, Finding
from ansible_collections.inference.fleet.plugins.module_utils.results import series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import Subject

__all__ = ["CONFIRM", "LEAST", "MAX_AGE", "METRICS", "SLOWER", "STEP", "Finding", "Found", "find"]

Document = Mapping[str, Any]

# The smallest change that counts, in per cent. The time to the first token varies most between runs.
LEAST = {
    "output_throughput": 1.5,
    "mean_ttft_ms": 5.0,
    "p99_ttft_ms": 10.0,
    "mean_tpot_ms": 1.5,
    "mean_itl_ms": 1.5,
}
# How many runs in a row must agree.
CONFIRM = 2
# A series whose last run is older than that of the whole history by this many days is no longer watched.
MAX_AGE = 30


@dataclass(frozen=True)
class Found:
    """What a history shows: *regressions*, and those that were *acknowledged*; *improved* are steps for the better.

    *suspected* are sentences on last runs that look like a step, and are too few to tell it from chance. *absent* are
    hosts that were to be measured and were not. *watched* counts the series, *young* those of them with too few runs
    for a step to be found. *unused* are acknowledgements of nothing.
    """

    regressions: tuple[Finding, ...] = ()
    acknowledged: tuple[Finding, ...] = ()
    improved: tuple[Finding, ...] = ()
    suspected: tuple[str, ...] = ()
    absent: tuple[Absent, ...] = ()
    watched: int = 0
    young: int = 0
    unused: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can have."""
        return asdict(self)


def find(
    documents: Iterable[Document],
    acknowledgements: Sequence[Acknowledgement] = (),
    least: Mapping[str, float] | None = None,
    confirm: int = CONFIRM,
    max_age: float = MAX_AGE,
    wanted: Wanted | None = None,
) -> Found:
    """Return what a history shows.

    *documents* come in any order. *least* has the smallest change that counts, in per cent, by metric; only its metrics
    are watched. *max_age* is in days. *wanted* are the hosts that were to be measured.
    """
    least = LEAST if least is None else least
    ordered = series.by_time(documents)
    every = series.all_series(ordered)
    used: set[int] = set()

    def accepts(row: rows.Row, index: int, kind: str) -> bool:
        return _accepted(acknowledgements, used, row.metric.key, kind, row.runs, index)

    newest = ordered[-1] if ordered else None
    families: dict[Subject, list[series.Series]] = {}
    for item in series.successions(every):
        if _age(item.latest, newest) <= timedelta(days=max_age):
            families.setdefault(item.subject.kind, []).append(item)
    opened: list[Finding] = []
    settled: list[Finding] = []
    improved: list[Finding] = []
    suspects: dict[str, list[str]] = {}
    for members in families.values():
        for key, smallest in least.items():
            of_kind = [row for row in (rows.row(item, key) for item in members) if row.runs]
            spread = rows.expected(of_kind, key)
            told = [rows.tell(row, spread, smallest / 100, confirm, accepts) for row in of_kind]
            mine = [one.open for one in told if one.open]
            opened += [_with_siblings(step, mine, len(of_kind)) for step in mine]
            settled += [known for one in told for known in one.accepted]
            improved += [step for one in told for step in one.better]
            for row, one in zip(of_kind, told, strict=True):
                if one.suspected:
                    run = (row.left_out or row.runs)[-1]
                    suspects.setdefault(f"{findings.name(run)}, {run['run_id']}", []).append(one.suspected)
        if siblings.METRIC in least:
            # One that became slower has been told of, or accepted, already.
            known_already = {item.subject for item in (*opened, *settled)}
            for item, rank in siblings.slower(members, confirm):
                if item.subject.id not in known_already:
                    last = len(item.runs) - 1
                    accepted = _accepted(acknowledgements, used, siblings.METRIC, SLOWER, item.runs, last)
                    (settled if accepted else opened).append(_slower(item, rank, confirm))
    absent = absence.find(every, wanted) if wanted else ()
    missing = [
        item
        for item in absent
        if not any(
            known.kind == findings.ABSENT and known.of_host(item.host) and not used.add(number)
            for number, known in enumerate(acknowledgements)
        )
    ]
    return Found(
        regressions=tuple(sorted(opened, key=findings.order)),
        acknowledged=tuple(sorted(settled, key=findings.order)),
        improved=tuple(sorted(improved, key=findings.order)),
        suspected=tuple(
            f"{run}: {', '.join(changes)}. {confirm} such runs in a row would be a regression."
            for run, changes in suspects.items()
        ),
        absent=tuple(missing),
        watched=sum(map(len, families.values())),
        young=sum(len(item.runs) < steps.KNOWN + confirm for members in families.values() for item in members),
        unused=tuple(item.text() for number, item in enumerate(acknowledgements) if number not in used),
    )


def _age(document: Document, newest: Document | None) -> timedelta:
    last = document if newest is None else newest
    return words.parse_time(last["started_at"]) - words.parse_time(document["started_at"])


def _accepted(
    acknowledgements: Sequence[Acknowledgement],
    used: set[int],
    metric: str,
    kind: str,
    runs: Sequence[Document],
    index: int,
) -> bool:
    covering = [number for number, item in enumerate(acknowledgements) if item.covers(metric, kind, runs, index)]
    used.update(covering[:1] if kind == STEP else covering)
    return bool(covering)


def _with_siblings(step: Finding, steps_of_all: Sequence[Finding], hosts: int) -> Finding:
    """Return a step with what its siblings did: one that all have is not the host's."""
    if hosts < 2 or step.kind != STEP:
        return step
    others = sum(item.subject != step.subject and item.kind == STEP for item in steps_of_all)
    said = {0: "None"}.get(others, str(others))
    sentence = f"{step.sentence} {said} of its {hosts - 1} siblings became slower too."
    return Finding(**{**vars(step), "sentence": sentence})


def _slower(item: series.Series, rank: siblings.Rank, confirm: int) -> Finding:
    """Return the finding on a host that its siblings outran in each of its last runs."""
    latest = next(run for run in reversed(item.runs) if run["run_id"] == rank.run_id)
    return Finding(
        **findings.head(latest, METRICS[siblings.METRIC]),
        kind=SLOWER,
        before=rank.value / rank.ratio,
        now=rank.value,
        change_percent=100 * (rank.ratio - 1),
        since_run=latest["run_id"],
        since=latest["started_at"],
        last_good_run=None,
        runs=confirm,
        sentence=f"{findings.name(latest)}: output throughput {rank.sentence[0].lower()}{rank.sentence[1:]}",
    )
