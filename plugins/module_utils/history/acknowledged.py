# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that somebody knows of and accepts: they are told no more, and are what later runs are held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import words

_KEYS = {"host", "metric", "kind", "since", "reason"}
# Of a host that did not pass its acceptance test; of a model that scores worse than it did.
SICK, WORSE = "sick", "worse"
KINDS = ("step", "siblings", "disturbed", "absent", SICK, WORSE)
# What begins with a run, and after which later ones are held to the new level.
_BEGUN = ("step", WORSE)
# Where a step began is known to about this many runs, and may move as more runs come.
NEAR = 2


@dataclass(frozen=True)
class Acknowledgement:
    """One change that is accepted. *host* is a name or a pattern; *metric* None for every one.

    *since* is a run id or a day as C(2026-11-23), with which a step or a worse score began. Of a model that scores
    worse, *metric* is the benchmark.
    """

    host: str
    reason: str
    since: str | None = None
    metric: str | None = None
    kind: str = "step"

    def covers(self, metric: str, kind: str, runs: Sequence[Mapping[str, Any]], index: int) -> bool:
        """Whether it is of the change that began with the run at *index* of one host's runs, oldest first."""
        if kind != self.kind or self.metric not in (None, metric) or not self.of_host(runs[index]["host"]):
            return False
        if kind != "step":
            return True
        return any(self._names(runs, place) for place in range(max(0, index - NEAR), min(len(runs), index + NEAR + 1)))

    def of_host(self, host: str) -> bool:
        """Whether it is of a host."""
        return fnmatchcase(host, self.host)

    def _names(self, runs: Sequence[Mapping[str, Any]], place: int) -> bool:
        """Whether the run at *place* is the one that is named: by its id, or as the first since that day."""
        if runs[place]["run_id"] == self.since:
            return True
        day = _day(self.since)
        if day is None:
            return False
        before = words.parse_time(runs[place - 1]["started_at"]).date() if place else date.min
        return before < day <= words.parse_time(runs[place]["started_at"]).date()

    def text(self) -> str:
        """Return it in one line."""
        return ", ".join(str(part) for part in (self.host, self.metric, self.since, self.reason) if part)


def _day(text: str | None) -> date | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%d").date()
    except ValueError:
        return None


def parse(items: Any, where: str) -> tuple[Acknowledgement, ...]:
    """Return acknowledgements from a list of dictionaries. FleetError says what is wrong with which."""
    if items is None:
        return ()
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise FleetError(f"{where}: wanted a list of acknowledgements, found {type(items).__name__}")
    return tuple(_parse(item, f"{where}, number {number}") for number, item in enumerate(items, start=1))


def _parse(item: Any, where: str) -> Acknowledgement:
    if not isinstance(item, Mapping):
        raise FleetError(f"{where}: wanted host, since and reason, found {item!r}")
    unknown = sorted(set(map(str, item)) - _KEYS)
    if unknown:
        raise FleetError(f"{where}: {', '.join(unknown)} means nothing here. What does: {', '.join(sorted(_KEYS))}.")
    kind = item.get("kind") or "step"
    if kind not in KINDS:
        raise FleetError(f"{where}: kind is {kind!r}, wanted {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    needed = ("host", "since", "reason") if kind in _BEGUN else ("host", "reason")
    missing = [key for key in needed if not item.get(key)]
    if missing:
        raise FleetError(f"{where}: {' and '.join(missing)} must be given")
    since = item.get("since")
    # YAML makes a date of a day.
    text = None if since is None else since.isoformat() if isinstance(since, date) else str(since)
    if kind in _BEGUN and _day(text) is None and "Z-" not in str(text):
        raise FleetError(f"{where}: since is {text!r}, wanted a run id or a day such as 2026-11-23")
    metric = item.get("metric")
    return Acknowledgement(
        host=str(item["host"]),
        reason=str(item["reason"]),
        since=text,
        metric=str(metric) if metric else None,
        kind=kind,
    )
