# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of a report: as text for a terminal, as rows for a page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.comparison import BETTER, WORSE
from ansible_collections.inference.fleet.plugins.module_utils.reports import words
from ansible_collections.inference.fleet.plugins.module_utils.reports.metrics import COMPARED, Metric
from ansible_collections.inference.fleet.plugins.module_utils.reports.series import (
    SIMULATED,
    Document,
    Group,
    Series,
    baseline,
    comparable,
    compared,
    remarks,
    subject,
    value,
)

_WIDTH = 80
_NAME_WIDTH = 12
_CELL_WIDTH = 8
_INDENT = " " * 2


@dataclass(frozen=True)
class Cell:
    """One figure: *value* and what it is compared with; *verdict* is "better", "worse" or nothing."""

    metric: Metric
    value: float | None
    published: float | None
    ratio: float | None
    verdict: str = ""


@dataclass(frozen=True)
class Row:
    """The figures of one document, all of :data:`COMPARED`, and what is said with them."""

    document: Document
    cells: tuple[Cell, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class PublishedRow:
    """A published row, and the latest runs that were compared with it."""

    published: Mapping[str, Any]
    ours: tuple[Row, ...] = field(default=())


def row(document: Document, comparison: Mapping[str, Any] | None = None) -> Row:
    """Return a document's row, beside *comparison* (default: the document's first)."""
    comparison = comparison or baseline(document)
    judged = comparison is not None and comparable(document, comparison)
    cells = []
    for metric in COMPARED:
        ratio = compared(comparison, metric.key, "ratio")
        published = compared(comparison, metric.key, "baseline")
        said = compared(comparison, metric.key, "verdict")
        verdict = said if judged and said in (BETTER, WORSE) else ""
        cells.append(Cell(metric, value(document, metric.key), published, ratio, verdict))
    return Row(document, tuple(cells), tuple(remarks(document)))


def published_rows(groups: Iterable[Group], published: Sequence[Mapping[str, Any]]) -> dict[str, list[PublishedRow]]:
    """Return the published tables by engine, in their own order, each row with the latest runs compared with it."""
    latest = [series.latest for group in groups for series in group.series]
    tables: dict[str, list[PublishedRow]] = {}
    for entry in published:
        ours = tuple(
            row(document, comparison)
            for document in latest
            for comparison in document["baselines"]
            if comparison["id"] == entry["id"]
        )
        tables.setdefault(entry["engine"], []).append(PublishedRow(entry, ours))
    return tables


def text(groups: Sequence[Group], runs: int) -> str:
    """Return the latest run of every series beside the published row, as plain text at most 80 columns wide."""
    series = [item for group in groups for item in group.series]
    parts = [
        f"{runs} run{'' if runs == 1 else 's'}, {len(series)} series; the latest of each. "
        "Throughput in tok/s, latencies in ms."
    ]
    parts.extend(_text_group(group) for group in groups)
    return "\n\n".join(parts) + "\n"


def _text_group(group: Group) -> str:
    lines = _wrap(f"{words.clean(group.model)}: {words.workload(group.workload)}", "")
    lines.append(_line("", [metric.name for metric in COMPARED]))
    lines.append(_line("", [metric.part or metric.unit for metric in COMPARED]))
    lines.append("-" * (_NAME_WIDTH + _CELL_WIDTH * len(COMPARED)))
    for series in group.series:
        lines.extend(_text_series(series))
    return "\n".join(lines)


def _text_series(series: Series) -> list[str]:
    document = series.latest
    facts = row(document)
    mark = f"{SIMULATED} " if document["simulated"] else ""
    heading = (
        f"{mark}{words.clean(document['host'])}: {words.clean(subject(document))}, {words.when(document['started_at'])}"
    )
    lines = _wrap(heading, "")
    lines.append(
        _line(
            _INDENT + "measured" if not mark else _INDENT + "simulated",
            [words.number(cell.value) for cell in facts.cells],
        )
    )
    if any(cell.published is not None for cell in facts.cells):
        lines.append(_line(_INDENT + "published", [words.number(cell.published) for cell in facts.cells]))
        lines.append(_line(_INDENT + "ratio", [words.ratio(cell.ratio) for cell in facts.cells]))
    else:
        lines.append(f"{_INDENT}No published row for {words.clean(subject(document))} with this model.")
    for note in facts.remarks:
        lines.extend(_wrap(note, _INDENT))
    return lines


def _line(name: str, cells: Iterable[str]) -> str:
    return (f"{name:<{_NAME_WIDTH}}" + "".join(f"{cell:>{_CELL_WIDTH}}" for cell in cells)).rstrip()


def _wrap(sentence: str, indent: str) -> list[str]:
    return textwrap.wrap(sentence, _WIDTH, initial_indent=indent, subsequent_indent=indent + _INDENT)
