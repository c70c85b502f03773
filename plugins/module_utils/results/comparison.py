# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result document beside a baseline: a published figure, or an earlier run. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import noise, quality
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import GOODPUT, THROUGHPUTS
from ansible_collections.inference.fleet.plugins.module_utils.results.published import published
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import (
    conditions,
    differences,
    limits_text,
    subject,
)

BETTER, WORSE, SAME = "better", "worse", "same"
PUBLISHED, RUN = "published", "run"

# What a published figure, printed as a whole number, may be off by.
_ROUNDED = 0.5
# Of fewer earlier runs none tells how far runs lie apart.
ENOUGH = 3
# Of earlier runs of a subject, so many tell its noise.
EARLIER = 60
# What an earlier run may differ in, and what it is called.
_ENVIRONMENT = (
    ("engine", ("engine", "name")),
    ("engine version", ("engine", "version")),
    ("image digest", ("engine", "image", "digest")),
    ("engine arguments", ("engine", "argv")),
    ("model revision", ("model", "revision")),
    ("environment", ("engine", "environment")),
    ("limits", ("slo",)),
    ("profile", ("hardware", "profile")),
    ("hosts of the group", ("engine", "group")),
    ("driver", ("hardware", "driver_version")),
    ("client", ("client", "name")),
    ("client version", ("client", "version")),
)


