# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done of a comparison, so that one that was cut off goes on where it was.

A turn is done where there is a result document of it. All else (what failed, and why) is in one file a host, beside the
documents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.comparisons.variants import Turn
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

FOLDER = "comparisons"
# Stages of a turn. An engine that did not come up will not do so in the next round either; a benchmark may.
START, MEASURE = "start", "measure"


@dataclass(frozen=True)
class Failure:
    """Why a turn has no result."""

    variant: str
    round: int
    stage: str
    cause: str
    at: str


@dataclass(frozen=True)
class Progress:
    """One host's comparison. *id* is that of all hosts that began together; *finished* is a time once all was done."""

    id: str
    host: str
    slot: str
    fingerprint: str
    variants: tuple[str, ...]
    rounds: int
    order: tuple[Turn, ...]
    started_at: str
    finished_at: str | None = None
    failures: tuple[Failure, ...] = ()

    def failed(self, variant: str) -> Failure | None:
        """Return the last failure of a variant."""
        return next((item for item in reversed(self.failures) if item.variant == variant), None)

    def due(self, done: Iterable[Turn]) -> tuple[Turn, ...]:
        """Return the turns that are left, in their order, with those *done* that have a result."""
        over = {*done, *(Turn(item.variant, item.round) for item in self.failures)}
        hopeless = {item.variant for item in self.failures if item.stage == START}
        return tuple(turn for turn in self.order if turn not in over and turn.variant not in hopeless)

    def with_failure(self, failure: Failure) -> Progress:
        """Return the comparison with one failure more; a turn has one at most."""
        kept = [item for item in self.failures if (item.variant, item.round) != (failure.variant, failure.round)]
        return replace(self, failures=(*kept, failure))


def over(progress: Progress, at: str) -> Progress:
    """Return a comparison of which nothing is left to do."""
    return replace(progress, finished_at=at)


def path(folder: Path, identity: str, host: str, slot: str) -> Path:
    """Return the file of a host's comparison in a folder of results."""
    return folder / FOLDER / f"{identity}-{_plain(host)}-{_plain(slot)}.progress"


def text(progress: Progress) -> str:
    """Return what its file holds."""
    return json.dumps({"format": 1, **asdict(progress)}, indent=1) + "\n"


def read(file: Path) -> Progress:
    """Return the comparison that a file tells of. FleetError where it tells of none."""
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        given.pop("format")
        return Progress(
            **{
                **given,
                "variants": tuple(given["variants"]),
                "order": tuple(Turn(**turn) for turn in given["order"]),
                "failures": tuple(Failure(**failure) for failure in given["failures"]),
            }
        )
    except OSError as error:
        raise FleetError(
            f"the comparison's file {file} on the control host cannot be read: {error.strerror}."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FleetError(
            f"{file} on the control host is not a comparison's file: {type(error).__name__}: {error}. "
            "Move it away to begin anew; what was measured stays in the documents beside it."
        ) from error


def unfinished(folder: Path, host: str, slot: str) -> list[Progress]:
    """Return the comparisons of a slot of a host that were cut off, the newest first."""
    files = sorted((folder / FOLDER).glob(f"*-{_plain(host)}-{_plain(slot)}.progress"), reverse=True)
    found = [read(file) for file in files]
    return [item for item in found if item.finished_at is None and (item.host, item.slot) == (host, slot)]


def done(documents: Iterable[Mapping[str, Any]], identity: str, host: str) -> list[Turn]:
    """Return the turns of a host's comparison that have a result."""
    return [Turn(told["variant"], told["round"]) for _run, told in members(documents, identity) if _run["host"] == host]


def members(
    documents: Iterable[Mapping[str, Any]], identity: str
) -> Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return the documents of a comparison, each with what it says of its turn."""
    found = ((document, document.get("comparison")) for document in documents)
    return [(document, told) for document, told in found if told and told["id"] == identity]


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "_", name)
