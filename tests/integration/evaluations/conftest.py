# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The harness in its environment, and simulators that play a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.endpoint import conftest as fakes

ROOT = Path(__file__).resolve().parents[3]
KEY = "a-secret-4711"
simulator = fakes.simulator


@pytest.fixture(scope="session")
def venv() -> Path:
    """Return the environment that the rig made with the role."""
    path = ROOT / ".build/venvs/evaluation"
    if not (path / "bin/inspect").exists():
        pytest.skip("no inspect-evals: ansible-playbook tests/rigs/inspect_evals.yml makes .build/venvs/evaluation")
    return path


@pytest.fixture
def plays(simulator: Callable[..., str], tmp_path: Path) -> Callable[..., str]:
    """Start a simulator that plays a script, behind a key; return its URL."""

    def start(script: list[dict], *arguments: str) -> str:
        (tmp_path / "script.json").write_text(json.dumps(script))
        (tmp_path / "api_key").write_text(KEY)
        return simulator(
            *("--script", str(tmp_path / "script.json"), "--api-key-file", str(tmp_path / "api_key"), *arguments)
        )

    return start
