# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML page that needs nothing else: no network, no font, and no script to read its tables."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept
from ansible_collections.inference.fleet.plugins.module_utils.comparisons import tables as side_by_side
from ansible_collections.inference.fleet.plugins.module_utils.comparisons.outcome import Outcome, sentences
from ansible_collections.inference.fleet.plugins.module_utils.reports import (
    answers,
    changes,
    cohorts,
    details,
    plots,
    sweeps,
    tables,
)
from ansible_collections.inference.fleet.plugins.module_utils.reports.cohorts import Cohort
from ansible_collections.inference.fleet.plugins.module_utils.reports.overview import Report
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED
from ansible_collections.inference.fleet.plugins.module_utils.results.quality import marked
from ansible_collections.inference.fleet.plugins.module_utils.results.series import (
    SIMULATED,
    Document,
    compared,
    remarks,
    system,
    value,
)

_HERE = Path(__file__).resolve().parent

_SCRIPTS = ("page.js", "rent.js", "report.js")
# Title, metrics (the first, or its mean and p99), unit, and what is better.
_PLOTS = (
    ("Output throughput", ("output_throughput",), "tok/s", "higher is better"),
    ("Total token throughput", ("total_token_throughput",), "tok/s", "higher is better"),
    ("End-to-end latency (E2EL)", ("mean_e2el_ms", "p99_e2el_ms"), "ms", "lower is better"),
    ("Time to first token (TTFT)", ("mean_ttft_ms", "p99_ttft_ms"), "ms", "lower is better"),
    ("Time per output token (TPOT)", ("mean_tpot_ms", "p99_tpot_ms"), "ms", "lower is better"),
    ("Inter-token latency (ITL)", ("mean_itl_ms", "p99_itl_ms"), "ms", "lower is better"),
)
_COSTS = (
    ("Cost", (cohorts.cost_per_million_output, cohorts.cost_per_million), "US$ per million tokens"),
    ("Energy of the GPUs", (cohorts.energy_per_million_output, cohorts.energy_per_million), "kWh per million tokens"),
)
_TREND = ("output_throughput", "mean_ttft_ms", "mean_tpot_ms")
# Small plots of single hosts in one page. What changed is drawn first, then the slowest.
_PANELS = 120
# Comparisons of variants in one page, the newest.
_COMPARISONS = 10

_TEXT = re.compile(r'<pre id="table">(.*?)</pre>', re.DOTALL)


def page(report: Report, text: str) -> str:
    """Return the whole page; *text* is the table as printed.

    The page depends on nothing else: the same documents give the same bytes. Raises FleetError without matplotlib.
    """
    import jinja2

    plots.require_matplotlib()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    environment.globals.update(words=words, cohorts=cohorts, SIMULATED=SIMULATED, COMPARED=COMPARED)
    environment.filters.update(
        number=words.number, ratio=words.ratio, count=words.count, when=words.when, change=words.change
    )
    environment.filters["first_sentence"] = answers.first_sentence
    style = (_HERE / "report.css").read_text(encoding="utf-8")
    script = "".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    budget, said = _Budget(_PANELS), answers.screen(report, anchor)
    return environment.get_template("report.html.j2").render(
        style=plots.markup(_without_comments(style)),
        script=plots.markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=plots.markup(details.embedded(report.documents)),
        report=report,
        answers=said,
        rent_data=plots.markup(details.safe(said["data"])),
        groups=[_group(report, place, budget) for place in range(len(report.groups))],
        sweeps=[_sweep(plot, place) for place, plot in enumerate(sweeps.plots(report.documents))],
        costs=_costs(report),
        comparisons=[_comparison(item) for item in report.comparisons[:_COMPARISONS]],
        published=tables.published_rows(report.cohorts, report.published),
        text=text,
        system=system,
        remarks=remarks,
        value=value,
        anchor=anchor,
        host_anchor=host_anchor,
        acceptance=kept,
        run_anchor=run_anchor,
    )


def text_of(page: str) -> str | None:
    """Return the printed table that a page carries, or None where it is no page of ours."""
    found = _TEXT.search(page)
    return html.unescape(found.group(1)) if found else None


def anchor(document: Document) -> str:
    """Return a run's place in the page. Each later point of a sweep has one of its own."""
    number = document.get("point")
    return run_anchor(document["run_id"]) + (f"--point-{number}" if number else "")


def run_anchor(run_id: str) -> str:
    """Return the place of a run by its id."""
    return "run-" + re.sub(r"[^A-Za-z0-9_.-]", "-", run_id)


def host_anchor(series: Any) -> str:
    """Return the place of a series' runs in the page."""
    return "of-" + anchor(series.runs[0])


class _Budget:
    """How many more small plots the page may have."""

    def __init__(self, left: int) -> None:
        self.left = left


def _without_comments(style: str) -> str:
    return re.sub(r"/\*.*?\*/\n?", "", style, flags=re.DOTALL)


def _finalize(value: Any) -> Any:
    """Take from every text that is not ours what could break the page; None shows as a dash."""
    if value is None:
        return words.NOTHING
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return words.clean(value, lines=True)
    return value


