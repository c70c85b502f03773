# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML page that needs nothing else: no network, no font, and no script to read its tables."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections import ChainMap
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept
from ansible_collections.inference.fleet.plugins.module_utils.comparisons import tables as side_by_side
from ansible_collections.inference.fleet.plugins.module_utils.comparisons.outcome import Outcome, sentences
from ansible_collections.inference.fleet.plugins.module_utils.reports import (
    answers,
    changes,
    cohorts,
    columns,
    details,
    sweeps,
    tables,
)
from ansible_collections.inference.fleet.plugins.module_utils.reports.cohorts import Cohort
from ansible_collections.inference.fleet.plugins.module_utils.reports.overview import Report
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED
from ansible_collections.inference.fleet.plugins.module_utils.results.series import (
    SIMULATED,
    Document,
    Series,
    remarks,
    system,
    value,
)

_HERE = Path(__file__).resolve().parent

# In this order, as one script. uPlot's licence asks to be in every copy.
_SCRIPTS = (
    "uplot/uPlot.iife.min.js",
    "page.js",
    "filter.js",
    "rent.js",
    "share.js",
    "rule.js",
    "plots.js",
    "runplots.js",
    "compare.js",
    "runs.js",
)
_STYLES = ("uplot/uPlot.min.css", "report.css")
# Of each series so many runs stand in the page before its script adds the others.
_NEWEST = 3
# Comparisons of variants in one page, the newest.
_COMPARISONS = 10

_TEXT = re.compile(r'<pre id="table">(.*?)</pre>', re.DOTALL)


def page(report: Report, text: str) -> str:
    """Return the whole page; *text* is the table as printed.

    The page depends on nothing else: the same documents give the same bytes.
    """
    import jinja2

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
    style, script = (
        "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names) for names in (_STYLES, _SCRIPTS)
    )
    script = f"/*!\n{(_HERE / 'uplot' / 'LICENSE').read_text(encoding='utf-8')}*/\n{script}"
    said, named = answers.screen(report, run_anchor), columns.named(report)
    return environment.get_template("report.html.j2").render(
        style=_markup(_without_comments(style)),
        script=_markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_markup(columns.packed(columns.data(report, anchor, host_anchor))),
        report=report,
        facets=report.facets,
        answers=said,
        first_data=_markup(details.safe({"rent": said["data"], "filter": said["chosen"]})),
        groups=[_group(report, place, named) for place in range(len(report.groups))],
        sweeps=sweeps.plots(report.documents),
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
    # A document that was stored would have to be unpacked to tell that it is no point.
    number = document.get("point") if isinstance(document, ChainMap) else None
    return run_anchor(document["run_id"]) + (f"--point-{number}" if number else "")


def run_anchor(run_id: str) -> str:
    """Return the place of a run by its id."""
    return "run-" + re.sub(r"[^A-Za-z0-9_.-]", "-", run_id)


def host_anchor(series: Any) -> str:
    """Return the place of a series' runs in the page."""
    return "of-" + anchor(series.runs[0])


def _markup(text: str) -> Any:
    """Mark *text*, which is ours, as needing no escape."""
    from markupsafe import Markup

    return Markup(text)


def _without_comments(style: str) -> str:
    return re.sub(r"/\*.*?\*/\n?", "", style, flags=re.DOTALL)


def _finalize(value: Any) -> Any:
    """Take from every text that is not ours what could break the page; None shows as a dash."""
    if value is None:
        return words.NOTHING
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return words.clean(value, lines=True)
    return value


def _group(report: Report, place: int, named: frozenset[str]) -> dict[str, Any]:
    """Return a group of the report as the template shows it."""
    group, members = report.groups[place], report.cohorts_of(place)
    return {
        "model": group.model,
        "workload": group.workload,
        "rows": [tables.cohort_row(cohort) for cohort in members],
        "cohorts": [_cohort(report, cohort, named) for cohort in members],
    }


def _cohort(report: Report, cohort: Cohort, named: frozenset[str]) -> dict[str, Any]:
    """Return the hosts of a cohort, ranked, with the runs that stand in the page, as the template shows them."""
    return {
        "cohort": cohort,
        "number": next(number for number, known in enumerate(report.cohorts) if known is cohort),
        "ranked": [
            (item, changes.of_series(report.changes, item.series), _listed(item.series, named))
            for item in cohort.ranking
        ],
        "history": any(len(item.series.runs) > 1 for item in cohort.ranking),
    }


def _listed(series: Series, named: frozenset[str]) -> list[Document]:
    """Return the newest runs of a series, and those that something in the page links to, newest first."""
    newest = len(series.runs) - _NEWEST
    kept = [run for place, run in enumerate(series.runs) if place >= newest or run["run_id"] in named]
    return kept[::-1]


def _comparison(outcome: Outcome) -> dict[str, Any]:
    """Return a comparison of variants as the template shows it. The page has the published tables elsewhere."""
    return {
        "runs": [run for item in outcome.measured for run in item.runs],
        "title": side_by_side.title(outcome),
        "tables": side_by_side.tables(outcome, published=False),
        "sentences": sentences(outcome),
    }


def _costs(report: Report) -> list[Cohort]:
    """Return the cohorts of which a run tells what tokens cost in money or energy."""
    readers = (
        cohorts.cost_per_million_output,
        cohorts.cost_per_million,
        cohorts.energy_per_million_output,
        cohorts.energy_per_million,
    )
    return [cohort for cohort in report.cohorts if any(map(cohort.efficiency, readers))]
