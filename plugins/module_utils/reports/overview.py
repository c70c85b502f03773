# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of result documents as a report sees it, whatever it is written as."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.comparisons.outcome import Outcome, of_documents
from ansible_collections.inference.fleet.plugins.module_utils.evaluations.kept import Told
from ansible_collections.inference.fleet.plugins.module_utils.history import findings, regressions, siblings
from ansible_collections.inference.fleet.plugins.module_utils.reports import changes as change_points
from ansible_collections.inference.fleet.plugins.module_utils.reports.changes import Change, Event
from ansible_collections.inference.fleet.plugins.module_utils.reports.cohorts import Cohort, cohorts
from ansible_collections.inference.fleet.plugins.module_utils.reports.facets import Facets
from ansible_collections.inference.fleet.plugins.module_utils.results import series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.load import Damaged
from ansible_collections.inference.fleet.plugins.module_utils.results.series import Document, Group, Series
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import Subject


@dataclass(frozen=True)
class Slower:
    """A finding on a host that is slow without having changed; *accepted*: somebody knows of it."""

    finding: findings.Finding
    accepted: bool


@dataclass(frozen=True)
class Report:
    """What every form of a report is made of.

    *documents* come oldest first, *published* has the rows of the published tables, *damaged* the files left out,
    *changes* the change points of the histories, *every* all series with the later points of sweeps, *found* all that
    the history shows, *acceptances* the last acceptance test of each host,
    *evaluations* the last one of each model by each benchmark.
    """

    documents: tuple[Document, ...]
    groups: tuple[Group, ...]
    published: tuple[Mapping[str, Any], ...]
    damaged: tuple[Damaged, ...]
    changes: tuple[Change, ...]
    every: tuple[Series, ...] = ()
    found: regressions.Found = field(default_factory=regressions.Found)
    acceptances: tuple[Mapping[str, Any], ...] = ()
    evaluations: tuple[Told, ...] = ()

    @functools.cached_property
    def _by_group(self) -> tuple[tuple[Cohort, ...], ...]:
        return tuple(map(cohorts, self.groups))

    def cohorts_of(self, place: int) -> tuple[Cohort, ...]:
        """Return the cohorts of the group at *place*."""
        return self._by_group[place]

    @functools.cached_property
    def comparisons(self) -> tuple[Outcome, ...]:
        """The comparisons of variants, the newest first."""
        return of_documents(self.documents)

    @functools.cached_property
    def facets(self) -> Facets:
        """By what the page's parts are chosen."""
        hosts = [(test["host"], test["simulated"]) for test in self.acceptances]
        return Facets(self.every, self.evaluations, [*hosts, *((item.host, False) for item in self.found.absent)])

    @property
    def cohorts(self) -> tuple[Cohort, ...]:
        return tuple(cohort for members in self._by_group for cohort in members)

    @functools.cached_property
    def events(self) -> tuple[Event, ...]:
        """What changed, those first that need somebody."""
        return change_points.events(self.changes)

    @functools.cached_property
    def slower(self) -> tuple[Slower, ...]:
        """The hosts that are slow beside their siblings, or in runs that do not count; accepted ones last."""
        kinds = ((self.found.regressions, False), (self.found.acknowledged, True))
        return tuple(
            Slower(item, accepted)
            for items, accepted in kinds
            for item in items
            if item.kind == findings.SLOWER or (item.kind == findings.DISTURBED and item.metric == siblings.METRIC)
        )

    def is_slow(self, item: Series) -> Slower | None:
        """Return what was found of a series beside its siblings."""
        return next((slow for slow in self.slower if slow.finding.subject == item.subject.id), None)

    @functools.cached_property
    def _subjects(self) -> frozenset[Subject]:
        return frozenset(item.subject for item in self.series)

    def aside(self, item: Series) -> str:
        """Return what tells a series that stands in no table, a later point of a sweep, from others; else nothing."""
        return "" if item.subject in self._subjects else f", {words.workload(item.latest['workload'])}"

    @property
    def series(self) -> tuple[Series, ...]:
        return tuple(series for group in self.groups for series in group.series)

    @property
    def _every_document(self) -> tuple[Mapping[str, Any], ...]:
        return (*self.documents, *(told.document for told in self.evaluations), *self.acceptances)

    @property
    def hosts(self) -> int:
        return len({document["host"] for document in self._every_document})

    @property
    def simulated(self) -> int:
        return sum(document["simulated"] for document in self.documents)

    @property
    def rehearsed(self) -> str:
        """How much of it is simulated, such as C(2 of 44 runs are); nothing where nothing is."""
        found = self.documents or self._every_document
        some, total = sum(document["simulated"] for document in found), len(found)
        if not some:
            return ""
        what = "run" if self.documents else "result"
        which = f"Every {what}" if some == total else f"{words.count(some)} of {words.count(total)} {what}s"
        return f"{which} {'is' if some in (1, total) else 'are'}"

    @property
    def lead(self) -> str:
        """What it is of, such as C(44 runs and 2 evaluations on 5 hosts, 2026-11-01 to 2026-11-23)."""
        kinds = ((self.documents, "run"), (self.evaluations, "evaluation"), (self.acceptances, "acceptance test"))
        parts = [f"{words.count(len(of))} {name}{'' if len(of) == 1 else 's'}" for of, name in kinds if of]
        listed = " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
        return f"{listed} on {words.count(self.hosts)} host{'' if self.hosts == 1 else 's'}, {self.span}"

    @property
    def span(self) -> str:
        """The days of the first and the last document."""
        moments = sorted(document["started_at"] for document in self._every_document)
        return " to ".join(dict.fromkeys(words.day(moment) for moment in (moments[0], moments[-1])))


def report(
    documents: Sequence[Document],
    published: Sequence[Mapping[str, Any]],
    damaged: Sequence[Damaged] = (),
    found: regressions.Found | None = None,
) -> Report:
    """Return the report of *documents*, oldest first. *found* is what their history shows, as usual by default."""
    every = series.all_series(documents)
    # The points of a sweep beside the first have a section of their own.
    own = set(map(id, documents))
    groups = series.group(item for item in every if any(id(run) in own for run in item.runs))
    found = regressions.find(documents) if found is None else found
    changes = change_points.of_history(found, every)
    return Report(tuple(documents), groups, tuple(published), tuple(damaged), changes, every, found)
