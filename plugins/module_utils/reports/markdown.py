# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as Markdown, for a pull request or a chat: tables, no plots, and short enough for a comment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept, verdict
from ansible_collections.inference.fleet.plugins.module_utils.comparisons import tables as side_by_side
from ansible_collections.inference.fleet.plugins.module_utils.reports import (
    answers,
    cohorts,
    fleet,
    rent,
    sweeps,
    tables,
)
from ansible_collections.inference.fleet.plugins.module_utils.reports.cohorts import Cohort, Ranked
from ansible_collections.inference.fleet.plugins.module_utils.reports.overview import Report
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED
from ansible_collections.inference.fleet.plugins.module_utils.results.series import SIMULATED, marks, system, value

# A comment on GitHub has at most 65,536 characters.
LONGEST = 60_000
# Of a longer list, so many: of the ranks of hosts from each end.
_LISTED = 20
_FEW = 5
_ENDS = 5
_TIMES = "\N{MULTIPLICATION SIGN}"
_SPECIAL = re.compile(r"([\\`*_\[\]|~$#])")
_LETTERS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


def page(report: Report, whole: bool = True) -> str:
    """Return the report, *whole* or its three answers alone. The same documents give the same text.

    A section that would make it too long for a comment is left out, and said to be.
    """
    sections = [
        ("Is the fleet well?", _health(report)),
        ("What changed?", _news(report)),
        ("Which to rent?", _rent(report)),
        # The table above has the scores of what was measured too.
        *([] if report.documents else [("Evaluations", _evaluated(report))]),
    ]
    tables_of_all = [
        ("Change points", _changes(report)),
        ("Slow, without having changed", _slower(report)),
        ("Not measured", _absent(report)),
        ("Acceptance tests", _accepted(report)),
        ("Evaluations", _evaluated(report)),
        ("The published tables, with ours beside them", _published(report)),
        ("Latest of each engine and profile", _latest(report)),
        ("Cost and energy", _costs(report)),
        ("Side by side", _comparisons(report)),
        ("Sweeps", _sweeps(report)),
        ("Hosts ranked", _ranks(report)),
        ("Left out", _damaged(report)),
    ]
    sections = tables_of_all if whole else sections
    text = "\n".join(_lead(report))
    left_out = []
    for title, lines in sections:
        if not lines:
            continue
        section = "\n".join(["", "", f"## {title}", "", *lines])
        if len(text) + len(section) > LONGEST:
            left_out.append(title)
        else:
            text += section
    if left_out:
        text += f"\n\nToo long for a comment, and only in the page: {', '.join(left_out)}."
    return text + "\n"


def escape(text: object) -> str:
    """Return *text* so that Markdown shows it as it is, in one line, and notifies nobody.

    >>> escape("a|b <i> @all")
    'a\\\\|b &lt;i&gt; &#64;all'
    """
    plain = "".join(_LETTERS.get(letter, letter) for letter in words.clean(text))
    # The entities' own number sign is none of the text's.
    return _SPECIAL.sub(r"\\\1", plain).replace("&\\#64;", "&#64;")


def _lead(report: Report) -> list[str]:
    said = " Tables show the latest run of every host, engine, profile and workload." if report.documents else ""
    lines = ["# Inference fleet report", "", f"{report.lead}.{said}"]
    if report.rehearsed:
        lines += ["", f"> **{SIMULATED}**: {report.rehearsed} simulated. Such figures say nothing about hardware."]
    return lines


def _health(report: Report) -> list[str]:
    lines = []
    for health in fleet.health(report, fleet.news(report)):
        lines += [*_gap(lines), f"{_mark(health.simulated)}**{health.sentence}**"]
        if health.unwell:
            lines.append("")
        for host, items in health.unwell[:_LISTED]:
            lines.append(f"- {escape(host)}: **{items[0].size}**{_since(items[0])}. {escape(items[0].text)}")
        lines += _more(len(health.unwell))
        if health.caveat and not health.simulated:
            lines += ["", health.caveat]
    return lines


def _news(report: Report) -> list[str]:
    news = fleet.news(report)
    lines = [
        f"- **{item.size}** {_mark(item.simulated)}{escape(item.host)}"
        f"{' got better' if item.tone == fleet.BETTER else ''}{_since(item)}. {escape(item.text)}"
        for item in news[:_FEW]
    ]
    if len(news) > _FEW:
        lines += ["", f"{len(news) - _FEW} more are in the page."]
    return lines or ["Nothing that is beyond chance."]


def _since(item: fleet.News) -> str:
    return f", {item.moment}" if item.since else ""


