# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a log has, as the program of the harness's Python prints it, and plans."""

from __future__ import annotations

from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.evaluations import document, suites
from ansible_collections.inference.fleet.plugins.module_utils.evaluations.command import Endpoint, Plan

KEY, USER_KEY = "a-secret-4711", "another-secret-4712"
USED = {"input": 1000, "output": 50, "cached": 0, "reasoning": 0}


def plan(benchmark: str = "tau2_retail", **changes: Any) -> Plan:
    suite = suites.suite(benchmark)
    user = Endpoint("http://gpu2:8000", "a-user", USER_KEY) if suite.has_user else None
    return Plan(**{"suite": suite, "endpoint": Endpoint("http://gpu1:8000", "a-model", KEY), "user": user, **changes})


def sample(name: str, value: Any, **changes: Any) -> dict[str, Any]:
    tokens = {"model": dict(USED), "user": {**USED, "output": 5}}
    scored = {"scores": {"retail_scorer": value}, "error": None, "limit": None, "seconds": 3.5, "tokens": tokens}
    return {"id": name, "trial": 1, **scored, **changes}


def read(*samples: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "status": "success",
        "error": None,
        "task": "inspect_evals/tau2_retail",
        "task_version": "4",
        "dataset": {"name": "tasks", "samples": 114},
        "packages": {"inspect-ai": "0.3.285", "inspect-evals": "0.26.0"},
        "asked": len(samples),
        "reported": [{"scorer": "retail_scorer", "metric": "accuracy", "value": 0.5}],
        "samples": list(samples),
        "marked": [],
        **changes,
    }


def made(right: int = 4, wrong: int = 1, day: int = 1, host: str = "gpu1", **changes: Any) -> dict[str, Any]:
    """Return the document of an evaluation with so many samples right and so many wrong."""
    samples = [sample(str(number), "C" if number < right else "I") for number in range(right + wrong)]
    found = document.build(
        plan=changes.pop("plan", None) or plan(),
        read=read(*samples),
        run_id=f"202611{day:02}T120000Z-{host}-00000{day % 10}",
        host=host,
        client_host="control",
        started_at=f"2026-11-{day:02}T12:00:00Z",
        finished_at=f"2026-11-{day:02}T12:30:00Z",
        argv=["inspect", "eval"],
        simulated={"model": False, "user": False},
        model="Some/Model",
    )
    return {**found, "log": {"file": "a.eval", "bytes": 3, "sha256": "0" * 64}, **changes}
