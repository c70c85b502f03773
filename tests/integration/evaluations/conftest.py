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

    def start(script: list[dict], *arguments: str, key: str = KEY) -> str:
        # A simulator reads its keys again and again.
        folder = tmp_path / f"endpoint-{len(simulator.running)}"
        folder.mkdir()
        (folder / "script.json").write_text(json.dumps(script))
        (folder / "api_key").write_text(key)
        return simulator(
            *("--script", str(folder / "script.json"), "--api-key-file", str(folder / "api_key"), *arguments)
        )

    return start
