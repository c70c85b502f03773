# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A comparison as a reader sees it: tables, each with its title and remarks, as text and as Markdown. All pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.comparisons import outcome as outcomes
from ansible_collections.inference.fleet.plugins.module_utils.comparisons.outcome import Measured, Outcome
from ansible_collections.inference.fleet.plugins.module_utils.results import series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.comparison import SAME
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED
from ansible_collections.inference.fleet.plugins.module_utils.results.published import MODEL, PUBLISHED
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import conditions
from ansible_collections.inference.fleet.plugins.module_utils.results.words import aligned

_CAUSE = 300


@dataclass(frozen=True)
class Table:
    """One table; its first row is the head. *remarks* are sentences below it."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()


def tables(outcome: Outcome, published: bool = True) -> list[Table]:
    """Return the page's tables with ours beside them, then the variants side by side, then what failed."""
    return [*(_page(outcome) if published else ()), *_side_by_side(outcome), *_failures(outcome)]


def title(outcome: Outcome) -> str:
    """Return what was compared where, in one line."""
    marked = "SIMULATED " if outcome.simulated else ""
    names = ", ".join(item.name for item in outcome.variants)
    return f"{marked}Comparison {outcome.id} on {', '.join(outcome.hosts)}: {names}"


def text(outcome: Outcome) -> str:
    """Return a comparison as plain text."""
    lines = [title(outcome)]
    for table in tables(outcome):
        lines += ["", f"  {table.title}", *(f"    {line}" for line in aligned(table.rows))]
        lines += [f"    {remark}" for remark in table.remarks]
    return "\n".join([*lines, "", *(f"  {sentence}" for sentence in outcomes.sentences(outcome))])


def markdown(outcome: Outcome, published: bool = True) -> str:
    """Return a comparison as Markdown to paste."""
    parts = [f"## {_escaped(title(outcome))}"]
    for table in tables(outcome, published):
        head, *rows = table.rows
        marks = ["---", *["---:"] * (len(head) - 1)] if rows and len(head) > 2 else ["---"] * len(head)
        lines = [_row(head), _row(marks, plain=True), *map(_row, rows)]
        parts += [f"### {_escaped(table.title)}", "\n".join(lines), *map(_escaped, table.remarks)]
    parts.append("\n".join(f"- {_escaped(sentence)}" for sentence in outcomes.sentences(outcome)))
    return "\n\n".join(parts) + "\n"


def _page(outcome: Outcome) -> Iterator[Table]:
    """Yield one table for each engine of the page that was measured, as the page has them, SGLang first."""
    runs = [(item, run) for item in outcome.measured for run in item.runs if run["model"]["id"] == MODEL]
    for engine in ("sglang", "vllm"):
        mine = {item.name: item for item, run in runs if series.engine(run) == engine}
        if not mine:
            continue
        rows = [("", *(f"{metric.label}, {metric.unit}" for metric in COMPARED))]
        remarks: dict[str, None] = {}
        for row in (row for row in PUBLISHED if row["engine"] == engine):
            what = f"{words.profile(row['profile'])}, published{' (looks cold)' if row['cold'] else ''}"
            rows.append((what, *(words.number(row["metrics"].get(metric.key)) for metric in COMPARED)))
            for item in mine.values():
                run = item.runs[-1]
                if series.profile(run) != row["profile"]:
                    continue
                rows.append((f"  {item.name}, here", *(words.number(item.figures.get(key.key)) for key in COMPARED)))
                remarks |= dict.fromkeys(_remarks(row, run))
        yield Table(f"{words.engine(engine)}: the page, and here", tuple(rows), tuple(remarks))


def _remarks(row: dict, run: outcomes.Document) -> Iterator[str]:
    if conditions(row["workload"]) != conditions(run["workload"]):
        ours, theirs = words.workload(run["workload"]), words.workload(row["workload"])
        yield f"Not the page's workload: {ours} here, {theirs} there. The rows cannot be compared."
    if row["cold"] and run["warm"]:
        yield "The published row looks as if measured cold; ours is warm, and should be better for that alone."
    if run["simulated"]:
        yield "SIMULATED: the simulator follows the published row. No GPU was measured."


def _side_by_side(outcome: Outcome) -> Iterator[Table]:
    measured = outcome.measured
    if not measured:
        return
    reference = measured[0]
    rows = [("", *(_head(item) for item in measured))]
    for metric in COMPARED:
        if any(metric.key in item.figures for item in measured):
            cells = [_cell(outcome, reference, item, metric.key) for item in measured]
            rows.append((f"{metric.label}, {metric.unit}", *cells))
    for key, name, unit in outcomes.EFFICIENCY:
        values = [outcomes.efficiency(item, key) for item in measured]
        if any(value is not None for value in values):
            money = words.price if key.startswith("cost") else words.number
            rows.append((f"{name}, {unit}", *map(money, values)))
    rows.append(("Runs", *(str(len(item.runs)) for item in measured)))
    remarks = [words.workload(measured[0].runs[-1]["workload"])]
    if len(measured) > 1:
        remarks.append(f"Changes are beside {reference.name}; = is a difference that these runs do not show.")
    if not outcome.complete:
        remarks.append("Not all turns are taken yet.")
    if any(not run["warm"] for item in measured for run in item.runs):
        remarks.append("Not warmed up: no verdicts.")
    remarks += [f"Left out of the verdicts: {reason}" for item in measured for reason in item.left_out]
    yield Table("Side by side", tuple(rows), tuple(remarks))


def _head(item: Measured) -> str:
    run = item.runs[-1]
    version = run["engine"].get("version")
    is_ = " ".join(filter(None, (words.engine(series.engine(run)), None if run["simulated"] else version)))
    return item.name if item.name.lower() == is_.lower() else f"{item.name} ({is_})"


def _cell(outcome: Outcome, reference: Measured, item: Measured, key: str) -> str:
    figure = words.number(item.figures.get(key))
    verdict = outcome.pairs.get((item.name, reference.name), {}).get(key)
    if item is reference or verdict is None:
        return figure
    word = "=" if verdict.verdict == SAME else verdict.verdict
    return f"{figure}  {words.change(verdict.change)} {word} (noise {words.percent(verdict.margin)})"


def _failures(outcome: Outcome) -> Iterator[Table]:
    rows = [
        (item.name, host, str(failure.round), words.shorten(words.clean(failure.cause), _CAUSE))
        for item in outcome.variants
        for host, failure in item.failures
    ]
    if rows:
        yield Table("Without a result", (("Variant", "Host", "Round", "Cause"), *rows))


def _row(cells: Sequence[str], plain: bool = False) -> str:
    return f"| {' | '.join(cells if plain else map(_escaped, cells))} |"


def _escaped(text_: str) -> str:
    """Return text so that Markdown shows it as it is, in one line, and notifies nobody."""
    plain = "".join(f"\\{char}" if char in "\\|*_`[]~$#" else char for char in words.clean(text_))
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