def _rent(report: Report) -> list[str]:
    rows = rent.table(report.every)
    chosen = [
        f"{escape(', '.join(choice.question))}: **{escape(choice.sentence)}**" for choice in rent.choices(rows)[:_FEW]
    ]
    heads = ["Configuration", "In flight", *(f"{column.title}, {column.unit}" for column in rent.COLUMNS)]
    scores = [rent.scores(row, report.evaluations) for row in rows]
    last = ["Warm, undisturbed", *(["Evaluations"] if any(scores) else [])]
    lines = []
    for row, found in zip(rows[:_LISTED], scores, strict=False):
        best = row.best
        name = ", ".join(filter(None, (row.system, row.version, row.precision, *row.question)))
        figures = [words.number(best.figures[column.key]) for column in rent.COLUMNS]
        why_not = escape(answers.first_sentence(best.why_not)) or "yes"
        told = [escape(", ".join(score.text for score in found))] if any(scores) else []
        lines.append([_mark(row.simulated) + escape(name), best.load, *figures, why_not, *told])
    said = chosen or ["Nothing here can tell: no run is measured, warm and undisturbed."]
    return [*said, "", *(_table([*heads, *last], lines) if lines else []), *_more(len(rows))]


def _comparisons(report: Report) -> list[str]:
    """Return the newest comparison of variants."""
    return [
        line
        for outcome in report.comparisons[:1]
        for line in side_by_side.markdown(outcome, published=False).replace("\n## ", "\n### ").splitlines()
    ]


def _changes(report: Report) -> list[str]:
    lines = []
    for event in report.events[:_LISTED]:
        change = event.first
        more = f" Also {event.others}." if event.others else ""
        known = " Acknowledged." if change.acknowledged else ""
        aside = report.aside(change.series)
        lines.append(
            f"- **{change.size}** {_mark(change.series.latest['simulated'])}{escape(change.host)}, "
            f"{escape(system(change.series.latest))}{aside}: {change.name} got {change.verdict}, {change.levels}, "
            f"since {words.when(change.started_at)}. With it: {escape(event.together)}.{more}{known}"
        )
    return lines + _more(len(report.events))


def _slower(report: Report) -> list[str]:
    lines = [
        f"- **{words.change(slow.finding.change_percent / 100)}** {escape(slow.finding.sentence)}"
        + (" Acknowledged." if slow.accepted else "")
        for slow in report.slower[:_LISTED]
    ]
    return lines + _more(len(report.slower))


def _absent(report: Report) -> list[str]:
    absent = report.found.absent
    return [f"- {escape(item.sentence)}" for item in absent[:_LISTED]] + _more(len(absent))


def _accepted(report: Report) -> list[str]:
    """The last test of each host, what is not sound first."""
    order = (verdict.SICK, verdict.ODD, verdict.SOUND)
    tests = sorted(report.acceptances, key=lambda test: (order.index(test["verdict"]), test["host"]))
    lines = [
        f"- {'**' + SIMULATED + '** ' if test['simulated'] else ''}{escape(kept.sentence(test))}" for test in tests
    ]
    return lines[:_LISTED] + _more(len(lines))


def _evaluated(report: Report) -> list[str]:
    """The last evaluation of each model by each benchmark, those that got worse first."""
    lines = [
        f"- {'**' + SIMULATED + '** ' if told.document['simulated'] else ''}"
        f"{'**worse** ' if told.worse else ''}{escape(told.sentence)}"
        for told in report.evaluations
    ]
    return lines[:_LISTED] + _more(len(lines))


def _published(report: Report) -> list[str]:
    lines: list[str] = []
    for engine, entries in tables.published_rows(report.cohorts, report.published).items():
        rows = []
        for entry in entries:
            cold = ", looks cold" if entry.published["cold"] else ""
            figures = [words.number(entry.published["metrics"].get(metric.key)) for metric in COMPARED]
            rows.append([f"{words.profile(entry.published['profile'])}, published{cold}", *figures])
            rows.extend([_name(row), *_figures(row)] for row in entry.ours)
        lines += [*_gap(lines), f"**{words.engine(engine)}**", "", *_table(["Hardware", *_heads()], rows)]
    return lines


def _latest(report: Report) -> list[str]:
    lines: list[str] = []
    for place, group in enumerate(report.groups):
        rows = [
            [f"{escape(system(row.document))}: {_name(row)}", *_figures(row)]
            for row in map(tables.cohort_row, report.cohorts_of(place))
        ]
        title = f"**{escape(group.model)}**, {words.workload(group.workload)}"
        lines += [*_gap(lines), title, "", *_table(["Engine and hardware", *_heads()], rows)]
        said = {marks(document) for cohort in report.cohorts_of(place) for document in cohort.latest}
        lines += [line for mark in sorted(filter(None, said)) for line in ("", f"\\* {escape(words.sentence(mark))}")]
    return lines


