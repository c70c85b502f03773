# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sweeps as a report shows them: throughput per GPU against the speed that each user sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import efficiency
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.series import (
    Document,
    engine,
    profile,
    system,
    value,
)


@dataclass(frozen=True)
class Point:
    """One workload of a sweep: tokens a second, *per_gpu* of output and *per_user* (1000 / mean TPOT).

    *pareto*: no other point of the sweep is as good in both and better in one. *facts* is what the document says of
    the point, in the keys of the document itself.
    """

    concurrency: int | None
    per_gpu: float
    per_user: float
    pareto: bool
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """The points of one document with one input and output length, by concurrency; *title* where it has one."""

    document: Document
    points: tuple[Point, ...]
    title: str = ""

    @property
    def name(self) -> str:
        return self.title or f"{system(self.document)}, {self.document['host']}"

    @property
    def simulated(self) -> bool:
        return self.document["simulated"]


@dataclass(frozen=True)
class Plot:
    """Sweeps that may stand in one plot, and how many *others* of the same kind are not drawn."""

    model: str
    input_length: float
    output_length: float
    sweeps: tuple[Sweep, ...]
    others: int

    @property
    def workload(self) -> str:
        return f"{words.count(self.input_length)} in, {words.count(self.output_length)} out"


def plots(documents: Iterable[Document]) -> tuple[Plot, ...]:
    """Return a plot a model and shape of request, each with the newest sweep of every engine and profile.

    *documents* come oldest first. A point without throughput per GPU, as on a CPU, counts as one GPU's: there the
    whole endpoint is what a user has.
    """
    shapes: dict[tuple[Any, ...], dict[tuple[Any, ...], list[Sweep]]] = {}
    for document in documents:
        for (given, made), points in _points(document).items():
            kind = (document["simulated"], profile(document), engine(document))
            shape = shapes.setdefault((document["model"]["id"], given, made), {})
            shape.setdefault(kind, []).append(Sweep(document, points))
    return tuple(
        Plot(*shape, tuple(kinds[kind][-1] for kind in sorted(kinds)), sum(len(found) - 1 for found in kinds.values()))
        for shape, kinds in sorted(shapes.items())
    )


def every_point(document: Document) -> list[Mapping[str, Any]]:
    """Return all that a document measured, each as a point of a sweep has it: the document itself where it has none."""
    points = (document.get("sweep") or {}).get("points")
    return [point for point in points if point.get("metrics")] if points else [document]


def _points(document: Document) -> dict[tuple[float, float], tuple[Point, ...]]:
    """Return a sweep's points by input and output length; none for a document without one."""
    if not document.get("sweep"):
        return {}
    shapes: dict[tuple[float, float], list[tuple[float, float, Mapping[str, Any]]]] = {}
    for facts in every_point(document):
        found = facts.get("efficiency") or {}
        per_gpu = found.get("output_throughput_per_gpu") or value(facts, "output_throughput")
        per_user = found.get("tokens_per_second_per_user")
        if per_gpu and per_user:
            workload = facts["workload"]
            shapes.setdefault((workload["input_length"], workload["output_length"]), []).append(
                (per_gpu, per_user, facts)
            )
    points = {}
    for shape, found in shapes.items():
        # Among the points of one shape: a shorter prompt must not push a longer one's off the front.
        fronts = efficiency.pareto([(per_gpu, per_user) for per_gpu, per_user, _facts in found])
        listed = [
            Point(facts["workload"].get("max_concurrency"), per_gpu, per_user, front, facts)
            for (per_gpu, per_user, facts), front in zip(found, fronts, strict=True)
        ]
        points[shape] = tuple(sorted(listed, key=lambda point: (point.concurrency or 0, point.per_gpu)))
    return points
