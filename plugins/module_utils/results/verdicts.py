# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gate may rest on: the figures that give a verdict elsewhere too. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import comparison, quality

Document = Mapping[str, Any]


def judge(
    gates: Sequence[Mapping[str, Any]], document: Document, ask: Callable[[str, Any], Any]
) -> list[dict[str, Any]]:
    """Return each gate with what its condition gave; it is met by the value true and by no other.

    *ask* answers a condition of a document. A gate that would have another answer without the figures that give no
    verdict rests on them, and is neither met nor missed: C(passed) is None, and C(why) says of what.
    """
    sound, reasons = _sound(document)
    judged = []
    for gate in gates:
        value = ask(gate["condition"], document)
        found = {**gate, "value": value, "passed": value is True}
        if reasons and ask(gate["condition"], sound) != value:
            found |= {"passed": None, "why": "; ".join(reasons)}
        judged.append(found)
    return judged


def _sound(document: Document) -> tuple[dict[str, Any], list[str]]:
    """Return a document without the figures that give no verdict, and why they give none, each reason once."""
    found, reasons = _sound_point(document, document)
    sweep = document.get("sweep")
    if sweep:
        points = []
        for point in sweep["points"]:
            kept, why = _sound_point(point, document)
            points.append(kept)
            reasons += why
        found["sweep"] = {**sweep, "points": points}
    return found, list(dict.fromkeys(reasons))


def _sound_point(point: Document, document: Document) -> tuple[dict[str, Any], list[str]]:
    run = {**document, **point}
    # An evaluation has none.
    figures = point.get("metrics") or {}
    marks = [metric["mark"] for name, metric in figures.items() if quality.marked(run, name)]
    metrics = {name: metric for name, metric in figures.items() if not quality.marked(run, name)}
    found: dict[str, Any] = {**point, "metrics": metrics}
    reasons = marks[:1]
    baselines = []
    for baseline in point.get("baselines") or ():
        why = comparison.why_not(run, baseline["cold"], baseline["kind"] == comparison.PUBLISHED)
        if why is None and not baseline["same_workload"]:
            why = "another workload"
        if why:
            reasons.append(f"{baseline['id']}: {why}")
        else:
            figures = {name: figure for name, figure in baseline["metrics"].items() if name in metrics}
            baselines.append({**baseline, "metrics": figures})
    if "baselines" in point:
        found["baselines"] = baselines
    return found, reasons
