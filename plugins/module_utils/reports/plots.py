# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots as inline SVG, drawn by matplotlib, coloured by the page's style sheet.

Text stays text in the page's own font: small, searchable, and no font is embedded. Colours are
CSS variables, so one SVG serves light, dark and paper. The same input gives the same bytes.
"""

from __future__ import annotations

import io
import os
import re
import statistics
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.reports.changes import Change
from ansible_collections.inference.fleet.plugins.module_utils.reports.cohorts import Cohort, Figure
from ansible_collections.inference.fleet.plugins.module_utils.reports.sweeps import Sweep
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED
from ansible_collections.inference.fleet.plugins.module_utils.results.series import SIMULATED, Series, compared

# Points; one is one CSS pixel when a plot is shown at its own width.
WIDTH = 360
PANEL_WIDTH = 200
_LEFT, _RIGHT = 8, 58
_FONT = 10.5
_PANEL_FONT = 9.5
# A line of more runs than this has no marker a run.
_MARKED = 60
# So many hosts that changed are named in a plot of all.
_NAMED = 6

# Colours that nobody would choose, each replaced by a variable of the style sheet.
_INK = "#010101"
_MUTED = "#010102"
_GRID = "#010103"
_BAR = "#010104"
_BAR_LIGHT = "#010105"
_MARK = "#010106"
_SURFACE = "#010107"
_BETTER = "#010108"
_WORSE = "#010109"
_KINDS = ("#010111", "#010112", "#010113", "#010114", "#010115", "#010116")
_SHAPES = "osD^vP"
_VARIABLES = {
    _BETTER: "--better",
    _WORSE: "--worse",
    **{colour: f"--kind-{place}" for place, colour in enumerate(_KINDS, start=1)},
    _INK: "--ink",
    _MUTED: "--muted",
    _GRID: "--line",
    _BAR: "--bar",
    _BAR_LIGHT: "--bar-light",
    _MARK: "--mark",
    _SURFACE: "--surface",
}
_HATCH = "//////"
# Where a path is interrupted.
_GAP = float("nan")
# A published figure beyond this many times the longest bar is shown as an arrow.
_FAR = 4

_TARGET = re.compile(r"(?<=#)[\w-]+")
# A hundredth of a point is finer than any screen.
_COORDINATES = {"d", "x", "y", "transform", "width", "height"}
_FRACTION = re.compile(r"\d+\.\d{3,}")
_FAMILY = re.compile(r"'DejaVu Sans'(?:, sans-serif)?")

# Digits only: names of months would follow the locale of whoever makes the report.
_DATES = {
    "formats": ["%Y", "%Y-%m", "%m-%d", "%H:%M", "%H:%M", "%H:%M:%S"],
    "zero_formats": ["", "%Y-%m", "%m-%d", "%m-%d", "%H:%M", "%H:%M"],
    "offset_formats": ["", "", "%Y", "%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%d"],
}

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"


def require_matplotlib() -> None:
    """Import matplotlib, or raise FleetError saying how to install it."""
    try:
        import matplotlib.figure  # noqa: F401  (only whether it is there)
    except ImportError as error:
        raise FleetError(
            f"The report needs the Python package matplotlib on the control host ({error}). "
            f"Install it there: {sys.executable} -m pip install matplotlib"
        ) from error


def markup(text: str) -> Any:
    """Mark *text*, which is ours, as needing no escape in the page."""
    from markupsafe import Markup

    return Markup(text)


def use_cache(spare: Path) -> None:
    """Let matplotlib keep its font list in *spare* where it cannot in the user's home, of which it would complain."""
    if "MPLCONFIGDIR" in os.environ:
        return
    home = Path(os.path.expanduser("~"))
    homes = (os.environ.get("XDG_CONFIG_HOME") or home / ".config", os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    if not all(_writable(Path(path)) for path in homes):
        os.environ["MPLCONFIGDIR"] = str(spare)


def _writable(path: Path) -> bool:
    """Whether *path* can be written to, or made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK)


@dataclass(frozen=True)
class Bar:
    """One block of a bar plot: a *figure* and its published *mark* for each of the plot's names."""

    heading: str
    simulated: bool
    figures: tuple[Figure | None, ...]
    marks: tuple[float | None, ...]


def bars(rows: Sequence[Bar], names: Sequence[str], unit: str, label: str, name: str) -> str:
    """Return horizontal bars, one block a row, as an ``<svg>``.

    A bar is the middle of a figure, with a line from its lowest host to its highest. The published figure is a mark
    across the bar; a simulated one is hatched. *label* says the same to a screen reader; *name* is unique among the
    plots of a page.
    """
    thick, gap, heading = 11.0, 3.0, 17.0
    block = heading + len(names) * (thick + gap) + 9
    figures = [figure for row in rows for figure in row.figures]
    marks = [mark for row in rows for mark in row.marks]
    limit, beyond = _scale([figure.high for figure in figures if figure], marks)
    handles = _bar_handles(rows, names, figures, marks, beyond)
    top, bottom = 26.0 if _columns(handles) == len(handles) else 41.0, 34.0
    height = top + block * len(rows) + bottom
    with _figure(height) as drawing:
        axes = _axes(drawing, height, top, bottom)
        axes.set_xlim(0, limit * 1.02)
        axes.set_ylim(block * len(rows), 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(True)
        for index, row in enumerate(rows):
            offset = index * block
            _row_heading(axes, offset + heading - 6, row)
            for place, (figure, mark) in enumerate(zip(row.figures, row.marks, strict=True)):
                y = offset + heading + place * (thick + gap) + thick / 2
                if figure is None:
                    continue
                axes.barh(
                    y,
                    figure.middle,
                    height=thick,
                    color=_BAR_LIGHT if place else _BAR,
                    hatch=_HATCH if row.simulated else None,
                    edgecolor=_SURFACE if row.simulated else "none",
                    linewidth=0,
                )
                if figure.hosts > 1:
                    axes.plot([figure.low, figure.high], [y, y], color=_INK, linewidth=1.2, marker="|", markersize=5)
                if mark is not None and mark > limit:
                    axes.plot([limit], [y], color=_MARK, marker=">", markersize=6)
                elif mark is not None:
                    axes.plot([mark, mark], [y - thick / 2 - 2, y + thick / 2 + 2], color=_MARK, linewidth=2.4)
                axes.annotate(
                    words.number(figure.middle),
                    (1, y),
                    xycoords=("axes fraction", "data"),
                    xytext=(_RIGHT - 4, 0),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    color=_INK,
                )
        axes.set_xlabel(unit, color=_MUTED)
        _legend(drawing, handles)
        return _svg(drawing, label, name)


def trend(cohort: Cohort, key: str, changes: Sequence[Change], label: str, name: str) -> str:
    """Return one metric of all hosts of a cohort over time, as an ``<svg>``.

    One host has a point a run with the range of its repeats. Of several each is a thin line, their median of each day
    a strong one, and those with a change point in the metric are named there.
    """
    top, panel, bottom = 46.0, 150.0, 34.0
    height = top + panel + bottom
    metric = next(item for item in COMPARED if item.key == key)
    lines = [_line(series, key) for series in cohort.series]
    changes = [change for change in changes if change.metric == key]
    with _figure(height) as figure:
        axes = _axes(figure, height, top, bottom, left=48, right=12)
        axes.xaxis.axis_date()
        handles = []
        if len(lines) == 1:
            handles += _draw_one(axes, cohort.series[0], key)
        else:
            handles += _draw_all(axes, lines, cohort.simulated)
        _mark_changes(axes, changes, handles, named=len(lines) > 1)
        published = compared(cohort.comparison, key, "baseline")
        low, high = limits([cohort], key)
        if published is not None and low <= published <= high:
            axes.axhline(published, color=_MARK, linewidth=1.4)
            handles.append(_line_handle(color=_MARK, linewidth=1.4, label="published"))
        axes.set_ylim(low, high)
        _time_axis(axes, *period([cohort]))
        axes.set_ylabel(f"{metric.label}, {metric.unit}", color=_MUTED)
        axes.set_xlabel("start of the run, UTC", color=_MUTED)
        _legend(figure, handles)
        return _svg(figure, label, name)


def panel(series: Series, key: str, cohort: Cohort, changes: Sequence[Change], label: str, name: str) -> str:
    """Return one metric of one host beside the median of its cohort, small, on the axes that all of them share."""
    top, bottom, left, right = 8.0, 20.0, 36.0, 8.0
    height = 104.0
    metric = next(item for item in COMPARED if item.key == key)
    with _figure(height, PANEL_WIDTH) as figure:
        axes = _axes(figure, height, top, bottom, left=left, right=right, width=PANEL_WIDTH)
        axes.xaxis.axis_date()
        _draw(axes, *_middle(_line(item, key) for item in cohort.series), _GRID, 2.2)
        _draw(axes, *_line(series, key), _BAR, 1.6, dashed=cohort.simulated)
        _mark_changes(axes, [change for change in changes if change.metric == key], [], named=False)
        axes.set_ylim(*limits([cohort], key))
        first, last = period([cohort])
        _time_axis(axes, first, last)
        axes.set_xticks([first, last] if first != last else [first])
        axes.set_xticklabels([f"{moment:%Y-%m-%d}" for moment in ((first, last) if first != last else (first,))])
        for text, side in zip(axes.get_xticklabels(), ("left", "right"), strict=False):
            text.set_ha(side if first != last else "center")
        axes.grid(visible=False, axis="x")
        axes.locator_params(axis="y", nbins=3)
        axes.tick_params(labelsize=_PANEL_FONT)
        axes.annotate(
            metric.unit, (0, 1), xycoords="axes fraction", xytext=(3, -2), textcoords="offset points",
            va="top", color=_MUTED, fontsize=_PANEL_FONT,
        )  # fmt: skip
        return _svg(figure, label, name)


def pareto(sweeps: Sequence[Sweep], label: str, name: str) -> str:
    """Return the points of sweeps, throughput per GPU against speed for each user, as an ``<svg>``.

    A line joins those of a sweep that no other of its points beats in both; each point says its concurrency.
    """
    from matplotlib.lines import Line2D

    panel, bottom = 230.0, 36.0
    top = 10.0 + 15.5 * len(sweeps)
    height = top + panel + bottom
    with _figure(height) as figure:
        axes = _axes(figure, height, top, bottom, left=52, right=22)
        handles = []
        for place, sweep in enumerate(sweeps):
            colour, shape = _KINDS[place % len(_KINDS)], _SHAPES[place % len(_SHAPES)]
            front = [(point.per_user, point.per_gpu) for point in sweep.points if point.pareto]
            style = {"color": colour, "linewidth": 1.6, "linestyle": "--" if sweep.simulated else "-"}
            axes.plot(*zip(*sorted(front), strict=True), **style)
            for point in sweep.points:
                face = colour if point.pareto and not sweep.simulated else _SURFACE
                axes.plot(
                    [point.per_user], [point.per_gpu], linestyle="none", marker=shape, markersize=6, color=colour,
                    markerfacecolor=face,
                )  # fmt: skip
                axes.annotate(
                    words.count(point.concurrency), (point.per_user, point.per_gpu), xytext=(5, 5),
                    textcoords="offset points", color=_MUTED, fontsize=_FONT - 1,
                )  # fmt: skip
            text = words.shorten(words.clean(sweep.name), 44) + (f", {SIMULATED}" if sweep.simulated else "")
            handles.append(
                Line2D(
                    [],
                    [],
                    **style,
                    marker=shape,
                    markersize=6,
                    markerfacecolor=_SURFACE if sweep.simulated else colour,
                    label=text,
                )
            )
        axes.spines["left"].set_visible(True)
        axes.grid(axis="y", color=_GRID, linewidth=0.8)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.margins(0.08)
        axes.locator_params(axis="y", nbins=5)
        axes.yaxis.set_major_formatter(lambda number, _place: words.count(round(number, 6)))
        axes.set_xlabel("output tokens/s for each user (1000 / mean TPOT)", color=_MUTED)
        axes.set_ylabel("output tokens/s for each GPU", color=_MUTED)
        _legend(figure, handles, columns=1)
        return _svg(figure, label, name)


def limits(cohorts: Iterable[Cohort], key: str) -> tuple[float, float]:
    """Return the ends of the vertical axis that shows a metric of cohorts over time."""
    ends = [
        number
        for cohort in cohorts
        for series in cohort.series
        for run in series.runs
        if (summary := run["metrics"].get(key))
        for number in (
            (_bound(summary, "min"), _bound(summary, "max")) if len(cohort.series) == 1 else (summary["mean"],)
        )
    ]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    # A few percent of noise must not fill the plot.
    middle, reach = (low + high) / 2, max((high - low) * 0.58, abs(high + low) * 0.05, 1e-9)
    return max(0.0, middle - reach), middle + reach


def period(cohorts: Iterable[Cohort]) -> tuple[datetime, datetime]:
    """Return the first and the last start of cohorts' runs."""
    starts = [
        words.parse_time(run["started_at"])
        for cohort in cohorts
        for series in cohort.series
        for run in (series.runs[0], series.runs[-1])
    ]
    return min(starts), max(starts)


_Line = tuple[list[datetime], list[float]]


def _line(series: Series, key: str) -> _Line:
    points = [
        (words.parse_time(run["started_at"]), run["metrics"][key]["mean"])
        for run in series.runs
        if run["metrics"].get(key)
    ]
    return [moment for moment, _mean in points], [mean for _moment, mean in points]


def _middle(lines: Iterable[_Line]) -> _Line:
    """Return the median of each day over all lines, at the middle of the day's runs."""
    days: dict[str, list[tuple[datetime, float]]] = {}
    for moments, means in lines:
        for moment, mean in zip(moments, means, strict=True):
            days.setdefault(f"{moment:%Y%m%d}", []).append((moment, mean))
    moments, means = [], []
    for _day, points in sorted(days.items()):
        first, last = min(points)[0], max(points)[0]
        moments.append(first + (last - first) / 2)
        means.append(statistics.median(mean for _moment, mean in points))
    return moments, means


def _draw(
    axes: Any, moments: list[datetime], means: list[float], colour: str, width: float, dashed: bool = False
) -> None:
    single = {"marker": "o", "markersize": 4} if len(moments) == 1 else {}
    axes.plot(moments, means, color=colour, linewidth=width, linestyle="--" if dashed else "-", **single)


def _draw_one(axes: Any, series: Series, key: str) -> list[Any]:
    """Draw the runs of one host; return what the legend says."""
    moments, means = _line(series, key)
    simulated = series.latest["simulated"]
    style = {
        "color": _BAR,
        "linewidth": 1.4,
        "linestyle": "--" if simulated else "-",
        "markersize": 4.5,
        "markerfacecolor": _SURFACE if simulated else _BAR,
        **({"marker": "o"} if len(moments) <= _MARKED else {}),
    }
    handles = [_line_handle(label=SIMULATED if simulated else "measured", **style)]
    if any(len(run["repeats"]) > 1 for run in series.runs):
        ranges = [
            point
            for run in series.runs
            if (summary := run["metrics"].get(key))
            for point in ((run["started_at"], end) for end in (_bound(summary, "min"), _bound(summary, "max"), _GAP))
        ]
        times = [words.parse_time(moment) for moment, _end in ranges]
        axes.plot(times, [end for _moment, end in ranges], color=_BAR_LIGHT, linewidth=3)
        handles.append(_line_handle(color=_BAR_LIGHT, linewidth=3, label="range of repeats"))
    axes.plot(moments, means, **style)
    return handles


def _draw_all(axes: Any, lines: Sequence[_Line], simulated: bool) -> list[Any]:
    """Draw the runs of several hosts as one path, and their median; return what the legend says."""
    times: list[datetime] = []
    values: list[float] = []
    for moments, means in lines:
        if moments:
            times += [*moments, moments[-1]]
            values += [*means, _GAP]
    thin = {"color": _BAR_LIGHT, "linewidth": 0.9, "linestyle": "--" if simulated else "-"}
    # Of one run a host there is no line to see.
    thin |= {"marker": "o", "markersize": 3} if all(len(moments) < 2 for moments, _means in lines) else {}
    axes.plot(times, values, **thin)
    moments, means = _middle(lines)
    strong = {"color": _BAR, "linewidth": 2.0, "linestyle": "--" if simulated else "-"}
    if len(moments) == 1:
        strong |= {"marker": "o", "markersize": 5}
    axes.plot(moments, means, **strong)
    each = f"each host, {SIMULATED}" if simulated else "each host"
    return [_line_handle(label=each, **thin), _line_handle(label="their median", **strong)]


def _mark_changes(axes: Any, changes: Sequence[Change], handles: list[Any], named: bool) -> None:
    """Mark change points in one metric, the line of their host from there on; name the first of them."""
    for place, change in enumerate(changes):
        colour = _WORSE if change.worse else _BETTER
        moments, means = _line(change.series, change.metric)
        since = words.parse_time(change.started_at)
        after = [(moment, mean) for moment, mean in zip(moments, means, strict=True) if moment >= since]
        if not after:
            continue
        axes.plot(*zip(*after, strict=True), color=colour, linewidth=1.6)
        axes.plot(
            [since], [after[0][1]], color=colour, marker="v" if change.after < change.before else "^", markersize=6
        )
        if named and place < _NAMED:
            axes.annotate(
                words.shorten(words.clean(change.host), 20), (since, after[0][1]),
                xytext=(-6, -2), textcoords="offset points", color=colour, fontsize=_FONT - 1, ha="right", va="center",
            )  # fmt: skip
    for verdict, colour in (("worse", _WORSE), ("better", _BETTER)):
        if any(change.verdict == verdict for change in changes):
            handles.append(
                _line_handle(color=colour, linewidth=1.6, marker="v", markersize=6, label=f"changed, {verdict}")
            )


def _line_handle(color: str, linewidth: float, label: str, **style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, linewidth=linewidth, label=label, **style)


def _time_axis(axes: Any, first: datetime, last: datetime) -> None:
    from matplotlib import dates

    room = (last - first or timedelta(hours=1)) * 0.04
    axes.set_xlim(first - room, last + room)
    axes.spines["left"].set_visible(True)
    axes.locator_params(axis="y", nbins=5)
    axes.yaxis.set_major_formatter(lambda number, _place: words.count(round(number, 6)))
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    locator = dates.AutoDateLocator(minticks=3, maxticks=5)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, **_DATES))