def _costs(report: Report) -> list[str]:
    readers = (
        ("Price, US$/h", cohorts.price),
        ("US$ per million output tokens", cohorts.cost_per_million_output),
        ("US$ per million tokens", cohorts.cost_per_million),
        ("GPU power, W", cohorts.power),
        ("kWh per million output tokens", cohorts.energy_per_million_output),
        ("kWh per million tokens", cohorts.energy_per_million),
    )
    rows = []
    for cohort in report.cohorts:
        figures = [cohort.efficiency(read) for _head, read in readers]
        if any(figures):
            name = f"{_mark(cohort.simulated)}{escape(cohort.system)}, {words.workload(cohort.any['workload'])}"
            price, *others = (figure.middle if figure else None for figure in figures)
            rows.append([name, words.price(price), *map(words.number, others)])
    return _table(["Engine and hardware", *(head for head, _read in readers)], rows) if rows else []


def _sweeps(report: Report) -> list[str]:
    lines: list[str] = []
    for plot in sweeps.plots(report.documents):
        for sweep in plot.sweeps:
            rows = [
                [
                    words.count(point.concurrency),
                    words.number(point.per_gpu),
                    words.number(point.per_user),
                    words.number(value(point.facts, "mean_ttft_ms")),
                    "yes" if point.pareto else "",
                ]
                for point in sweep.points
            ]
            title = f"{_mark(sweep.simulated)}**{escape(sweep.name)}**, {escape(plot.model)}, {plot.workload}"
            heads = ["In flight", "tok/s per GPU", "tok/s per user", "TTFT mean, ms", "On the Pareto front"]
            lines += [*_gap(lines), title, "", *_table(heads, rows)]
    return lines


def _ranks(report: Report) -> list[str]:
    lines: list[str] = []
    several = [cohort for cohort in report.cohorts if len(cohort.series) > 1]
    for cohort in several[:_LISTED]:
        title = f"{_mark(cohort.simulated)}**{escape(cohort.system)}**, {words.workload(cohort.any['workload'])}"
        heads = ["#", "Host", "Output, tok/s", "Of the median", "TTFT mean, ms", "TPOT mean, ms", "Runs", ""]
        lines += [*_gap(lines), title, "", *_table(heads, _rank_rows(report, cohort))]
    return lines + _more(len(several))


def _rank_rows(report: Report, cohort: Cohort) -> list[list[str]]:
    ranked = [_rank_row(report, cohort, item) for item in cohort.ranking]
    if len(ranked) <= 2 * _ENDS + 1:
        return ranked
    middle = ["…", f"{len(ranked) - 2 * _ENDS} more hosts", *[""] * 6]
    return [*ranked[:_ENDS], middle, *ranked[-_ENDS:]]


def _rank_row(report: Report, cohort: Cohort, item: Ranked) -> list[str]:
    document, place = item.series.latest, item.place
    figures = (words.number(value(document, key)) for key in ("mean_ttft_ms", "mean_tpot_ms"))
    return [
        str(place.rank) if place else "",
        escape(cohort.name(document)),
        words.number(value(document, "output_throughput")),
        words.change(place.ratio - 1) if place else "",
        *figures,
        words.count(len(item.series.runs)),
        "slower" if report.is_slow(item.series) else "",
    ]


def _damaged(report: Report) -> list[str]:
    lines = [f"- {escape(item.file)}: {escape(item.reason)}" for item in report.damaged[:_LISTED]]
    return lines + _more(len(report.damaged))


def _heads() -> list[str]:
    return [f"{metric.label}, {metric.unit}" for metric in COMPARED]


def _name(row: tables.Row) -> str:
    return _mark(row.document["simulated"]) + escape(row.name) + (f", {row.note}" if row.note else "")


def _figures(row: tables.Row) -> list[str]:
    """Return each figure, with its ratio to the published one where there is one."""
    return [
        cell.text.replace("*", "\\*") + ("" if cell.ratio is None else f" ({words.ratio(cell.ratio)}{_TIMES})")
        for cell in row.cells
    ]


def _mark(simulated: bool) -> str:
    return f"**{SIMULATED}** " if simulated else ""


def _more(total: int) -> list[str]:
    return ["", f"{total - _LISTED} more are in the page."] if total > _LISTED else []


def _gap(lines: Sequence[str]) -> list[str]:
    return [""] if lines else []


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return [line(heads), line(["---", *["---:"] * (len(heads) - 1)]), *map(line, rows)]
