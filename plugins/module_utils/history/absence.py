# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that were to be measured and were not: silence must not pass for health. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import series, words


@dataclass(frozen=True)
class Wanted:
    """The hosts that were to be measured within so many *hours* before *now*, a time with its zone.

    *reasons* says by host why its last benchmark failed, where that is known.
    """

    hosts: tuple[str, ...]
    now: datetime
    hours: float
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Absent:
    """A host without a run. *since* is the time of its last one, None where there never was one."""

    host: str
    since: str | None
    last_run: str | None
    reason: str | None
    sentence: str


def find(every: Iterable[series.Series], wanted: Wanted) -> tuple[Absent, ...]:
    """Return which hosts have no run in the time in which they were to be measured."""
    latest: dict[str, Mapping[str, Any]] = {}
    for item in every:
        known = latest.get(item.subject.host)
        if known is None or _start(item.latest) > _start(known):
            latest[item.subject.host] = item.latest
    found = []
    for host in dict.fromkeys(wanted.hosts):
        run = latest.get(host)
        if run is not None and wanted.now - _start(run) <= timedelta(hours=wanted.hours):
            continue
        reason = wanted.reasons.get(host)
        said = f"not measured since {words.when(run['started_at'])} ({run['run_id']})" if run else "never measured"
        why = (
            f": {_first_line(reason)}" if reason else ", and no failed benchmark of it is known: did its schedule run?"
        )
        found.append(
            Absent(
                host=host,
                since=run["started_at"] if run else None,
                last_run=run["run_id"] if run else None,
                reason=reason,
                sentence=f"{host}: {said}{why}",
            )
        )
    return tuple(found)


def reasons(summaries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return why hosts were not measured, from what benchmark.yml's summaries say, oldest first.

    A host whose benchmark succeeded later has no reason.
    """
    found: dict[str, str] = {}
    for summary in sorted(summaries, key=lambda item: str(item.get("started_at"))):
        for host in summary.get("hosts") or ():
            reason = host.get("reason")
            if reason:
                found[str(host.get("host"))] = f"{host.get('outcome')}: {reason}"
            elif host.get("outcome") == "not started":
                found[str(host.get("host"))] = "not started: the playbook ended before it"
            else:
                found.pop(str(host.get("host")), None)
    return found


def _start(run: Mapping[str, Any]) -> datetime:
    return words.parse_time(run["started_at"])


def _first_line(text: str) -> str:
    return words.sentence(words.shorten(text.splitlines()[0], 300)) if text.strip() else "no reason was given."
