# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that may be compared over time, and what must be said about each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import words

SIMULATED = "SIMULATED"

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Series:
    """All runs of one host, engine, model, profile and workload, oldest first; never empty."""

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


def group(documents: Iterable[Document]) -> tuple[Group, ...]:
    """Sort *documents*, oldest first, into series and groups: measured before simulated, then by name."""
    series: dict[tuple[str, ...], list[Document]] = {}
    for document in documents:
        series.setdefault(_series_key(document), []).append(document)
    groups: dict[tuple[str, ...], list[Series]] = {}
    for key in sorted(series):
        groups.setdefault(key[:2], []).append(Series(tuple(series[key])))
    return tuple(
        Group(members[0].latest["model"]["id"], members[0].latest["workload"], tuple(members))
        for members in groups.values()
    )


def _series_key(document: Document) -> tuple[str, ...]:
    # A seed makes other prompts of the same shape: still the same workload.
    shape = {key: value for key, value in document["workload"].items() if key != "seed" and value is not None}
    return (
        document["model"]["id"],
        json.dumps(shape, sort_keys=True),
        SIMULATED if document["simulated"] else "",
        profile(document),
        engine(document),
        document["host"],
        # What a simulator imitates is seen in the two above; what it ran on is part of the series as well.
        document["engine"]["name"],
        document["hardware"]["profile"],
    )


def profile(document: Document) -> str:
    """Return the profile that the figures stand for: for a simulator, the one it imitates."""
    simulates = document.get("simulates")
    if simulates:
        return simulates["profile"]
    return document["engine"].get("profile") or document["hardware"]["profile"]


def engine(document: Document) -> str:
    """Return the engine that the figures stand for: for a simulator, the one it imitates."""
    simulates = document.get("simulates")
    return simulates["engine"] if simulates else document["engine"]["name"]


def subject(document: Document) -> str:
    """Return engine and profile in words, such as ``vLLM on 4x H100``, with a real multiplication sign."""
    return f"{words.engine(engine(document))} on {words.profile(profile(document))}"


def value(document: Document, key: str) -> float | None:
    """Return a metric's mean over the repeats."""
    summary = document["metrics"].get(key)
    return summary["mean"] if summary else None


def baseline(document: Document) -> Mapping[str, Any] | None:
    """Return the comparison that tables and plots show: the published row's, of which a document has one at most."""
    return next((item for item in document["baselines"] if item.get("kind", "published") == "published"), None)


def compared(comparison: Mapping[str, Any] | None, key: str, part: str) -> Any:
    """Return the ``baseline``, the ``ratio`` or the ``verdict`` of one metric in a comparison."""
    return ((comparison or {}).get("metrics", {}).get(key) or {}).get(part)


def comparable(document: Document, comparison: Mapping[str, Any]) -> bool:
    """Whether a ratio says who is better: both measured, both warm, the same workload."""
    return bool(
        comparison["same_workload"]
        and not comparison["cold"]
        and document["warm"]
        and not document["simulated"]
        and not document["quality"]["failed"]
    )


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
    return found


def remarks(document: Document) -> list[str]:
    """Return what a reader has to know before trusting the run's figures, most important first.

    The document's own warnings, of a cold engine or a single repeat, stand as they are.
    """
    notes = []
    if document["simulated"]:
        what = f" that imitates {subject(document)}" if document.get("simulates") else ""
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
    notes.extend(words.sentence(warning) for warning in quality["warnings"])
    return notes