def _scale(shown: Sequence[float], marks: Sequence[float | None]) -> tuple[float, bool]:
    """Return the end of the axis, and whether a mark lies beyond it.

    A published figure of another order, such as the p99 TTFT of a cold run, would press all bars flat.
    """
    highest = max(shown, default=0.0)
    near = [mark for mark in marks if mark is not None and mark <= (_FAR * highest or mark)]
    return max([highest, *near]) or 1.0, any(mark is not None and mark not in near for mark in marks)


def _bound(summary: Any, key: str) -> float:
    bound = summary.get(key)
    return summary["mean"] if bound is None else bound


def _row_heading(axes: Any, y: float, row: Bar) -> None:
    head = words.shorten(words.clean(row.heading), 54)
    if row.simulated:
        axes.text(0, y, SIMULATED, ha="left", va="baseline", weight="bold", color=_MARK, fontsize=_FONT - 1)
        axes.annotate(head, (0, y), xytext=(70, 0), textcoords="offset points", va="baseline", color=_INK)
    else:
        axes.text(0, y, head, ha="left", va="baseline", color=_INK)


def _bar_handles(
    rows: Sequence[Bar],
    names: Sequence[str],
    figures: Sequence[Figure | None],
    marks: Sequence[float | None],
    beyond: bool,
) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if all(row.simulated for row in rows):
        names = tuple("simulated" if name == "measured" else f"{name}, simulated" for name in names)
    hatch = _HATCH if all(row.simulated for row in rows) else None
    handles: list[Any] = [
        Patch(facecolor=color, hatch=hatch, edgecolor=_SURFACE if hatch else "none", linewidth=0, label=name)
        for color, name in zip((_BAR, _BAR_LIGHT), names, strict=False)
    ]
    if not hatch and any(row.simulated for row in rows):
        handles.append(Patch(facecolor=_BAR, hatch=_HATCH, edgecolor=_SURFACE, linewidth=0, label="simulated"))
    if any(figure and figure.hosts > 1 for figure in figures):
        handles.append(_line_handle(color=_INK, linewidth=1.2, marker="|", markersize=5, label="all hosts"))
    if any(mark is not None for mark in marks):
        handles.append(
            Line2D(
                [], [], color=_MARK, marker="|", linestyle="none", markersize=11, markeredgewidth=2.4, label="published"
            )
        )
    if beyond:
        handles.append(
            Line2D([], [], color=_MARK, marker=">", linestyle="none", markersize=6, label="beyond the scale")
        )
    return handles


