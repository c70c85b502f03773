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
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.reports import words
from ansible_collections.inference.fleet.plugins.module_utils.reports.metrics import COMPARED
from ansible_collections.inference.fleet.plugins.module_utils.reports.series import (
    SIMULATED,
    Series,
    baseline,
    compared,
    subject,
    value,
)

# Points; one is one CSS pixel when a plot is shown at its own width.
WIDTH = 360
_LEFT, _RIGHT = 8, 58
_FONT = 10.5

# Colours that nobody would choose, each replaced by a variable of the style sheet.
_INK = "#010101"
_MUTED = "#010102"
_GRID = "#010103"
_BAR = "#010104"
_BAR_LIGHT = "#010105"
_MARK = "#010106"
_SURFACE = "#010107"
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _GRID: "--line",
    _BAR: "--bar",
    _BAR_LIGHT: "--bar-light",
    _MARK: "--mark",
    _SURFACE: "--surface",
}
_HATCH = "//////"
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


def bars(series: Sequence[Series], keys: Sequence[str], unit: str, label: str, name: str) -> str:
    """Return horizontal bars, one block for the latest run of each series, as an ``<svg>``.

    *keys* are one metric, or the mean and the p99 of one. The published figure is a mark across
    the bar; a simulated run's bars are hatched. *label* says the same to a screen reader;
    *name* is unique among the plots of a page.
    """
    thick, gap, heading = 11.0, 3.0, 17.0
    block = heading + len(keys) * (thick + gap) + 9
    top, bottom = 26.0, 34.0
    height = top + block * len(series) + bottom
    runs = [item.latest for item in series]
    shown = [value(run, key) for run in runs for key in keys]
    marks = [compared(baseline(run), key, "baseline") for run in runs for key in keys]
    limit, beyond = _scale(shown, marks)
    with _figure(height) as figure:
        axes = _axes(figure, height, top, bottom)
        axes.set_xlim(0, limit * 1.02)
        axes.set_ylim(block * len(series), 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(True)
        for index, run in enumerate(runs):
            offset = index * block
            _row_heading(axes, offset + heading - 6, run)
            for place, key in enumerate(keys):
                y = offset + heading + place * (thick + gap) + thick / 2
                number = value(run, key)
                if number is None:
                    continue
                axes.barh(
                    y,
                    number,
                    height=thick,
                    color=_BAR_LIGHT if place else _BAR,
                    hatch=_HATCH if run["simulated"] else None,
                    edgecolor=_SURFACE if run["simulated"] else "none",
                    linewidth=0,
                )
                mark = compared(baseline(run), key, "baseline")
                if mark is not None and mark > limit:
                    axes.plot([limit], [y], color=_MARK, marker=">", markersize=6)
                elif mark is not None:
                    axes.plot([mark, mark], [y - thick / 2 - 2, y + thick / 2 + 2], color=_MARK, linewidth=2.4)
                axes.annotate(
                    words.number(number),
                    (1, y),
                    xycoords=("axes fraction", "data"),
                    xytext=(_RIGHT - 4, 0),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    color=_INK,
                )
        axes.set_xlabel(unit, color=_MUTED)
        _legend(figure, height, _bar_handles(runs, keys, marks, beyond))
        return _svg(figure, label, name)


def trend(series: Series, keys: Sequence[str], label: str, name: str) -> str:
    """Return a metric a panel over time, one point a run with the range of its repeats, as an ``<svg>``."""
    from matplotlib import dates

    panel, between, top, bottom = 92.0, 24.0, 44.0, 34.0
    height = top + len(keys) * panel + (len(keys) - 1) * between + bottom
    moments = [words.parse_time(run["started_at"]) for run in series.runs]
    comparison = baseline(series.latest)
    metrics = {metric.key: metric for metric in COMPARED}
    with _figure(height) as figure:
        for place, key in enumerate(keys):
            upper = top + place * (panel + between)
            axes = _axes(figure, height, upper, height - upper - panel, left=48, right=12)
            points = [
                (moment, run["metrics"][key])
                for moment, run in zip(moments, series.runs, strict=True)
                if run["metrics"].get(key)
            ]
            # Set before anything is drawn: a plot of nothing still has a time axis.
            axes.xaxis.axis_date()
            if points:
                times = [moment for moment, _summary in points]
                means = [summary["mean"] for _moment, summary in points]
                low = [_bound(summary, "min") for _moment, summary in points]
                high = [_bound(summary, "max") for _moment, summary in points]
                axes.vlines(times, low, high, color=_BAR_LIGHT, linewidth=3)
                axes.plot(
                    times,
                    means,
                    color=_BAR,
                    linewidth=1.4,
                    linestyle="--" if series.latest["simulated"] else "-",
                    marker="o",
                    markersize=4.5,
                    markerfacecolor=_SURFACE if series.latest["simulated"] else _BAR,
                )
                reference = compared(comparison, key, "baseline")
                extremes = [*low, *high] + ([reference] if reference is not None else [])
                if reference is not None:
                    axes.axhline(reference, color=_MARK, linewidth=1.4)
                # A few percent of noise must not fill the panel.
                middle, reach = (min(extremes) + max(extremes)) / 2, (max(extremes) - min(extremes)) / 2
                reach = max(reach * 1.15, abs(middle) * 0.1, 1e-9)
                axes.set_ylim(max(0, middle - reach), middle + reach)
                span = (max(times) - min(times)).total_seconds() or 3600.0
                day = 86400.0
                axes.set_xlim(
                    dates.date2num(min(times)) - span * 0.06 / day, dates.date2num(max(times)) + span * 0.06 / day
                )
            axes.spines["left"].set_visible(True)
            axes.locator_params(axis="y", nbins=4)
            axes.yaxis.set_major_formatter(lambda number, _place: words.count(round(number, 6)))
            axes.grid(axis="y", color=_GRID, linewidth=0.8)
            metric = metrics[key]
            axes.set_title(f"{metric.label}, {metric.unit}", loc="left", fontsize=_FONT, color=_INK, pad=5)
            locator = dates.AutoDateLocator(minticks=3, maxticks=5)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, **_DATES))
            if place < len(keys) - 1:
                axes.tick_params(labelbottom=False)
        axes.set_xlabel("start of the run, UTC", color=_MUTED)
        _legend(figure, height, _trend_handles(series, comparison is not None))
        return _svg(figure, label, name)


