# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML page that needs nothing else: no network, no script, no font."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.reports import plots, tables, words
from ansible_collections.inference.fleet.plugins.module_utils.reports.load import Damaged
from ansible_collections.inference.fleet.plugins.module_utils.reports.metrics import COMPARED, NAMES
from ansible_collections.inference.fleet.plugins.module_utils.reports.series import (
    SIMULATED,
    Document,
    Group,
    remarks,
    subject,
)

_HERE = Path(__file__).resolve().parent

# Title, metrics (the first, or its mean and p99), unit, and what is better.
_PLOTS = (
    ("Output throughput", ("output_throughput",), "tok/s", "higher is better"),
    ("Total token throughput", ("total_token_throughput",), "tok/s", "higher is better"),
    ("End-to-end latency (E2EL)", ("mean_e2el_ms", "p99_e2el_ms"), "ms", "lower is better"),
    ("Time to first token (TTFT)", ("mean_ttft_ms", "p99_ttft_ms"), "ms", "lower is better"),
    ("Time per output token (TPOT)", ("mean_tpot_ms", "p99_tpot_ms"), "ms", "lower is better"),
    ("Inter-token latency (ITL)", ("mean_itl_ms", "p99_itl_ms"), "ms", "lower is better"),
)
_TREND = ("output_throughput", "mean_ttft_ms", "mean_tpot_ms")

_TEXT = re.compile(r'<pre id="table">(.*?)</pre>', re.DOTALL)


def page(groups: Sequence[Group], published: Sequence[Mapping[str, Any]], damaged: Sequence[Damaged], text: str) -> str:
    """Return the whole page.

    *groups* are those of :func:`series.group`, *published* the rows of the published tables,
    *damaged* the files left out, *text* the table as printed. The page depends on nothing
    else: the same documents give the same bytes. Raises FleetError without matplotlib.
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
    environment.globals.update(words=words, SIMULATED=SIMULATED, COMPARED=COMPARED, NAMES=NAMES)
    environment.filters.update(
        number=words.number, ratio=words.ratio, count=words.count, percent=words.percent, when=words.when
    )
    series = [item for group in groups for item in group.series]
    runs = [run for item in series for run in item.runs]
    starts = sorted((run["started_at"] for run in runs), key=words.parse_time)
    return environment.get_template("report.html.j2").render(
        style=_markup((_HERE / "report.css").read_text(encoding="utf-8")),
        groups=[_group(group, index) for index, group in enumerate(groups)],
        series=series,
        runs=runs,
        hosts=len({run["host"] for run in runs}),
        simulated=sum(run["simulated"] for run in runs),
        first=starts[0][:10] if starts else None,
        last=starts[-1][:10] if starts else None,
        published=tables.published_rows(groups, published),
        published_workload=published[0]["workload"] if published else None,
        published_source=published[0].get("source", "") if published else "",
        published_note=published[0].get("note", "") if published else "",
        damaged=damaged,
        text=text,
        subject=subject,
        remarks=remarks,
        anchor=anchor,
    )


def text_of(page: str) -> str | None:
    """Return the printed table that a page carries, or None where it is no page of ours."""
    found = _TEXT.search(page)
    return html.unescape(found.group(1)) if found else None


def anchor(document: Document) -> str:
    """Return a run's place in the page."""
    return "run-" + re.sub(r"[^A-Za-z0-9_.-]", "-", document["run_id"])


def _markup(text: str) -> Any:
    """Mark *text*, which is ours, as needing no escape."""
    from markupsafe import Markup

    return Markup(text)


def _finalize(value: Any) -> Any:
    """Take from every text that is not ours what could break the page; None shows as a dash."""
    if value is None:
        return words.NOTHING
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return words.clean(value, lines=True)
    return value


def _group(group: Group, index: int) -> dict[str, Any]:
    figures = []
    for place, (title, keys, unit, better) in enumerate(_PLOTS):
        if any(series.latest["metrics"].get(key) for series in group.series for key in keys):
            label = f"{title} in {unit} of the latest runs, {better}. The table above has the figures."
            svg = plots.bars(group.series, keys, unit, label, f"b{index}-{place}")
            figures.append({"title": title, "unit": unit, "better": better, "svg": _markup(svg)})
    trends = []
    for place, series in enumerate(group.series):
        if len(series.runs) > 1:
            label = f"Figures of {series.latest['host']} over {len(series.runs)} runs."
            trends.append({"series": series, "svg": _markup(plots.trend(series, _TREND, label, f"t{index}-{place}"))})
    return {
        "model": group.model,
        "workload": group.workload,
        "rows": [(series, tables.row(series.latest)) for series in group.series],
        "plots": figures,
        "trends": trends,
    }
