# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last evaluation of each model and question as Prometheus reads it. Pure, as :mod:`..history.textfile`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept
from ansible_collections.inference.fleet.plugins.module_utils.history.textfile import Labels, Sample, family
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.kinds import Document


def text(documents: Iterable[Document], worse: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the metrics of the last evaluation of each series; nothing where there is none.

    *worse* has the models that score worse than they did, as M(inference.fleet.regressions) returns them.
    """
    fell = {each["subject"] for each in worse}
    last = sorted(((_labels(runs[-1]), runs[-1]) for runs in kept.series(documents)), key=lambda pair: pair[0])
    lines: list[str] = []
    for name, explained, samples in (
        (
            "score_ratio",
            "Share of the samples that were right, of the last evaluation.",
            [(labels, run["score"]["value"]) for labels, run in last],
        ),
        (
            "score_bound_ratio",
            "Ends of the interval that has the true score with 95 % confidence.",
            [((*labels, ("bound", end)), run["score"][end]) for labels, run in last for end in ("low", "high")],
        ),
        ("samples", "Samples of the last evaluation.", [(labels, run["score"]["tasks"]) for labels, run in last]),
        ("tokens", "Tokens that the last evaluation took.", list(_tokens(last))),
        (
            "end_timestamp_seconds",
            "When the last evaluation ended.",
            [(labels, words.parse_time(run["finished_at"]).timestamp()) for labels, run in last],
        ),
        (
            "worse",
            "1 where the model scores worse than it did, beyond chance; 0 where not.",
            [(labels, float(dict(labels)["subject"] in fell)) for labels, run in last],
        ),
    ):
        lines += family(f"evaluation_{name}", explained, samples)
    return "".join(f"{line}\n" for line in lines)


def _labels(document: Document) -> Labels:
    """Return what tells a series from every other one: in words, and by the subject's id."""
    return (
        ("host", document["host"]),
        ("engine", document["engine"]["name"]),
        ("model", document["model"]["served_model_name"]),
        ("benchmark", document["benchmark"]["name"]),
        ("user", (document["user"] or {}).get("model") or ""),
        ("label", document.get("label") or ""),
        ("simulated", "true" if document["simulated"] else "false"),
        ("subject", kept.subject_id(document)),
    )


def _tokens(last: Sequence[tuple[Labels, Document]]) -> Iterable[Sample]:
    for labels, run in last:
        for who, used in run["tokens"].items():
            for direction in ("input", "output") if used else ():
                yield (*labels, ("role", who), ("direction", direction)), used[direction]
