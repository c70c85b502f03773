# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that may be compared over time, and what must be said about each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.comparison import PUBLISHED, judgeable
from ansible_collections.inference.fleet.plugins.module_utils.results.quality import marked
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import (
    Subject,
    engine,
    points,
    profile,
    subject,
)

SIMULATED = "SIMULATED"

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Series:
    """All runs of one subject, oldest first; never empty. A run of a sweep is the point that is of the subject."""

    subject: Subject
    runs: tuple[Document, ...]

    @property
    def latest(self) -> Document:
        return self.runs[-1]


@dataclass(frozen=True)
class Group:
    """The series of one model and workload: those that stand in one table and one plot."""

    model: str
    workload: Mapping[str, Any]
    series: tuple[Series, ...]


def by_time(documents: Iterable[Document]) -> list[Document]:
    """Return documents oldest first."""
    return sorted(documents, key=_moment)


def all_series(documents: Iterable[Document]) -> tuple[Series, ...]:
    """Sort the points of *documents*, oldest first, into series: measured before simulated, then by name."""
    found: dict[Subject, list[Document]] = {}
    for document in documents:
        for point in points(document):
            found.setdefault(subject(point), []).append(point)
    return tuple(Series(of, tuple(found[of])) for of in sorted(found, key=_place_in_tables))


def successions(series: Iterable[Series]) -> tuple[Series, ...]:
    """Return series of which one took another's place as one, with the subject of its latest run.

    A user who changes an engine's configuration or model revision ends one subject and begins another; the runs before
    it are what the new ones are compared with, as what changed can be named. Where two subjects of a place took turns,
    neither is the other's successor.
    """
    places: dict[Subject, list[Series]] = {}
    for item in series:
        places.setdefault(item.subject.place, []).append(item)
    found: list[Series] = []
    for members in places.values():
        ordered = sorted(members, key=lambda item: _moment(item.runs[0]))
        turns = any(_moment(after.runs[0]) <= _moment(before.latest) for before, after in itertools.pairwise(ordered))
        if turns or len(ordered) == 1:
            found += members
        else:
            runs = tuple(run for item in ordered for run in item.runs)
            found.append(Series(ordered[-1].subject, runs))
    return tuple(found)


def _moment(document: Document) -> tuple[Any, str]:
    return words.parse_time(document["started_at"]), document["run_id"]


def group(series: Iterable[Series]) -> tuple[Group, ...]:
    """Return series, in the order of :func:`all_series`, by the table that they stand in."""
    groups: dict[tuple[Any, ...], list[Series]] = {}
    for item in series:
        groups.setdefault((item.subject.model, item.subject.workload), []).append(item)
    return tuple(
        Group(model, members[0].latest["workload"], tuple(members)) for (model, _shape), members in groups.items()
    )


def _place_in_tables(of: Subject) -> tuple[Any, ...]:
    return (
        of.model, repr(of.workload), of.simulated, of.profile, of.engine, of.host, of.slot, of.label,
        of.revision, of.configuration, of.slo,
    )  # fmt: skip


def system(document: Document) -> str:
    """Return engine and profile in words, such as ``vLLM on 4x H100``, with a real multiplication sign."""
    return f"{words.engine(engine(document))} on {words.profile(profile(document))}"


def value(document: Document, key: str) -> float | None:
    """Return a metric's mean over the repeats."""
    figures = getattr(document, "figures", None)
    if figures is not None:
        return figures.get(key)
    summary = document["metrics"].get(key)
    return summary["mean"] if summary else None


def metrics_of(document: Document) -> Iterable[str]:
    """Return the names of the metrics that a document has."""
    figures = getattr(document, "figures", None)
    return [name for name, metric in document["metrics"].items() if metric] if figures is None else figures


def baseline(document: Document) -> Mapping[str, Any] | None:
    """Return the comparison that tables and plots show: the published row's, of which a document has one at most."""
    return next((item for item in document["baselines"] if item.get("kind", PUBLISHED) == PUBLISHED), None)


def compared(comparison: Mapping[str, Any] | None, key: str, part: str) -> Any:
    """Return the ``baseline``, the ``ratio`` or the ``verdict`` of one metric in a comparison."""
    return ((comparison or {}).get("metrics", {}).get(key) or {}).get(part)


def comparable(document: Document, comparison: Mapping[str, Any]) -> bool:
    """Whether a document's comparison says who is better; the verdicts of older releases' documents may not count."""
    published = comparison.get("kind", PUBLISHED) == PUBLISHED
    return comparison["same_workload"] and judgeable(document, comparison["cold"], published)


def differences(document: Document, comparison: Mapping[str, Any]) -> list[str]:
    """Return where the run's workload differs from the published one: ``64 prompts instead of 512``."""
    mine, theirs = document["workload"], comparison["workload"]
    found = []
    for key, name in (
        ("num_prompts", "prompts"),
        ("input_length", "input tokens"),
        ("output_length", "output tokens"),
        ("max_concurrency", "requests at once"),
        ("request_rate", "requests per second"),
    ):
        # A published row that says nothing of a rate sent as fast as it could.
        if mine.get(key) != theirs.get(key):
            pair = [("no limit of" if item.get(key) is None else words.count(item[key])) for item in (mine, theirs)]
            found.append(f"{pair[0]} {name} instead of {pair[1].replace('no limit of', 'no limit')}")
    own, there = ((item.get("random_range_ratio") or 0) * 100 for item in (mine, theirs))
    if own != there:
        found.append(f"lengths \u00b1 {own:g} % instead of \u00b1 {there:g} %")
    return found


def remarks(document: Document) -> list[str]:
    """Return what a reader has to know before trusting the run's figures, most important first.

    The document's own warnings, of a cold engine or a single repeat, stand as they are.
    """
    notes = []
    if document["simulated"]:
        what = f" that imitates {system(document)}" if document.get("simulates") else ""
        notes.append(f"{SIMULATED}: a rehearsal{what}. No GPU was measured.")
    quality, comparison = document["quality"], baseline(document)
    if quality["failed"]:
        total = quality["failed"] + quality["completed"]
        notes.append(f"{words.count(quality['failed'])} of {words.count(total)} requests failed.")
    if comparison and not comparison["same_workload"]:
        what = ", ".join(differences(document, comparison)) or "see the run's details"
        notes.append(f"Not the published workload: {what}. The ratios are a hint, not a comparison.")
    if comparison and comparison["cold"]:
        notes.append(
            "The published row looks cold: its p99 TTFT is far above its mean. "
            "A warm run beats it for that reason alone."
        )
    mark = marks(document)
    if mark:
        notes.append(words.sentence(f"* {mark}"))
    notes.extend(words.sentence(warning) for warning in quality["warnings"])
    return notes


def marks(document: Document) -> str | None:
    """Return why a document's ITL has a mark; None where it has none."""
    if not marked(document, "mean_itl_ms"):
        return None
    return (document["metrics"].get("mean_itl_ms") or {}).get("mark") or "ITL is the time between chunks, not tokens"
