# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and engines that were to be measured and were not: silence must not pass for health. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import port


@dataclass(frozen=True)
class Wanted:
    """The hosts that were to be measured within so many *hours* before *now*, a time with its zone.

    *reasons* says by host why its last benchmark failed, where that is known. *engines* has by host the ports of its
    engines, where it has several and each was to be measured.
    """

    hosts: tuple[str, ...]
    now: datetime
    hours: float
    reasons: Mapping[str, str] = field(default_factory=dict)
    engines: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Absent:
    """A host without a run. *since* is the time of its last one, None where there never was one.

    *port* is that of the one engine without a run, None where the host has none of any.
    """

    host: str
    port: int | None
    since: str | None
    last_run: str | None
    reason: str | None
    sentence: str


def find(every: Iterable[series.Series], wanted: Wanted) -> tuple[Absent, ...]:
    """Return which hosts, and which of several engines, have no run in the time in which they were to be measured."""
    latest: dict[tuple[str, int | None], Mapping[str, Any]] = {}
    for item in every:
        run = item.latest
        # A variant of a comparison is not the host's own engine.
        if run.get("comparison"):
            continue
        for place in ((run["host"], None), (run["host"], port(run))):
            if place not in latest or _start(run) > _start(latest[place]):
                latest[place] = run
    found = []
    for host in dict.fromkeys(wanted.hosts):
        engines = wanted.engines.get(host) or ()
        late = [own for own in engines if _is_late(latest.get((host, own)), wanted)]
        if _is_late(latest.get((host, None)), wanted):
            found.append(_absent(host, None, latest.get((host, None)), wanted.reasons.get(host)))
        else:
            found += [_absent(host, own, latest.get((host, own)), wanted.reasons.get(host)) for own in late]
    return tuple(found)


def _is_late(run: Mapping[str, Any] | None, wanted: Wanted) -> bool:
    return run is None or wanted.now - _start(run) > timedelta(hours=wanted.hours)


def _absent(host: str, own: int | None, run: Mapping[str, Any] | None, reason: str | None) -> Absent:
    said = f"not measured since {words.when(run['started_at'])} ({run['run_id']})" if run else "never measured"
    why = f": {_first_line(reason)}" if reason else ", and no failed benchmark of it is known: did its schedule run?"
    return Absent(
        host=host,
        port=own,
        since=run["started_at"] if run else None,
        last_run=run["run_id"] if run else None,
        reason=reason,
        sentence=f"{host}{f', its engine at port {own}' if own else ''}: {said}{why}",
    )


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