def _scale(shown: Sequence[float | None], marks: Sequence[float | None]) -> tuple[float, bool]:
    """Return the end of the axis, and whether a mark lies beyond it.

    A published figure of another order, such as the p99 TTFT of a cold run, would press all bars flat.
    """
    highest = max([number for number in shown if number is not None] or [0.0])
    near = [mark for mark in marks if mark is not None and mark <= (_FAR * highest or mark)]
    return max([highest, *near]) or 1.0, any(mark is not None and mark not in near for mark in marks)


def _bound(summary: Any, key: str) -> float:
    bound = summary.get(key)
    return summary["mean"] if bound is None else bound


def _row_heading(axes: Any, y: float, run: Any) -> None:
    head = f"{words.shorten(words.clean(run['host']), 24)}, {words.shorten(words.clean(subject(run)), 28)}"
    if run["simulated"]:
        axes.text(0, y, SIMULATED, ha="left", va="baseline", weight="bold", color=_MARK, fontsize=_FONT - 1)
        axes.annotate(head, (0, y), xytext=(70, 0), textcoords="offset points", va="baseline", color=_INK)
    else:
        axes.text(0, y, head, ha="left", va="baseline", color=_INK)


def _bar_handles(runs: Sequence[Any], keys: Sequence[str], marks: Sequence[float | None], beyond: bool) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    names = ("mean", "p99") if len(keys) > 1 else ("measured",)
    if all(run["simulated"] for run in runs):
        names = tuple("simulated" if name == "measured" else f"{name}, simulated" for name in names)
    hatch = _HATCH if all(run["simulated"] for run in runs) else None
    handles: list[Any] = [
        Patch(facecolor=color, hatch=hatch, edgecolor=_SURFACE if hatch else "none", linewidth=0, label=name)
        for color, name in zip((_BAR, _BAR_LIGHT), names, strict=False)
    ]
    if not hatch and any(run["simulated"] for run in runs):
        handles.append(Patch(facecolor=_BAR, hatch=_HATCH, edgecolor=_SURFACE, linewidth=0, label="simulated"))
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


def _trend_handles(series: Series, published: bool) -> list[Any]:
    from matplotlib.lines import Line2D

    simulated = series.latest["simulated"]
    handles = [
        Line2D(
            [],
            [],
            color=_BAR,
            marker="o",
            markersize=4.5,
            linewidth=1.4,
            linestyle="--" if simulated else "-",
            markerfacecolor=_SURFACE if simulated else _BAR,
            label=SIMULATED if simulated else "measured",
        )
    ]
    if any(len(run["repeats"]) > 1 for run in series.runs):
        handles.append(Line2D([], [], color=_BAR_LIGHT, linewidth=3, label="range of repeats"))
    if published:
        handles.append(Line2D([], [], color=_MARK, linewidth=1.4, label="published"))
    return handles


@contextmanager
def _figure(height: float) -> Iterator[Any]:
    """Yield an empty figure :data:`WIDTH` points wide, whatever the user's own matplotlib settings are."""
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
        yield Figure(figsize=(WIDTH / 72, height / 72), dpi=72, facecolor="none")


def _axes(figure: Any, height: float, top: float, bottom: float, left: float = _LEFT, right: float = _RIGHT) -> Any:
    axes = figure.add_axes(
        (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - top - bottom) / height),
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


def _legend(figure: Any, height: float, handles: list[Any]) -> None:
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 1),
        ncols=len(handles),
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
