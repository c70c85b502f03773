# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that do the same on the same hardware: one row of a fleet's table, and the ranking within it."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import siblings
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.series import (
    Document,
    Group,
    Series,
    baseline,
    system,
    value,
)
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import Subject, limits_text, slot

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
    """Series that differ in host and slot alone; never empty. *apart* is what tells it from others of its system."""

    series: tuple[Series, ...]
    apart: str = ""

    @property
    def any(self) -> Document:
        """The document that stands for what all have in common."""
        return self.series[0].latest

    @property
    def simulated(self) -> bool:
        return self.any["simulated"]

    @property
    def system(self) -> str:
        return system(self.any) + (f" ({self.apart})" if self.apart else "")

    def name(self, document: Document) -> str:
        """Return what names a host, with the engine's slot where several of the host's are here."""
        slots = [item for item in self.series if item.subject.host == document["host"]]
        return document["host"] + (f" ({slot(document)})" if len(slots) > 1 else "")

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
        by_subject = {series.subject.id: series for series in self.series}
        # A cohort is one group of siblings; none where no host has the figure. The later points of a sweep are others.
        rows = [row for group in siblings.rank(self.latest) for row in group.rows if row.subject in by_subject]
        found = [Ranked(by_subject.pop(row.subject), row) for row in rows]
        return (*found, *(Ranked(series, None) for series in by_subject.values()))

    def figure(self, key: str) -> Figure | None:
        """Return a metric over the latest runs of the hosts."""
        return median(value(document, key) for document in self.latest)

    def efficiency(self, read: Callable[[Document], float | None]) -> Figure | None:
        """Return what *read* gives of the latest runs; it is one of this module's readers of efficiency."""
        return median(read(document) for document in self.latest)


def cohorts(group: Group) -> tuple[Cohort, ...]:
    """Return the cohorts of a group, in the order of its series."""
    found: dict[Subject, list[Series]] = {}
    for series in group.series:
        found.setdefault(series.subject.kind, []).append(series)
    kinds: dict[tuple[Any, ...], list[Subject]] = {}
    for kind in found:
        kinds.setdefault((kind.simulated, kind.profile, kind.engine), []).append(kind)
    return tuple(
        Cohort(tuple(members), _apart(kind, kinds[kind.simulated, kind.profile, kind.engine]))
        for kind, members in found.items()
    )


def _apart(kind: Subject, alike: Sequence[Subject]) -> str:
    """Return in what a kind differs from the others of the same engine and profile, in a few words."""
    if len(alike) < 2:
        return ""
    common = set.intersection(*(set(other.configuration) for other in alike))
    parts = [kind.label, *(option for option in kind.configuration if option not in common)]
    if len({other.revision for other in alike}) > 1:
        parts.append(f"revision {kind.revision[:8] or 'not recorded'}")
    if len({other.slo for other in alike}) > 1:
        parts.append(f"limits {limits_text(kind.slo)}" if kind.slo else "no limits")
    return words.shorten(words.clean(", ".join(filter(None, parts))), 60) or "none of these"


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


def median(values: Iterable[float | None]) -> Figure | None:
    """Return the median of what is known of *values*, with their ends; None where nothing is."""
    known = [number for number in values if number is not None]
    if not known:
        return None
    # The median of two whole numbers is none; of one value it is that value, as it was printed.
    middle = known[0] if len(known) == 1 else float(statistics.median(known))
    return Figure(middle, min(known), max(known), len(known))
