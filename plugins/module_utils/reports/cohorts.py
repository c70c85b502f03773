# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that do the same on the same hardware: one row of a fleet's table, and the ranking within it."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import siblings
from ansible_collections.inference.fleet.plugins.module_utils.results.series import (
    Document,
    Group,
    Series,
    baseline,
    engine,
    profile,
    system,
    value,
)

_JOULES_PER_KWH = 3.6e6
_MILLION = 1e6


@dataclass(frozen=True)
class Figure:
    """A figure of the latest runs of several hosts: the *middle* (median) of them, the lowest and the highest."""

    middle: float
    low: float
    high: float
    hosts: int


@dataclass(frozen=True)
class Ranked:
    """A host's place among its siblings; *place* is None for one without the figure that they are ranked by."""

    series: Series
    place: siblings.Rank | None


@dataclass(frozen=True)
class Cohort:
    """The series of one model, workload, profile and engine, all measured or all simulated; never empty."""

    series: tuple[Series, ...]

    @property
    def any(self) -> Document:
        """The document that stands for what all have in common."""
        return self.series[0].latest

    @property
    def simulated(self) -> bool:
        return self.any["simulated"]

    @property
    def system(self) -> str:
        return system(self.any)

    @property
    def latest(self) -> tuple[Document, ...]:
        return tuple(series.latest for series in self.series)

    @property
    def runs(self) -> int:
        return sum(len(series.runs) for series in self.series)

    @property
    def comparison(self) -> Mapping[str, Any] | None:
        """The published row's comparison of the first host that has one."""
        return next((found for found in map(baseline, self.latest) if found), None)

    @functools.cached_property
    def ranking(self) -> tuple[Ranked, ...]:
        """The hosts by the output throughput of their latest run, highest first; those without the figure last."""
        by_subject = {series.subject: series for series in self.series}
        # A cohort is one group of siblings; none where no host has the figure.
        rows = [row for group in siblings.rank(self.latest) for row in group.rows]
        found = [Ranked(by_subject.pop(row.subject), row) for row in rows]
        return (*found, *(Ranked(series, None) for series in by_subject.values()))

    def figure(self, key: str) -> Figure | None:
        """Return a metric over the latest runs of the hosts."""
        return _figure(value(document, key) for document in self.latest)

    def efficiency(self, read: Callable[[Document], float | None]) -> Figure | None:
        """Return what *read* gives of the latest runs; it is one of this module's readers of efficiency."""
        return _figure(read(document) for document in self.latest)


def cohorts(group: Group) -> tuple[Cohort, ...]:
    """Return the cohorts of a group, in the order of its series."""
    found: dict[tuple[Any, ...], list[Series]] = {}
    for series in group.series:
        document = series.latest
        found.setdefault((document["simulated"], profile(document), engine(document)), []).append(series)
    return tuple(Cohort(tuple(members)) for members in found.values())


def price(document: Document) -> float | None:
    """Return what the engine's GPUs cost, in US dollars an hour."""
    return _efficiency(document).get("price_per_hour_usd")


def cost_per_million_output(document: Document) -> float | None:
    """Return US dollars per million output tokens."""
    return _efficiency(document).get("cost_per_million_output_tokens_usd")


def cost_per_million(document: Document) -> float | None:
    """Return US dollars per million tokens, input and output."""
    return _efficiency(document).get("cost_per_million_tokens_usd")


def power(document: Document) -> float | None:
    """Return the mean power of the engine's GPUs, in W."""
    return (_efficiency(document).get("gpu_power_w") or {}).get("mean")


def energy_per_million_output(document: Document) -> float | None:
    """Return the energy of the engine's GPUs, in kWh per million output tokens."""
    joules = (_efficiency(document).get("energy_per_output_token_j") or {}).get("mean")
    return None if joules is None else joules * _MILLION / _JOULES_PER_KWH


def energy_per_million(document: Document) -> float | None:
    """Return the energy of the engine's GPUs, in kWh per million tokens, input and output."""
    quality = document["quality"]
    energy, given, made = (
        energy_per_million_output(document),
        quality.get("total_input_tokens"),
        quality.get("total_output_tokens"),
    )
    if energy is None or given is None or not made:
        return None
    return energy * made / (given + made)


def _efficiency(document: Document) -> Mapping[str, Any]:
    return document.get("efficiency") or {}


def _figure(values: Iterable[float | None]) -> Figure | None:
    known = [number for number in values if number is not None]
    if not known:
        return None
    # The median of two whole numbers is none; of one value it is that value, as it was printed.
    middle = known[0] if len(known) == 1 else float(statistics.median(known))
    return Figure(middle, min(known), max(known), len(known))