def _group(report: Report, place: int, budget: _Budget) -> dict[str, Any]:
    """Return a group of the report as the template shows it."""
    group, members = report.groups[place], report.cohorts_of(place)
    names = [_heading(cohort) for cohort in members]
    figures = []
    for number, (title, keys, unit, better) in enumerate(_PLOTS):
        rows = [
            plots.Bar(
                name,
                cohort.simulated,
                tuple(cohort.figure(key) for key in keys),
                # Times between chunks of several tokens stand beside no published time between tokens.
                tuple(
                    None if marked(cohort.any, key) else compared(cohort.comparison, key, "baseline") for key in keys
                ),
            )
            for name, cohort in zip(names, members, strict=True)
        ]
        parts = ("mean", "mean p99") if len(keys) > 1 else ("measured",)
        label = f"{title} in {unit} of the latest runs, {better}. The table above has the figures."
        figures += _bars(rows, parts, title, better, unit, label, f"b{place}-{number}")
    return {
        "model": group.model,
        "workload": group.workload,
        "rows": [tables.cohort_row(cohort) for cohort in members],
        "plots": figures,
        "cohorts": [_cohort(report, cohort, f"{place}-{number}", budget) for number, cohort in enumerate(members)],
    }


def _bars(
    rows: Sequence[plots.Bar], names: Sequence[str], title: str, note: str, unit: str, label: str, name: str
) -> list[dict[str, Any]]:
    """Return one bar plot as the template shows it; none where there is nothing to draw."""
    if not any(figure for row in rows for figure in row.figures):
        return []
    return [{"title": title, "note": note, "svg": plots.markup(plots.bars(rows, names, unit, label, name))}]


def _heading(cohort: Cohort) -> str:
    """Return what names a cohort in a plot: its host, or how many it has."""
    hosts = cohort.latest[0]["host"] if len(cohort.series) == 1 else f"{len(cohort.series)} hosts"
    return f"{words.shorten(words.clean(hosts), 24)}, {words.shorten(words.clean(cohort.system), 28)}"


def _cohort(report: Report, cohort: Cohort, name: str, budget: _Budget) -> dict[str, Any]:
    """Return the hosts of a cohort, ranked, and their figures over time, as the template shows them."""
    mine = [change for change in report.changes if any(change.series is series for series in cohort.series)]
    ranked = cohort.ranking
    trends, panels, several = [], [], [item for item in ranked if len(item.series.runs) > 1]
    if several:
        for number, key in enumerate(_TREND):
            metric = next(item for item in COMPARED if item.key == key)
            title = f"{metric.label}, {metric.unit}"
            label = f"{title}, of {cohort.system} over {cohort.runs} runs."
            trends.append(
                {"title": title, "svg": plots.markup(plots.trend(cohort, key, mine, label, f"t{name}-{number}"))}
            )
    if len(cohort.series) > 1 and several:
        # Drawn where room is left: who changed, then who is slowest; shown by rank.
        first = sorted(several, key=lambda item: (not changes.of_series(mine, item.series), -ranked.index(item)))
        drawn = first[: budget.left]
        budget.left -= len(drawn)
        for number, item in enumerate(item for item in ranked if item in drawn):
            label = f"Output throughput of {item.series.latest['host']} over {len(item.series.runs)} runs, in tok/s."
            own = changes.of_series(mine, item.series)
            svg = plots.panel(item.series, _TREND[0], cohort, own, label, f"p{name}-{number}")
            panels.append({"series": item.series, "place": item.place, "svg": plots.markup(svg)})
    return {
        "cohort": cohort,
        "ranked": [(item, changes.of_series(mine, item.series)) for item in ranked],
        "trends": trends,
        "panels": panels,
        "drawn": {change.verdict for change in mine if change.metric == _TREND[0]},
        "undrawn": len(several) - len(panels) if panels else 0,
        "published": any(compared(cohort.comparison, key, "baseline") is not None for key in _TREND),
    }


def _sweep(plot: sweeps.Plot, place: int) -> dict[str, Any]:
    label = f"Output throughput per GPU against the speed for each user, {plot.model}, {plot.workload}."
    return {"plot": plot, "svg": plots.markup(plots.pareto(plot.sweeps, label, f"s{place}"))}


def _comparison(outcome: Outcome) -> dict[str, Any]:
    """Return a comparison of variants as the template shows it. The page has the published tables elsewhere."""
    return {
        "title": side_by_side.title(outcome),
        "tables": side_by_side.tables(outcome, published=False),
        "sentences": sentences(outcome),
    }


def _costs(report: Report) -> dict[str, Any]:
    """Return what tokens cost in money and energy, as the template shows it; no rows where no run tells it."""
    known = [
        cohort
        for cohort in report.cohorts
        if any(cohort.efficiency(read) for _title, readers, _unit in _COSTS for read in readers)
    ]
    figures = []
    for number, (title, readers, unit) in enumerate(_COSTS):
        rows = [
            plots.Bar(_heading(cohort), cohort.simulated, tuple(map(cohort.efficiency, readers)), (None, None))
            for cohort in known
        ]
        label = f"{title} in {unit} of the latest runs, lower is better. The table above has the figures."
        names = ("output tokens", "all tokens")
        figures += _bars(rows, names, title, "lower is better", unit, label, f"c{number}")
    return {"cohorts": known, "plots": figures}
