# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of a report: as text for a terminal, as rows for a page."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept
from ansible_collections.inference.fleet.plugins.module_utils.reports.cohorts import Cohort
from ansible_collections.inference.fleet.plugins.module_utils.reports.overview import Report
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.comparison import BETTER, WORSE
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED, Metric
from ansible_collections.inference.fleet.plugins.module_utils.results.quality import marked
from ansible_collections.inference.fleet.plugins.module_utils.results.series import (
    SIMULATED,
    Document,
    baseline,
    comparable,
    compared,
    remarks,
    system,
    value,
)

_WIDTH = 80
_NAME_WIDTH = 12
_CELL_WIDTH = 8
_INDENT = " " * 2
# Of a cohort with more hosts than this, a table shows the median, the fastest and the slowest.
FEW = 3
# The printed table is the only one that names each host.
_FEW_PRINTED = 8
_REMARKS = 8


@dataclass(frozen=True)
class Cell:
    """One figure: *value* and what it is compared with; *verdict* is "better", "worse" or nothing.

    *marked*: it is not quite what its name says, which a remark on the row tells.
    """

    metric: Metric
    value: float | None
    published: float | None
    ratio: float | None
    verdict: str = ""
    marked: bool = False

    @property
    def text(self) -> str:
        """The figure, with an asterisk where it is marked."""
        return words.number(self.value) + ("*" if self.marked and self.value is not None else "")


@dataclass(frozen=True)
class Row:
    """The figures of one host, or of several by their median: all of :data:`COMPARED`, and what is said with them.

    *name* is the host, or how many there are; *note* what else the row is. *document* stands for all of them.
    """

    name: str
    note: str
    document: Document
    cells: tuple[Cell, ...]
    remarks: tuple[str, ...]
    several: bool = False
    others: tuple[Document, ...] = ()

    @property
    def runs(self) -> tuple[Document, ...]:
        """All that the figures are of."""
        return self.others or (self.document,)


@dataclass(frozen=True)
class PublishedRow:
    """A published row, and the latest runs that were compared with it."""

    published: Mapping[str, Any]
    ours: tuple[Row, ...] = field(default=())


def row(document: Document, note: str = "", name: str | None = None) -> Row:
    """Return a document's row, beside the published one that it was compared with."""
    comparison = baseline(document)
    judged = comparison is not None and comparable(document, comparison)
    cells = []
    for metric in COMPARED:
        ratio = compared(comparison, metric.key, "ratio")
        published = compared(comparison, metric.key, "baseline")
        said = compared(comparison, metric.key, "verdict")
        mark = marked(document, metric.key)
        verdict = said if judged and not mark and said in (BETTER, WORSE) else ""
        cells.append(Cell(metric, value(document, metric.key), published, ratio, verdict, mark))
    return Row(name or document["host"], note, document, tuple(cells), tuple(remarks(document)))


def cohort_row(cohort: Cohort) -> Row:
    """Return a cohort's row: its host's, or the medians of its hosts' latest runs.

    Several hosts are better or worse than the published row where each of them is.
    """
    rows = [row(document, name=cohort.name(document)) for document in cohort.latest]
    if len(rows) == 1:
        return rows[0]
    cells = []
    for place, metric in enumerate(COMPARED):
        figure = cohort.figure(metric.key)
        middle = figure.middle if figure else None
        published = compared(cohort.comparison, metric.key, "baseline")
        ratio = middle / published if middle is not None and published else None
        verdicts = {item.cells[place].verdict for item in rows}
        mark = any(item.cells[place].marked for item in rows)
        cells.append(Cell(metric, middle, published, ratio, verdicts.pop() if len(verdicts) == 1 else "", mark))
    note = "median of their latest runs"
    return Row(f"{len(rows)} hosts", note, cohort.any, tuple(cells), _remarks_of_all(rows), True, cohort.latest)


def rows(cohort: Cohort, few: int = FEW) -> tuple[Row, ...]:
    """Return the rows of a cohort: each host's where they are *few*, else the median, the fastest and the slowest."""
    if len(cohort.series) <= few:
        return tuple(row(document, name=cohort.name(document)) for document in cohort.latest)
    ranked = [item.series.latest for item in cohort.ranking if item.place]
    ends = zip((ranked[0], ranked[-1]), ("the fastest", "the slowest"), strict=True) if ranked else ()
    return (cohort_row(cohort), *(row(document, note, cohort.name(document)) for document, note in ends))


def _remarks_of_all(rows_of_hosts: Sequence[Row]) -> tuple[str, ...]:
    """Return what is said of several hosts, each remark once: first that which is said of most."""
    said = Counter(remark for item in rows_of_hosts for remark in item.remarks)
    listed = sorted(said.items(), key=lambda item: (-item[1], item[0]))
    total = len(rows_of_hosts)
    found = [remark if count == total else f"{count} of {total} hosts: {remark}" for remark, count in listed]
    if len(found) > _REMARKS:
        found[_REMARKS:] = [f"{len(found) - _REMARKS} more remarks are with the runs."]
    return tuple(found)


