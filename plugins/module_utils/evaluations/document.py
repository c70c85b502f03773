# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a log has to a document of an evaluation, which docs/evaluation.schema.json defines. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.redaction import redact, without_secrets
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import scores
from ansible_collections.inference.fleet.plugins.module_utils.evaluations.command import Endpoint, Plan
from ansible_collections.inference.fleet.plugins.module_utils.results import words

SCHEMA_VERSION = 1
# How inspect-ai writes what is no number: correct, incorrect, partial, no answer.
_LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
_TOKENS = ("input", "output", "cached", "reasoning")
# So many failed samples are named.
_NAMED = 3


def faults(read: Mapping[str, Any]) -> list[str]:
    """Return why what a log has is no score; nothing where it is one. *read* is of :mod:`.log_reader`."""
    found = []
    failed = [each for each in read["samples"] if each["error"]]
    if failed:
        named = [f"{each['id']}: {words.shorten(' '.join(each['error'].split()), 200)}" for each in failed[:_NAMED]]
        more = f" (and {len(failed) - _NAMED} more)" if len(failed) > _NAMED else ""
        found.append(f"{len(failed)} of {_asked(read)} samples failed: {'; '.join(named)}{more}")
    done = sum(not each["error"] for each in read["samples"])
    if done + len(failed) < _asked(read) or not _asked(read):
        found.append(f"{done} of {_asked(read)} samples are done")
    if read["status"] != "success" and not found:
        why = f": {words.shorten(' '.join(read['error'].split()), 300)}" if read["error"] else ""
        found.append(f"the run ended as {read['status']}{why}")
    return found


def _asked(read: Mapping[str, Any]) -> int:
    return read["asked"] or len(read["samples"])


def score(read: Mapping[str, Any]) -> tuple[str, scores.Score]:
    """Return the scorer's name and the score. FleetError where samples have no score that is a share."""
    names = list(dict.fromkeys(name for each in read["samples"] for name in each["scores"]))
    for name in names:
        values = [(each["id"], _number(each["scores"].get(name))) for each in read["samples"]]
        if all(value is not None and 0 <= value <= 1 for _task, value in values):
            return name, scores.score(values)
    told = ", ".join(f"{each['scorer']} {each['metric']} {each['value']}" for each in read["reported"]) or "nothing"
    raise FleetError(
        f"{read['task']} gives its samples no score between 0 and 1, which an interval could be told of. "
        f"What the harness reports: {told}."
    )


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        value = _LETTERS.get(value, value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def tokens(samples: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int] | None]:
    """Return the tokens of all samples, of the model and of the one that played the user; None where there is none."""
    found: dict[str, dict[str, int] | None] = {"model": None, "user": None}
    for each in samples:
        for who, used in each["tokens"].items():
            total = found[who] or dict.fromkeys(_TOKENS, 0)
            found[who] = {name: total[name] + used[name] for name in _TOKENS}
    return found


def build(
    *,
    plan: Plan,
    read: Mapping[str, Any],
    run_id: str,
    host: str,
    client_host: str,
    started_at: str,
    finished_at: str,
    argv: Sequence[str],
    simulated: Mapping[str, bool],
    continued: int = 0,
    model: str | None = None,
    revision: str | None = None,
    engine: Mapping[str, Any] | None = None,
    hardware: Mapping[str, Any] | None = None,
    label: str | None = None,
) -> dict[str, Any]:
    """Return the document of an evaluation, without gates, which the control host adds.

    *simulated* tells of C(model) and C(user) whether each says of itself that no model answers. *continued* is how
    often the run was interrupted before. No key gets into the document.
    """
    scorer, found = score(read)
    engine, hardware = engine or {}, hardware or {}
    itself = plan.user is not None and _same(plan.user, plan.endpoint)
    limited = [each for each in read["samples"] if each["limit"]]
    warnings = []
    if itself:
        warnings.append("The model plays the user itself: such a score is compared with no other user's.")
    if limited:
        kinds = ", ".join(sorted({each["limit"] for each in limited}))
        warnings.append(f"{len(limited)} of {_asked(read)} samples were cut off by a limit ({kinds}).")
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "evaluation",
        "run_id": run_id,
        "host": host,
        "label": label,
        "started_at": started_at,
        "finished_at": finished_at,
        "simulated": any(simulated.values()),
        "hardware": {"profile": hardware.get("profile") or "unknown"},
        "engine": {
            "name": engine.get("engine") or "unknown",
            "version": engine.get("version"),
            "profile": engine.get("profile"),
            "url": plan.endpoint.url,
            "image": {key: (engine.get("image") or {}).get(key) for key in ("reference", "digest", "id")},
            "argv": list(engine.get("argv") or ()),
            "environment": without_secrets(engine.get("environment") or {}),
        },
        "model": {"id": model, "revision": revision, "served_model_name": plan.endpoint.served_model_name},
        "benchmark": {
            "name": plan.suite.name,
            "task": read["task"],
            "task_version": read["task_version"],
            "dataset": read["dataset"]["name"],
            "dataset_samples": read["dataset"]["samples"],
            "data": plan.suite.data,
            "limit": plan.limit or None,
            "trials": plan.trials,
            "seed": plan.seed,
            "message_limit": plan.message_limit,
            "args": plan.task_args(),
            "extra_args": list(plan.extra_args),
        },
        "user": {"model": plan.user.served_model_name, "url": plan.user.url, "itself": itself} if plan.user else None,
        "client": {
            "name": plan.suite.harness,
            "packages": dict(read["packages"]),
            "host": client_host,
            "argv": list(argv),
            "image": plan.image if plan.suite.runs_code else None,
            "concurrency": plan.concurrency,
        },
        "continued": continued,
        "asked": _asked(read),
        "done": len(read["samples"]),
        "score": {"scorer": scorer, **found.as_dict()},
        "reported": [dict(each) for each in read["reported"]],
        "tokens": tokens(read["samples"]),
        "samples": [
            {
                "id": each["id"],
                "trial": each["trial"],
                "score": _number(each["scores"][scorer]),
                "limit": each["limit"],
                "seconds": each["seconds"],
            }
            for each in sorted(read["samples"], key=lambda each: (each["id"], each["trial"]))
        ],
        "quality": {"warnings": warnings},
        "gates": [],
    }
    keys = [each.api_key for each in (plan.endpoint, plan.user) if each and each.api_key]
    return redact(document, keys)


def _same(user: Endpoint, endpoint: Endpoint) -> bool:
    return (user.url, user.served_model_name) == (endpoint.url, endpoint.served_model_name)
