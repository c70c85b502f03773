# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found in a history, in figures and in words: one form for terminal, page, webhook and Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import metrics, series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import subject

Document = Mapping[str, Any]

# What can be watched.
METRICS: Mapping[str, metrics.Metric] = {metric.key: metric for metric in metrics.COMPARED}
# A level that changed; a host that its siblings outrun; one whose runs do not count; one without a run.
STEP, SLOWER, DISTURBED, ABSENT = "step", "siblings", "disturbed", "absent"


@dataclass(frozen=True)
class Finding:
    """One change of one figure of one subject.

    *subject* is the id of what was measured, *slot* the engine's place on the host. *before* and *now* are in the
    metric's unit, *change_percent* is of *before*. *kind* is C(step) for a host that changed, C(siblings) for one that
    its siblings outrun (*before* is their median), C(disturbed) for one that is slow in runs that do not count.
    *since_run* is the first run that shows it, *since* its time; *last_good_run* the one before it. *runs* tells how
    many runs it has lasted. *changed* lists what changed with it.
    """

    kind: str
    subject: str
    host: str
    slot: str
    simulated: bool
    profile: str
    engine: str
    model: str
    workload: str
    metric: str
    unit: str
    before: float
    now: float
    change_percent: float
    since_run: str
    since: str
    last_good_run: str | None
    runs: int
    changed: tuple[Mapping[str, str], ...] = ()
    sentence: str = ""

    @property
    def short(self) -> str:
        """The figure and its change."""
        return f"{METRICS[self.metric].label} {size(self.change_percent)}"


def head(document: Document, metric: metrics.Metric) -> dict[str, Any]:
    """Return what a finding on a run says of its subject."""
    of = subject(document)
    return {
        "subject": of.id,
        "host": of.host,
        "slot": of.slot,
        "simulated": of.simulated,
        "profile": of.profile,
        "engine": of.engine,
        "model": of.model,
        "workload": words.workload(document["workload"]),
        "metric": metric.key,
        "unit": metric.unit,
    }


def name(document: Document) -> str:
    """Return what a sentence on a run begins with, such as C(gpu7, vLLM on 4x H100)."""
    mark = f"{series.SIMULATED} " if document["simulated"] else ""
    return f"{mark}{document['host']}, {series.system(document)}"


def size(change: float) -> str:
    """Return a change in per cent in words."""
    return f"{abs(change):.1f} % {'lower' if change < 0 else 'higher'}"


def order(item: Finding) -> tuple[Any, ...]:
    """Return a finding's place in a list."""
    place = (item.simulated, item.host, item.slot, item.profile, item.engine, item.model, item.workload, item.subject)
    return (*place, list(METRICS).index(item.metric), item.kind, item.since)