def published_row(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the published row of a document's engine, profile and model; a simulator's is that which it plays."""
    engine = document["engine"]
    played = document["simulates"]
    if (engine.get("replicas") or 1) > 1 or engine.get("group"):
        # The page measured one engine on one host.
        return None
    name, profile = (played["engine"], played["profile"]) if played else (engine["name"], engine.get("profile"))
    row = published(name, profile or document["hardware"]["profile"])
    return row if row and row["model"] == document["model"]["id"] else None


def judgeable(document: Mapping[str, Any], cold: bool, published: bool) -> bool:
    """Whether a run can be better or worse than a baseline: not where either is cold, nor a simulation than a GPU."""
    return why_not(document, cold, published) is None


def why_not(document: Mapping[str, Any], cold: bool, published: bool) -> str | None:
    """Return why a run is neither better nor worse than a baseline, in a few words; None where it can be."""
    if published and document["simulated"]:
        return "the run is simulated"
    if document["quality"]["failed"]:
        return "requests of the run failed"
    if not document["warm"]:
        return "the run was not warmed up"
    if cold:
        return "the baseline looks cold" if published else "the baseline was not warmed up"
    disturbed = quality.disturbed(document)
    return f"the run was disturbed: {disturbed}" if disturbed else None


def earlier(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return of the runs of a subject, oldest first, those that tell how far its figures lie apart."""
    return [run for run in runs if not quality.disturbed(run)][-EARLIER:]


def with_published(
    row: Mapping[str, Any], document: Mapping[str, Any], history: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the comparison of a document with a published row. *history* are earlier runs of the same subject."""
    cold, warm = bool(row.get("cold")), document["warm"]
    notes = []
    if cold and warm:
        notes.append(f"{row['id']} looks as if measured cold; this run is warm.")
    elif not cold and not warm:
        notes.append(f"{row['id']} looks as if measured warm; this run was not warmed up.")
    notes += _disturbed(document)
    return _comparison(
        document,
        kind=PUBLISHED,
        head={key: row.get(key) for key in ("id", "source", "engine", "profile")} | {"cold": cold},
        workload=row["workload"],
        values={name: (value,) for name, value in row["metrics"].items()},
        rounded=_ROUNDED,
        notes=notes,
        history=history,
        comparable=judgeable(document, cold, published=True),
    )


def with_run(
    other: Mapping[str, Any], document: Mapping[str, Any], history: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the comparison of a document with that of an earlier run. *history* are earlier runs of its subject."""
    notes = []
    if other["warm"] != document["warm"]:
        sides = ("warm", "not warmed up") if other["warm"] else ("not warmed up", "warm")
        notes.append(f"{other['run_id']} was {sides[0]}; this run was {sides[1]}.")
    changed = [name for name, path in _ENVIRONMENT if _at(other, path) != _at(document, path)]
    if changed:
        notes.append(f"Since {other['run_id']} changed: {', '.join(changed)}.")
    notes += _disturbed(document)
    if quality.disturbed(other):
        notes.append(f"{other['run_id']} was disturbed, no verdict on it: {quality.disturbed(other)}.")
    if other["simulated"] != document["simulated"]:
        notes.append(f"{other['run_id'] if other['simulated'] else 'This run'} is simulated, the other is not.")
    return _comparison(
        document,
        kind=RUN,
        head=_head_of_run(other),
        workload=_workload_of_run(other),
        values={name: tuple(metric.get("values") or [metric["mean"]]) for name, metric in other["metrics"].items()},
        rounded=0.0,
        notes=notes,
        history=history,
        comparable=(
            other["simulated"] == document["simulated"]
            # Whichever of the two is the baseline.
            and all(judgeable(side, cold=False, published=False) for side in (other, document))
        ),
        other=other,
    )


def not_compared(other: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands for the comparison with an earlier run of another subject: a sentence on what differs."""
    said = "; ".join(differences(subject(document), subject(other))) or "another subject"
    return {
        **_head_of_run(other),
        "kind": RUN,
        "workload": _workload_of_run(other),
        "same_workload": conditions(other["workload"]) == conditions(document["workload"]),
        "notes": [f"Not compared with {other['run_id']}, the newest run before this one: {said}."],
        "metrics": {},
    }


def _head_of_run(other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": other["run_id"],
        "source": other["host"],
        "engine": other["engine"]["name"],
        "profile": other["engine"].get("profile") or other["hardware"]["profile"],
        "cold": not other["warm"],
    }


def _workload_of_run(other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in other["workload"].items() if name != "seed"}


def _disturbed(document: Mapping[str, Any]) -> list[str]:
    found = quality.disturbed(document)
    return [f"This run was disturbed, so it gets no verdict: {found}."] if found else []


def _comparison(
    document: Mapping[str, Any],
    *,
    kind: str,
    head: Mapping[str, Any],
    workload: Mapping[str, Any],
    values: Mapping[str, Sequence[float]],
    rounded: float,
    notes: Sequence[str],
    history: Sequence[Mapping[str, Any]] = (),
    comparable: bool = True,
    other: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    ours, there = conditions(document["workload"]), conditions(workload)
    unlike = [key for key in {**there, **ours} if ours.get(key) != there.get(key)]
    said = []
    if unlike:
        listed = ", ".join(f"{key} {ours.get(key, 'none')} (there {there.get(key, 'none')})" for key in unlike)
        said.append(f"Not the workload of {head['id']}: {listed}. The ratios do not say better or worse.")
    said += notes
    comparable = comparable and not unlike
    limits = [limits_text(side.get("slo")) for side in (document, other or document)]
    same_limits = limits[0] == limits[1]
    metrics = {
        name: compare(
            name,
            document["metrics"][name]["values"],
            of_theirs,
            rounded,
            comparable
            and (name != GOODPUT or same_limits)
            and not any(quality.marked(side, name) for side in (document, other or document)),
            [run["metrics"][name]["mean"] for run in history if run["metrics"].get(name)],
        )
        for name, of_theirs in values.items()
        if name in document["metrics"] and statistics.fmean(of_theirs)
    }
    repeats = len(document["repeats"])
    if comparable and GOODPUT in metrics and not same_limits:
        said.append(
            f"Goodput is under other limits, so it gets no verdict: {limits[0]} here, {limits[1]} in {head['id']}."
        )
    if comparable and any(quality.marked(side, name) for side in (document, other or document) for name in metrics):
        said.append(f"ITL is the time between chunks of several tokens: no verdict on that of {head['id']}.")
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
        "same_workload": not unlike,
        "notes": said,
        "metrics": metrics,
    }


def compare(
    metric: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    rounded: float = 0.0,
    comparable: bool = True,
    history: Sequence[float] = (),
) -> dict[str, Any]:
    """Return one metric's comparison, its change in per cent of the baseline.

    *ours* and *theirs* have a value a repeat, *history* the means of earlier runs of the same subject, oldest first.
    The margin is the half-width of the 95 % interval of the difference of two runs with nothing changed, from run to
    run (see :mod:`.noise`): repeats share one start of the engine, and are closer to one another. It is no less than
    what the repeats' own spread gives, plus what the baseline may be *rounded* by. A change within it is no change.
    Without a second repeat on either side, and without a history, there is no verdict.
    """
    base, value = statistics.mean(theirs), statistics.fmean(ours)
    margin = _margin(metric, ours, theirs, history)
    verdict = None
    if margin is not None:
        margin = margin * base + rounded
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


def _margin(metric: str, ours: Sequence[float], theirs: Sequence[float], history: Sequence[float]) -> float | None:
    """Return the margin as a share of the baseline; None where nothing tells a spread."""
    sides = [[math.log(value) for value in side if value > 0] for side in (ours, theirs)]
    earlier = [math.log(value) for value in history if value > 0]
    if len(earlier) < ENOUGH and all(len(side) < 2 for side in sides):
        return None
    within = noise.pooled(sides)
    freedom = sum(len(side) - 1 for side in sides if side)
    # At least so far may the means of the repeats be apart within one start of the engine.
    repeats = 0.0
    if freedom > 0:
        repeats = noise.student_t(0.975, freedom) * within * math.sqrt(sum(1 / len(side) for side in sides if side))
    usual = max(noise.usual(metric), within)
    return math.expm1(max(repeats, noise.learn(earlier, usual).of_difference()))


def _at(document: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = document
    for key in path:
        value = (value or {}).get(key)
    return value
