# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page's script draws and lists: the figures of every run as columns, packed.

A column has a value a run, so that it packs well: ten thousand runs take about half a megabyte. What more is said of a
run (its surroundings, repeats and commands) stands for :data:`DETAILED` runs alone, see :func:`detailed`.
"""

from __future__ import annotations

import base64
import gzip
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import rows
from ansible_collections.inference.fleet.plugins.module_utils.reports import changes, details, fleet, rent, sweeps
from ansible_collections.inference.fleet.plugins.module_utils.reports.changes import Change
from ansible_collections.inference.fleet.plugins.module_utils.reports.cohorts import cost_per_million_output
from ansible_collections.inference.fleet.plugins.module_utils.reports.overview import Report
from ansible_collections.inference.fleet.plugins.module_utils.reports.places import Places
from ansible_collections.inference.fleet.plugins.module_utils.results import comparison, noise, quality, words
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED
from ansible_collections.inference.fleet.plugins.module_utils.results.series import Document, Series, system, value

# So many runs are told whole in one page.
DETAILED = 2000
# The noise of fewer runs is not known well enough to draw it.
_ENOUGH = 6
# Figures whose noise is drawn.
_BANDS = ("output_throughput", "mean_ttft_ms", "p99_ttft_ms", "mean_tpot_ms")


def named(report: Report) -> frozenset[str]:
    """Return the runs that a finding rests on or that the page links to: as findings, as offers, or as sweeps."""
    found = report.found
    every = (*found.regressions, *found.acknowledged, *found.improved)
    runs = [run for item in every for run in (item.since_run, item.last_good_run)]
    runs += [item.run for item in fleet.news(report)] + [item.last_run for item in found.absent]
    runs += [offer.any["run_id"] for row in rent.table(report.every) for offer in row.offers]
    runs += [sweep.document["run_id"] for plot in sweeps.plots(report.documents) for sweep in plot.sweeps]
    return frozenset(filter(None, runs))


def detailed(report: Report, most: int = DETAILED) -> frozenset[str]:
    """Return the runs that the page tells whole: all of them up to *most*.

    Of more: the last two of each series, those that a finding rests on or the page links to, and then the newest.
    """
    if len(report.documents) <= most:
        return frozenset(document["run_id"] for document in report.documents)
    kept = set(_matter(report))
    for document in reversed(report.documents):
        if len(kept) >= most:
            break
        kept.add(document["run_id"])
    return frozenset(kept)


def _matter(report: Report) -> frozenset[str]:
    """Return the runs that a page of however many tells most of."""
    return named(report) | {run["run_id"] for item in report.every for run in item.runs[-2:]}


def data(report: Report, anchor: Callable[[Document], str], host_anchor: Callable[[Series], str]) -> dict[str, Any]:
    """Return all that the script knows; JSON can have it."""
    kept = detailed(report)
    ordered = [
        (number, item)
        for number, cohort in enumerate(report.cohorts)
        for item in (ranked.series for ranked in cohort.ranking)
    ]
    places = {item.subject.id: place for place, (_number, item) in enumerate(ordered)}
    listed = [(place, run) for place, (_number, item) in enumerate(ordered) for run in item.runs]
    asked, options = Places(), Places()
    return {
        # What the rule of better and worse knows of a metric comes with it.
        "metrics": [
            [metric.key, metric.label, metric.unit, metric.higher_is_better, noise.usual(metric.key)]
            for metric in COMPARED
        ],
        "rule": {**noise.parameters(), "enough": comparison.ENOUGH, "earlier": comparison.EARLIER},
        "cohorts": [
            [words.clean(cohort.system), cohort.simulated, words.clean(_question(cohort.any))]
            for cohort in report.cohorts
        ],
        "series": [
            {
                "id": host_anchor(item),
                "host": words.clean(report.cohorts[number].name(item.latest)),
                "cohort": number,
                "of": report.facets.place(item),
                "bands": _bands(item, changes.of_series(report.changes, item)),
                # Runs with another one were asked something else.
                "asked": asked.place(item.subject.workload),
                "options": options.place(tuple(map(words.clean, item.subject.configuration))),
            }
            for number, item in ordered
        ],
        "options": list(options),
        "runs": _runs(listed, anchor),
        "marks": list(_marks(report, places)),
        "sweeps": [[_curve(report, sweep) for sweep in plot.sweeps] for plot in sweeps.plots(report.documents)],
        "details": details.told(
            [document for document in report.documents if document["run_id"] in kept], _matter(report)
        ),
    }


def packed(found: Any) -> str:
    """Return *found* as JSON, packed with gzip, in letters that may stand in a page. The same gives the same."""
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def unpacked(text: str) -> Any:
    """Undo :func:`packed`."""
    return json.loads(gzip.decompress(base64.b64decode(text)))


def _question(document: Document) -> str:
    return f"{document['model']['id']}, {words.workload(document['workload'])}"


def _runs(listed: Sequence[tuple[int, Document]], anchor: Callable[[Document], str]) -> dict[str, list[Any]]:
    """Return a column of each thing that the list of runs and the plots show."""
    versions, flaws = Places(), Places()
    runs = [run for _place, run in listed]
    flaws.place(("", False))
    return {
        "series": _steps(place for place, _run in listed),
        "anchor": [anchor(run).removeprefix("run-") for run in runs],
        # In seconds since 1970, each as the difference from the one before it.
        "at": _steps(round(words.parse_time(run["started_at"]).timestamp()) for run in runs),
        "version": [versions.place(words.clean(run["engine"].get("version") or words.NOTHING)) for run in runs],
        "failed": [run["quality"]["failed"] for run in runs],
        "values": [[_rounded(value(run, metric.key)) for run in runs] for metric in COMPARED],
        "versions": list(versions),
        # What keeps a run from being better or worse, and whether it tells nothing of the subject's noise either.
        "flaw": [flaws.place(_flaw(run)) for run in runs],
        "flaws": list(flaws),
        # By metric, the runs whose figure is not what its name says.
        "marked": [[place for place, run in enumerate(runs) if quality.marked(run, metric.key)] for metric in COMPARED],
    }


def _flaw(run: Document) -> tuple[str, bool]:
    return words.clean(comparison.why_not(run, cold=False, published=False) or ""), bool(quality.disturbed(run))


def _steps(numbers: Iterable[int]) -> list[int]:
    """Return each number as what it is more than the one before it.

    >>> _steps([5, 7, 7, 3])
    [5, 2, 0, -4]
    """
    found, before = [], 0
    for number in numbers:
        found.append(number - before)
        before = number
    return found


def _bands(item: Series, changed: Sequence[Change]) -> dict[str, list[float]]:
    """Return by metric the level that a series has now and how far from it chance takes a run: [low, high].

    It is the noise that better, worse and regressions are judged with.
    """
    found = {}
    for place, metric in enumerate(COMPARED):
        if metric.key not in _BANDS or len(item.runs) < _ENOUGH:
            continue
        row = rows.row(item, metric.key)
        since = max((change.started_at for change in changed if change.metric == metric.key), default="")
        level = [number for run, number in zip(row.runs, row.values, strict=True) if run["started_at"] >= since]
        if len(level) >= _ENOUGH:
            middle = statistics.median(level)
            reach = noise.learn(level, noise.usual(metric.key)).of_means(1)
            ends = (row.figure(middle + side * reach) for side in (-1, 1))
            found[str(place)] = sorted(float(f"{end:.5g}") for end in ends)
    return found


def _marks(report: Report, places: dict[str, int]) -> Iterable[list[Any]]:
    """Yield [series, metric, time, "worse" or "better", what is said] of each change point."""
    keys = [metric.key for metric in COMPARED]
    for change in report.changes:
        place = places.get(change.series.subject.id)
        if place is not None and change.metric in keys:
            since = round(words.parse_time(change.started_at).timestamp())
            said = f"{change.name} {change.size}, {change.levels}"
            said += f", with {'; '.join(change.with_it)}" if change.with_it else ""
            known = ", acknowledged" if change.acknowledged else ""
            yield [place, keys.index(change.metric), since, change.verdict, words.clean(said + known)]


def _curve(report: Report, sweep: sweeps.Sweep) -> dict[str, Any]:
    """Return a sweep's points as [tok/s per user, tok/s per GPU, TTFT p99, US$ per million output, in flight, best]."""
    return {
        "name": words.clean(f"{system(sweep.document)}, {sweep.document['host']}"),
        "simulated": sweep.simulated,
        "of": report.facets.place_of(sweep.document),
        "at": round(words.parse_time(sweep.document["started_at"]).timestamp()),
        "points": [
            [
                _rounded(point.per_user),
                _rounded(point.per_gpu),
                _rounded(value(point.facts, "p99_ttft_ms")),
                _rounded(cost_per_million_output(point.facts)),
                point.concurrency,
                point.pareto,
            ]
            for point in sweep.points
        ],
    }


def _rounded(number: float | None) -> float | None:
    """Return a figure with five digits, of which the page shows no more."""
    return None if number is None else float(f"{number:.5g}")
