# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An evaluation of a host that is benchmarked, or of an engine that serves others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import load
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.claim import EVALUATION, claimed
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress
from ansible_collections.inference.fleet.plugins.modules import evaluation


def evaluate(simulator: Any, folder: Path, **changes: Any) -> dict[str, Any]:
    """Evaluate with no harness: what comes so far is not skipped."""
    given = {name: option.get("default") for name, option in evaluation.SPEC.items()}
    given |= {"url": f"http://127.0.0.1:{simulator.port}", "venv": str(folder / "venv"), "run_host": "here"}
    given |= {"work_dir": str(folder / "work"), "lock_dir": str(folder / "lock"), **changes}
    return evaluation.evaluate(given, False)


@pytest.mark.parametrize("what", ["benchmark", EVALUATION])
def test_a_host_that_is_measured_is_left_out_or_fails(simulator: Any, tmp_path: Path, what: str) -> None:
    (tmp_path / "lock").mkdir()
    with claimed(tmp_path / "lock", "http://127.0.0.1:1", "theirs", Progress(), what=what):
        found = evaluate(simulator, tmp_path, busy="skip")
        assert (found["changed"], found["skipped"]) == (False, True)
        assert f"another {what} of http://127.0.0.1:{simulator.port} is under way (theirs)" in found["skip_reason"]
        for busy in ("share", "fail"):
            with pytest.raises(FleetError, match=rf"another {what} of .* is under way"):
                evaluate(simulator, tmp_path, busy=busy)
    with pytest.raises(FleetError, match="there is no inspect"):
        evaluate(simulator, tmp_path, busy="skip")


def test_an_engine_that_serves_others_is_shared_unless_something_else_is_said(
    start: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_SETTLING", 0.0)
    (tmp_path / "script.json").write_text(json.dumps([{"when": "on and on", "turns": [{"text": "#" * 3_000_000}]}]))
    with start("--script", str(tmp_path / "script.json"), "--max-model-len", "8000000") as simulator:
        connection = simulator.connect()
        body = {"model": "qwen3-coder-next", "messages": [{"role": "user", "content": "on and on"}], "stream": True}
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        assert connection.getresponse().status == 200
        found = evaluate(simulator, tmp_path, busy="skip")
        assert "found 1 requests running and 0 waiting" in found["skip_reason"]
        with pytest.raises(FleetError, match="somebody else uses it"):
            evaluate(simulator, tmp_path, busy="fail")
        with pytest.raises(FleetError, match="there is no inspect"):
            evaluate(simulator, tmp_path)
        connection.close()
