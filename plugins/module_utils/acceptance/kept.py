# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The acceptance tests of a fleet: documents in a folder beside the results, and what they tell together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import verdict
from ansible_collections.inference.fleet.plugins.module_utils.results import kinds, words
from ansible_collections.inference.fleet.plugins.module_utils.results.kinds import Document, Kept, Kind, order

KIND = Kind(
    "acceptance",
    "an acceptance test",
    ("run_id", "host", "started_at", "finished_at", "simulated", "hardware", "gpus", "verdicts", "verdict"),
)
FOLDER = KIND.name
# So many earlier tests of a GPU tell what is usual for it.
_EARLIER = 10
_REHEARSED_PERCENT = 97.0


def load(results: Path) -> Kept:
    """Read the acceptance tests of a results folder."""
    return kinds.load(results, KIND)


def latest(documents: Iterable[Document]) -> dict[str, Document]:
    """Return the last test of each host, by its name."""
    return {each["host"]: each for each in sorted(documents, key=order)}


def beside(document: Mapping[str, Any], others: Sequence[Document], sick_percent: float) -> dict[str, Any]:
    """Return a document with lines on each GPU beside its siblings, of its host and of others, and its earlier tests.

    *sick_percent* below the median of its siblings a GPU is sick.
    """
    alike = [each for each in others if each["simulated"] == document["simulated"]]
    fleet = [
        gpu
        for host, each in latest(alike).items()
        if host != document["host"] and each["measured"]
        for gpu in each["gpus"]
    ]
    own = [gpu for each in alike for gpu in each["gpus"] if each["measured"]]
    lines = []
    for gpu in document["gpus"]:
        siblings = [each for each in (*document["gpus"], *fleet) if _is_sibling(each, gpu)]
        # CPUs share caches: chance alone makes much of it.
        least = max(sick_percent, _REHEARSED_PERCENT) if document["simulated"] else sick_percent
        lines += verdict.siblings(gpu, siblings, least, document["simulated"])
        if not document["simulated"]:
            lines += verdict.earlier(gpu, [each for each in own if each["uuid"] == gpu["uuid"]][-_EARLIER:])
    verdicts = [*document["verdicts"], *lines]
    return {**document, "verdicts": verdicts, "verdict": verdict.worst(verdicts)}


def _is_sibling(other: Mapping[str, Any], gpu: Mapping[str, Any]) -> bool:
    alike = ("name", "memory_mib", "power_limit_w")
    return other is not gpu and other["uuid"] != gpu["uuid"] and all(other[key] == gpu[key] for key in alike)


def sick(documents: Sequence[Document], newest: str | None, days: float) -> list[Document]:
    """Return the last test of each host that did not pass, but those *days* older than *newest*, a run's start."""
    last = list(latest([each for each in documents if not each["simulated"]]).values())
    newest = max([each["started_at"] for each in last] + ([newest] if newest else []), default=None)
    if newest is None:
        return []
    oldest = words.parse_time(newest) - timedelta(days=days)
    return [each for each in last if each["verdict"] == verdict.SICK and words.parse_time(each["started_at"]) >= oldest]


def check(document: Document | None, gpus: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the last test tells of a host's GPUs as a check of the form of host_info's."""
    same = document is not None and {gpu["uuid"] for gpu in gpus} == {gpu["uuid"] for gpu in document["gpus"]}
    is_sick = document is not None and same and document["verdict"] == verdict.SICK
    if document is None:
        found = "not tested yet: accept.yml does"
    elif not same:
        found = f"not tested yet: the test of {words.when(document['started_at'])} was of other GPUs"
    else:
        found = sentence(document).rstrip(".")
    ok = not (same and document and document["verdict"] != verdict.SOUND)
    return {
        "name": "gpu_acceptance",
        "ok": ok,
        "required": is_sick,
        "found": found,
        "wanted": "GPUs that passed their last acceptance test",
        "remedy": None if ok else "Have it replaced, or give the host back; after a repair run accept.yml again.",
    }


def troubles(document: Document, worst: str = verdict.SICK) -> list[str]:
    """Return what is sick, or odd where *worst* says so, as sentences that name the GPU."""
    return [
        f"{each['of']}, {each['what']}: {each['text']}" for each in document["verdicts"] if each["verdict"] == worst
    ]


def sentence(document: Document) -> str:
    """Return what a test told of its host, in a sentence."""
    host, when = document["host"], words.when(document["started_at"])
    if document["verdict"] == verdict.SICK:
        found = troubles(document)
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return f"{host} did not pass its acceptance test of {when}: {found[0]}{more}."
    count = len(document["gpus"])
    what = f"{count} GPU{'' if count == 1 else 's'}" if document["measured"] else "looked at only, not measured"
    odd = troubles(document, verdict.ODD)
    return f"{host} passed its acceptance test of {when} ({what}){f'; odd: {odd[0]}' if odd else ''}."


def table(document: Document) -> str:
    """Return a test as text: a line a verdict."""
    rows = [
        (
            each["of"],
            each["what"],
            "" if each["value"] is None else f"{words.number(each['value'])} {each['unit']}".strip(),
            (each["verdict"] or "-").upper()
            if each["verdict"] in (verdict.SICK, verdict.ODD)
            else each["verdict"] or "-",
            words.clean(each["text"]),
        )
        for each in sorted(document["verdicts"], key=_order)
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    mark = ", rehearsed on CPUs" if document["simulated"] else ""
    profile = words.profile(document["hardware"]["profile"])
    head = f"Acceptance of {document['host']} ({profile}): {document['verdict']}{mark}"
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    return "\n".join([head, *(f"  {line.rstrip()}" for line in lines)])


def _order(line: Mapping[str, Any]) -> int:
    """What is sick comes last, where a screen ends."""
    return {verdict.ODD: 1, verdict.SICK: 2}.get(line["verdict"], 0)
