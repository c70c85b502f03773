# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result document beside a baseline: a published figure, or an earlier run. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results.measures import GOODPUT, THROUGHPUTS
from ansible_collections.inference.fleet.plugins.module_utils.results.published import published

BETTER, WORSE, SAME = "better", "worse", "same"
PUBLISHED, RUN = "published", "run"

# Two-sided 95 % quantiles of Student's t by degrees of freedom; from the last on, those of the normal distribution.
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_Z95 = 1.96
# What a published figure, printed as a whole number, may be off by.
_ROUNDED = 0.5
# What an earlier run may differ in, and what it is called.
_ENVIRONMENT = (
    ("engine", ("engine", "name")),
    ("engine version", ("engine", "version")),
    ("image digest", ("engine", "image", "digest")),
    ("engine arguments", ("engine", "argv")),
    ("model revision", ("model", "revision")),
    ("profile", ("hardware", "profile")),
    ("driver", ("hardware", "driver_version")),
    ("client", ("client", "name")),
    ("client version", ("client", "version")),
)


def published_row(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the published row of a document's engine, profile and model; a simulator's is that which it plays."""
    engine = document["engine"]
    played = document["simulates"]
    name, profile = (played["engine"], played["profile"]) if played else (engine["name"], engine.get("profile"))
    row = published(name, profile or document["hardware"]["profile"])
    return row if row and row["model"] == document["model"]["id"] else None


def with_published(row: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison of a document with a published row."""
    cold, warm = bool(row.get("cold")), document["warm"]
    notes = []
    if cold and warm:
        notes.append(f"{row['id']} looks as if measured cold; this run is warm.")
    elif not cold and not warm:
        notes.append(f"{row['id']} looks as if measured warm; this run was not warmed up.")
    return _comparison(
        document,
        kind=PUBLISHED,
        head={key: row.get(key) for key in ("id", "source", "engine", "profile")} | {"cold": cold},
        workload=row["workload"],
        values={name: (value,) for name, value in row["metrics"].items()},
        rounded=_ROUNDED,
        notes=notes,
    )


def with_run(other: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison of a document with that of an earlier run."""
    notes = []
    if other["warm"] != document["warm"]:
        sides = ("warm", "not warmed up") if other["warm"] else ("not warmed up", "warm")
        notes.append(f"{other['run_id']} was {sides[0]}; this run was {sides[1]}.")
    changed = [name for name, path in _ENVIRONMENT if _at(other, path) != _at(document, path)]
    if changed:
        notes.append(f"Since {other['run_id']} changed: {', '.join(changed)}.")
    if other["simulated"] != document["simulated"]:
        notes.append(f"{other['run_id'] if other['simulated'] else 'This run'} is simulated, the other is not.")
    return _comparison(
        document,
        kind=RUN,
        head={
            "id": other["run_id"],
            "source": other["host"],
            "engine": other["engine"]["name"],
            "profile": other["engine"].get("profile") or other["hardware"]["profile"],
            "cold": not other["warm"],
        },
        workload={name: value for name, value in other["workload"].items() if name != "seed"},
        values={name: tuple(metric.get("values") or [metric["mean"]]) for name, metric in other["metrics"].items()},
        rounded=0.0,
        notes=notes,
        comparable=other["simulated"] == document["simulated"],
    )


def _comparison(
    document: Mapping[str, Any],
    *,
    kind: str,
    head: Mapping[str, Any],
    workload: Mapping[str, Any],
    values: Mapping[str, Sequence[float]],
    rounded: float,
    notes: Sequence[str],
    comparable: bool = True,
) -> dict[str, Any]:
    ours = document["workload"]
    differences = {key: value for key, value in workload.items() if ours.get(key) != value}
    said = []
    if differences:
        listed = ", ".join(f"{key} {ours.get(key)} (there {value})" for key, value in differences.items())
        said.append(f"Not the workload of {head['id']}: {listed}. The ratios do not say better or worse.")
    said += notes
    comparable = comparable and not differences
    metrics = {
        name: compare(name, document["metrics"][name]["values"], of_theirs, rounded, comparable)
        for name, of_theirs in values.items()
        if name in document["metrics"] and statistics.fmean(of_theirs)
    }
    repeats = len(document["repeats"])
    if comparable and metrics and all(metric["verdict"] is None for metric in metrics.values()):
        said.append(f"One repeat on either side tells no spread: no verdict on {head['id']}.")
    elif comparable and repeats == 1:
        said.append(f"This run has one repeat: the verdicts on {head['id']} use the spread of the other side alone.")
    elif comparable and all(len(of_theirs) == 1 for of_theirs in values.values()):
        single = "a single figure" if kind == PUBLISHED else "one repeat"
        said.append(f"{head['id']} is {single}: the verdicts on it use the spread of this run alone.")
    return {
        **head,
        "kind": kind,
        "workload": dict(workload),
        "same_workload": not differences,
        "notes": said,
        "metrics": metrics,
    }


def compare(
    metric: str, ours: Sequence[float], theirs: Sequence[float], rounded: float = 0.0, comparable: bool = True
) -> dict[str, Any]:
    """Return one metric's comparison, its change in per cent of the baseline.

    The margin is the half-width of the 95 % confidence interval of the difference of the means (Student's t, the
    variance pooled over the sides that have more than one value, and taken for that of a side with one), plus what the
    baseline may be *rounded* by. A change within it is no change. Without a spread on any side there is no verdict.
    """
    base, value = statistics.mean(theirs), statistics.fmean(ours)
    margin = _margin(ours, theirs)
    verdict = None
    if margin is not None:
        margin += rounded
        higher_is_better = metric in (*THROUGHPUTS, GOODPUT)
        verdict = BETTER if (value > base) == higher_is_better else WORSE
        if abs(value - base) <= margin:
            verdict = SAME
    return {
        "baseline": base,
        "value": value,
        "ratio": value / base,
        "change_percent": 100 * (value - base) / base,
        "margin_percent": None if margin is None else 100 * margin / base,
        "verdict": verdict if comparable else None,
    }


def _margin(*sides: Sequence[float]) -> float | None:
    spreads = [(len(side) - 1, statistics.variance(side)) for side in sides if len(side) > 1]
    freedom = sum(count for count, _variance in spreads)
    if not freedom:
        return None
    pooled = sum(count * variance for count, variance in spreads) / freedom
    quantile = _T95[freedom - 1] if freedom <= len(_T95) else _Z95
    return quantile * math.sqrt(pooled * sum(1 / len(side) for side in sides))


def _at(document: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = document
    for key in path:
        value = (value or {}).get(key)
    return value
