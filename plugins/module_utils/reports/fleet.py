# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first answers of a report: is the fleet well, and what changed. Nothing is found here, only put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept, verdict
from ansible_collections.inference.fleet.plugins.module_utils.history import findings, regressions
from ansible_collections.inference.fleet.plugins.module_utils.reports.overview import Report
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.series import Document, Series, system

WORSE, BETTER, KNOWN = "worse", "better", "known"


@dataclass(frozen=True)
class News:
    """One thing that was found: *tone* is "worse", "better" or "known" (accepted), *size* such as C(-9.8 %).

    *since* is the time from which on, or in which it was *seen* last; None where it has always been so. *run* is the
    run that shows it, where there is one. *unwell*: a host with it is not well.
    """

    host: str
    simulated: bool
    tone: str
    size: str
    text: str
    since: str | None
    run: str | None
    unwell: bool
    seen: bool = False

    @property
    def moment(self) -> str:
        """Such as C(since 2026-11-17 00:21 UTC); nothing where it is not known."""
        return f"{'last seen' if self.seen else 'since'} {words.when(self.since)}" if self.since else ""


@dataclass(frozen=True)
class Health:
    """How many *hosts* there are, all of them measured or all *simulated*, and what the others than the well ones have.

    *young* counts the histories of the report that are too short for a change to be found in.
    """

    simulated: bool
    hosts: int
    unwell: tuple[tuple[str, tuple[News, ...]], ...]
    young: int
    watched: int

    @property
    def sentence(self) -> str:
        """Such as C(38 of 40 hosts well)."""
        well, plural = self.hosts - len(self.unwell), "" if self.hosts == 1 else "s"
        rehearsed = "rehearsed " if self.simulated else ""
        return f"{words.count(well)} of {words.count(self.hosts)} {rehearsed}host{plural} well"

    @property
    def caveat(self) -> str:
        """What is not known yet, in a sentence; else nothing."""
        if not self.young:
            return ""
        which = (
            "No history is" if self.young == self.watched else f"{self.young:,} of {self.watched:,} histories are not"
        )
        return f"{which} long enough yet to tell a host that becomes slower."


def news(report: Report) -> tuple[News, ...]:
    """Return all that was found, newest first."""
    found = [*_changed(report), *_slow(report), *_absent(report), *_lost(report), *_sick(report), *_failing(report)]
    found += _scored(report)
    return tuple(sorted(found, key=lambda item: (item.since or "", item.host), reverse=True))


def health(report: Report, found: Iterable[News]) -> tuple[Health, ...]:
    """Return how the fleet is: the measured hosts, then those that were only ever simulated, where there are any."""
    simulated: dict[str, bool] = {}
    for document in (*report.documents, *report.acceptances, *(told.document for told in report.evaluations)):
        simulated[document["host"]] = simulated.get(document["host"], True) and document["simulated"]
    for item in report.found.absent:
        simulated.setdefault(item.host, False)
    troubles: dict[str, list[News]] = {}
    for item in found:
        # A rehearsal on a host that was measured is not the host's.
        if item.unwell and item.simulated == simulated[item.host]:
            troubles.setdefault(item.host, []).append(item)
    return tuple(
        Health(
            kind,
            sum(of is kind for of in simulated.values()),
            tuple((host, tuple(items)) for host, items in sorted(troubles.items()) if simulated[host] is kind),
            report.found.young,
            report.found.watched,
        )
        for kind in (False, True)
        if kind in simulated.values()
    )


def _changed(report: Report) -> Iterator[News]:
    for event in report.events:
        change = event.first
        more = f" Also {event.others}." if event.others else ""
        known = " Acknowledged." if change.acknowledged else ""
        yield News(
            change.host,
            change.series.latest["simulated"],
            KNOWN if change.acknowledged else change.verdict,
            change.size,
            f"{_of(change.series)}{report.aside(change.series)}: {change.name}, {change.levels}. "
            f"With it: {event.together}.{more}{known}",
            change.started_at,
            change.since,
            change.worse and not change.acknowledged,
        )


def _slow(report: Report) -> Iterator[News]:
    for slow in report.slower:
        item = slow.finding
        beside = "than its siblings" if item.kind == findings.SLOWER else "than it was, in runs that were disturbed"
        yield News(
            item.host,
            item.simulated,
            KNOWN if slow.accepted else WORSE,
            words.change(item.change_percent / 100),
            f"{words.engine(item.engine)} on {words.profile(item.profile)}: slower {beside}, "
            f"{words.number(item.now)} {item.unit} to {words.number(item.before)}"
            + (". Acknowledged." if slow.accepted else "."),
            item.since,
            item.since_run,
            not slow.accepted,
            seen=True,
        )


def _absent(report: Report) -> Iterator[News]:
    for item in report.found.absent:
        text = words.sentence(item.sentence.removeprefix(f"{item.host}: "))
        yield News(item.host, False, WORSE, "no run", text, item.since, item.last_run, True)


def _lost(report: Report) -> Iterator[News]:
    """Hosts whose last run is so old that nobody watches them any more; those of a schedule are told of above."""
    told = {item.host for item in report.found.absent}
    latest: dict[str, Document] = {document["host"]: document for document in report.documents}
    newest = words.parse_time(report.documents[-1]["started_at"]) if report.documents else None
    for host, document in latest.items():
        age = newest - words.parse_time(document["started_at"])
        if age > timedelta(days=regressions.MAX_AGE) and host not in told:
            text = f"Not measured since, for {age.days} days before the newest run of the others."
            yield News(
                host, document["simulated"], WORSE, "no run", text, document["started_at"], document["run_id"], True
            )


def _sick(report: Report) -> Iterator[News]:
    for test in report.acceptances:
        if test["verdict"] == verdict.SICK:
            text = words.sentence(kept.sentence(test).removeprefix(f"{test['host']} "))
            yield News(test["host"], test["simulated"], WORSE, "sick", text, test["started_at"], None, True)


def _scored(report: Report) -> Iterator[News]:
    """Models that score worse than they did."""
    for told in report.evaluations:
        if told.worse:
            run = told.worse.document
            text = words.sentence(told.worse.sentence.removeprefix(f"{run['host']}, "))
            yield News(run["host"], run["simulated"], WORSE, told.score, text, run["started_at"], None, True)


def _failing(report: Report) -> Iterator[News]:
    """Latest runs that lost requests or missed a gate."""
    for item in report.series:
        run = item.latest
        texts = [words.sentence(f"a gate was not met: {gate['message']}") for gate in missed(run)]
        if run["quality"]["failed"]:
            total = run["quality"]["failed"] + run["quality"]["completed"]
            texts.insert(0, f"{words.count(run['quality']['failed'])} of {words.count(total)} requests failed.")
        if texts:
            text = f"{_of(item)}: {' '.join(texts)}"
            yield News(
                run["host"], run["simulated"], WORSE, "failed", text, run["started_at"], run["run_id"], True, True
            )


def missed(document: Document) -> list[Document]:
    """Return the gates that a run did not meet."""
    return [gate for gate in document.get("gates") or () if gate.get("passed") is False]


def _of(series: Series) -> str:
    return system(series.latest)