def published_rows(found: Sequence[Cohort], published: Sequence[Mapping[str, Any]]) -> dict[str, list[PublishedRow]]:
    """Return the published tables by engine, in their own order, each row with the latest runs compared with it."""
    by_engine: dict[str, list[PublishedRow]] = {}
    for entry in published:
        ours = [cohort for cohort in found if (cohort.comparison or {}).get("id") == entry["id"]]
        lines = tuple(item for cohort in ours for item in rows(cohort))
        by_engine.setdefault(entry["engine"], []).append(PublishedRow(entry, lines))
    return by_engine


def text(report: Report) -> str:
    """Return the latest run of every series beside the published row, as plain text at most 80 columns wide.

    Of many hosts that do the same, the median, the fastest and the slowest.
    """
    runs, series = len(report.documents), len(report.series)
    parts = [
        f"{runs} run{'' if runs == 1 else 's'}, {series} series; the latest of each. "
        "Throughput in tok/s, latencies in ms."
        if runs
        else f"{report.lead}."
    ]
    if report.events:
        parts.append("\n".join(_text_changes(report)))
    slower = [slow.finding.sentence + (" Acknowledged." if slow.accepted else "") for slow in report.slower]
    absent = [item.sentence for item in report.found.absent]
    lists = [("Slow, without having changed:", slower), ("Not measured:", absent)]
    lists.append(("Evaluations:", [_mark(told.document) + told.sentence for told in report.evaluations]))
    if not runs:
        tests = [_mark(test) + kept.sentence(test) for test in report.acceptances]
        lists.append(("Acceptance tests:", tests))
    for title, sentences in lists:
        if sentences:
            parts.append("\n".join(_text_list(title, sentences)))
    parts.extend(_text_group(report, place) for place in range(len(report.groups)))
    return "\n\n".join(parts) + "\n"


def _mark(document: Document) -> str:
    return f"{SIMULATED} " if document["simulated"] else ""


def _text_changes(report: Report) -> list[str]:
    lines = ["Changed:"]
    for event in report.events[:_REMARKS]:
        change = event.first
        mark = _mark(change.series.latest)
        more = f" Also {event.others}." if event.others else ""
        known = " Acknowledged." if change.acknowledged else ""
        aside = report.aside(change.series)
        said = (
            f"{mark}{words.clean(change.host)}{aside}: {change.name} {change.size} ({change.levels}), "
            f"{change.verdict}, since {words.when(change.started_at)}. "
            f"With it: {words.clean(event.together)}.{more}{known}"
        )
        lines.extend(_wrap(said, _INDENT))
    if len(report.events) > _REMARKS:
        lines.append(f"{_INDENT}{len(report.events) - _REMARKS} more are in the report.")
    return lines


def _text_list(title: str, sentences: Sequence[str]) -> list[str]:
    lines = [title]
    for sentence in sentences[:_REMARKS]:
        lines.extend(_wrap(words.clean(sentence), _INDENT))
    if len(sentences) > _REMARKS:
        lines.append(f"{_INDENT}{len(sentences) - _REMARKS} more are in the report.")
    return lines


def _text_group(report: Report, place: int) -> str:
    group = report.groups[place]
    lines = _wrap(f"{words.clean(group.model)}: {words.workload(group.workload)}", "")
    lines.append(_line("", [metric.name for metric in COMPARED]))
    lines.append(_line("", [metric.of_run or metric.unit for metric in COMPARED]))
    lines.append("-" * len(_line("", ["-"] * len(COMPARED))))
    for cohort in report.cohorts_of(place):
        for facts in rows(cohort, _FEW_PRINTED):
            lines.extend(_text_row(facts))
    return "\n".join(lines)


def _text_row(facts: Row) -> list[str]:
    document = facts.document
    mark = _mark(document)
    note = f", {facts.note}" if facts.note else ""
    heading = f"{mark}{words.clean(facts.name)}{note}: {words.clean(system(document))}"
    # Several hosts' latest runs have a time each.
    lines = _wrap(heading if facts.several else f"{heading}, {words.when(document['started_at'])}", "")
    lines.append(
        _line(
            _INDENT + "measured" if not mark else _INDENT + "simulated",
            [cell.text for cell in facts.cells],
        )
    )
    if any(cell.published is not None for cell in facts.cells):
        lines.append(_line(_INDENT + "published", [words.number(cell.published) for cell in facts.cells]))
        lines.append(_line(_INDENT + "ratio", [words.ratio(cell.ratio) for cell in facts.cells]))
    else:
        lines.append(f"{_INDENT}No published row for {words.clean(system(document))} with this model.")
    for note in facts.remarks:
        lines.extend(_wrap(note, _INDENT))
    return lines


def _line(name: str, cells: Iterable[str]) -> str:
    widths = [max(_CELL_WIDTH, len(metric.of_run) + 1) for metric in COMPARED]
    listed = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{name:<{_NAME_WIDTH}}{listed}".rstrip()


def _wrap(sentence: str, indent: str) -> list[str]:
    return textwrap.wrap(sentence, _WIDTH, initial_indent=indent, subsequent_indent=indent + _INDENT)
