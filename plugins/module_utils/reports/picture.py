# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's one picture that is there without a script: throughput against speed, as inline SVG.

Text stays text in the page's own font, and colours are the style sheet's, so that one picture serves light, dark and
paper. The same input gives the same bytes. All other plots are drawn by the page's script.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence

from ansible_collections.inference.fleet.plugins.module_utils.reports.sweeps import Sweep
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.series import SIMULATED

_WIDTH, _HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 26, 10, 38
_LINE = 16
_TICKS = 5
# A shape beside the colour, for who sees colours alike.
_SHAPES = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "M-3.6,-3.6h7.2v7.2h-7.2Z",
    "M0,-5L5,0L0,5L-5,0Z",
    "M0,-4.6L4.6,3.6H-4.6Z",
    "M0,4.6L4.6,-3.6H-4.6Z",
    "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z",
)
MOST = len(_SHAPES)


def curves(sweeps: Sequence[Sweep], label: str, attributes: Sequence[str] = ()) -> str:
    """Return at most :data:`MOST` sweeps as an ``<svg>``: output tokens a second per GPU against those of each user.

    A line joins the Pareto front; a point that another one beats is empty, and so are all of a simulation, whose line
    is dashed. Each point says how many requests were in flight. *label* says the same to a screen reader. *attributes*
    are those of each sweep's group.
    """
    points = [point for sweep in sweeps for point in sweep.points]
    right, high = (_ceiling(max(values)) for values in zip(*((p.per_user, p.per_gpu) for p in points), strict=True))
    top = _TOP + _LINE * len(sweeps)
    height = top + _HEIGHT

    def x(value: float) -> float:
        return round(_LEFT + value / right * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(height - _BOTTOM - value / high * (_HEIGHT - _BOTTOM - 12), 1)

    parts = [*_axes(x, y, right, high, height)]
    for place, sweep in enumerate(sweeps):
        colour, shape = f"var(--kind-{place + 1})", _SHAPES[place]
        dashed = ' stroke-dasharray="5 4"' if sweep.simulated else ""
        parts.append(f"<g{attributes[place] if attributes else ''}>")
        front = sorted((point.per_user, point.per_gpu) for point in sweep.points if point.pareto)
        path = "L".join(f"{x(user)},{y(gpu)}" for user, gpu in front)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dashed}/>')
        for point in sweep.points:
            fill = colour if point.pareto and not sweep.simulated else "var(--surface)"
            at = f"{x(point.per_user)},{y(point.per_gpu)}"
            parts.append(f'<path d="{shape}" transform="translate({at})" fill="{fill}" stroke="{colour}"/>')
            text = _text(x(point.per_user) + 7, y(point.per_gpu) - 6, words.count(point.concurrency), "start")
            parts.append(text)
        name = words.shorten(words.clean(sweep.name), 48) + (f", {SIMULATED}" if sweep.simulated else "")
        middle = _TOP + _LINE * place + 5
        parts.append(f'<path d="M4,{middle}h22" stroke="{colour}" stroke-width="1.8"{dashed}/>')
        parts.append(f'<path d="{shape}" transform="translate(15,{middle})" fill="{colour}"/>')
        parts.append(_text(32, middle + 4, name, "start", "--ink") + "</g>")
    head = f'<svg role="img" aria-label="{html.escape(label)}" viewBox="0 0 {_WIDTH} {height}" font-size="11">'
    return f"{head}{''.join(parts)}</svg>"


def _axes(x, y, right: float, high: float, height: int) -> Iterator[str]:
    for step in range(_TICKS + 1):
        across, up = right * step / _TICKS, high * step / _TICKS
        yield f'<path d="M{_LEFT},{y(up)}H{_WIDTH - _RIGHT}" stroke="var(--line)"/>'
        yield _text(_LEFT - 6, y(up) + 4, words.count(round(up, 6)), "end")
        yield _text(x(across), height - _BOTTOM + 15, words.count(round(across, 6)), "middle")
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, height - 5, "output tokens/s for each user (1000 / mean TPOT)", "middle")
    middle = y(high / 2)
    turned = f' transform="rotate(-90 11 {middle})"'
    yield _text(11, middle, "output tokens/s for each GPU", "middle", more=turned)


def _text(x: float, y: float, text: str, anchor: str, colour: str = "--muted", more: str = "") -> str:
    at = f'x="{round(x, 1)}" y="{round(y, 1)}" text-anchor="{anchor}" fill="var({colour})"{more}'
    return f"<text {at}>{html.escape(text)}</text>"


def _ceiling(value: float) -> float:
    """Return the end of an axis, so that it and its fifths are round.

    >>> _ceiling(536.0), _ceiling(70.4), _ceiling(0.3)
    (600.0, 75.0, 0.3)
    """
    size = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    steps = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 8, 10)
    return next(round(step * size, 12) for step in steps if step * size >= value * (1 - 1e-9))