@contextmanager
def _figure(height: float, width: float = WIDTH) -> Iterator[Any]:
    """Yield an empty figure *width* points wide, whatever the user's own matplotlib settings are."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name in a script that the measuring font lacks is drawn by the reader's own fonts.
        warnings.simplefilter("ignore")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": "inference.fleet",
                "text.parse_math": False,
                "font.family": "sans-serif",
                "font.sans-serif": ["DejaVu Sans"],
                "font.size": _FONT,
                "hatch.linewidth": 1.6,
                "timezone": "UTC",
            }
        )
        yield Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")


def _axes(
    figure: Any,
    height: float,
    top: float,
    bottom: float,
    left: float = _LEFT,
    right: float = _RIGHT,
    width: float = WIDTH,
) -> Any:
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height),
        facecolor="none",
    )
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_GRID)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.tick_params(colors=_MUTED, length=0, labelsize=_FONT - 0.5)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda number, _place: words.count(round(number, 6)))
    return axes


def _columns(handles: Sequence[Any]) -> int:
    """Return in how many columns a legend fits: all in one row, or two rows of them."""
    # About the width of a letter, and of what stands before a text.
    width = sum(5.4 * len(handle.get_label()) + 31 for handle in handles)
    return len(handles) if width <= WIDTH else (len(handles) + 1) // 2


def _legend(figure: Any, handles: list[Any], columns: int = 0) -> None:
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 1),
        ncols=columns or _columns(handles),
        frameon=False,
        borderpad=0.1,
        borderaxespad=0.2,
        handlelength=1.4,
        handletextpad=0.5,
        columnspacing=1.4,
        labelcolor=_INK,
    )


def _svg(figure: Any, label: str, name: str) -> str:
    """Return the figure as an ``<svg>`` element to stand in a page; *name* keeps its ids apart from others'."""
    stream = io.BytesIO()
    empty = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=empty)
    root = ElementTree.fromstring(stream.getvalue())
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-label", words.clean(label))
    _rename_ids(root, name)
    for element in root.iter():
        for key in _COORDINATES & element.attrib.keys():
            element.set(key, _FRACTION.sub(_round, element.attrib[key]))
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    text = ElementTree.tostring(root, encoding="unicode")
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = _FAMILY.sub("var(--font)", text)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _round(found: re.Match[str]) -> str:
    return f"{float(found.group()):.2f}".rstrip("0").rstrip(".")


def _rename_ids(root: ElementTree.Element, name: str) -> None:
    """Keep only the ids that something points to, each unique in the page."""
    href = f"{{{_XLINK}}}href"
    elements = list(root.iter())

    def refers(key: str, text: str) -> bool:
        return key == href or "url(#" in text

    used = {
        target
        for element in elements
        for key, text in element.attrib.items()
        if refers(key, text)
        for target in _TARGET.findall(text)
    }
    names = {}
    for element in elements:
        old = element.attrib.pop("id", None)
        if old in used:
            names[old] = f"{name}-{len(names) + 1}"
            element.set("id", names[old])
    for element in elements:
        for key, text in element.attrib.items():
            if refers(key, text):
                element.set(key, _TARGET.sub(lambda match: names.get(match.group(), match.group()), text))
