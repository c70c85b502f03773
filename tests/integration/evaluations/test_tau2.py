# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""evaluate.yml as it is typed: tau2_retail's own tasks, tools and database, with an agent and a user by a script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.modules import evaluation

from .conftest import KEY, ROOT, fakes

# Which of the tasks the agent does not do, though it says so.
IDLE = 3


def tasks(venv: Path) -> list[dict[str, Any]]:
    """Return the five shortest of the tasks that change the database."""
    (file,) = venv.glob("lib/python3*/site-packages/inspect_evals/tau2/data/domains/retail/tasks.json")
    changing = ("exchange_", "return_", "cancel_", "modify_")
    found = [
        task
        for task in json.loads(file.read_text(encoding="utf-8"))
        if any(action["name"].startswith(changing) for action in task["evaluation_criteria"]["actions"])
    ]
    return sorted(found, key=lambda task: len(task["evaluation_criteria"]["actions"]))[:5]


def script(of: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts of the users, each known by its scenario, and those of the agent, by what the user then says."""
    users, agents = [], []
    for number, task in enumerate(of):
        said, criteria = f"I am customer {number} of five.", task["evaluation_criteria"]
        scenario = task["user_scenario"]["instructions"]["reason_for_call"]
        users.append({"when": scenario, "turns": [{"text": said}, {"text": "###STOP###"}]})
        calls = [{"calls": [{"tool": each["name"], "arguments": each["arguments"]}]} for each in criteria["actions"]]
        last = {"text": f"Done: {', '.join(criteria['communicate_info'] or [])}."}
        agents.append({"when": said, "turns": [last] if number == IDLE else [*calls, last]})
    return [*users, *agents]


def test_a_request_that_failed_is_no_wrong_answer_though_the_task_went_on(
    plays: Callable[..., str], venv: Path, tmp_path: Path
) -> None:
    """The task catches what goes wrong and scores the silence: what it reports then is a figure, and no score."""
    users = [{"when": "<scenario>", "turns": [{"text": "I am a customer."}, {"text": "###STOP###"}]}]
    url = plays([*users, {"when": "I am a customer.", "turns": [{"refuse": "a thing is broken"}]}])
    given = {name: option.get("default") for name, option in evaluation.SPEC.items()}
    given |= {"limit": 1, "message_limit": 2, "url": url, "served_model_name": fakes.MODEL, "api_key": KEY}
    given |= {"venv": str(venv), "work_dir": str(tmp_path / "work"), "run_host": "here"}
    with pytest.raises(
        FleetError, match=r"is no score: 1 of 1 samples failed: 0: a request to the model failed: .*broken"
    ):
        evaluation.evaluate(given, False)


def evaluate(folder: Path, url: str, venv: Path, **variables: Any) -> subprocess.CompletedProcess[str]:
    given = {
        "ansible_python_interpreter": sys.executable, "ansible_become": False, "fleet_dir": str(folder),
        "fleet_hosts": "here", "evaluation_url": url, "evaluation_model": "Some/Model", "evaluation_venv": str(venv),
        "evaluation_served_model_name": fakes.MODEL, "evaluation_api_key": KEY, "evaluation_container_name": "",
        "evaluation_work_dir": str(folder / "work"), **variables,
    }  # fmt: skip
    command = [sys.executable, "-m", "ansible", "playbook", "inference.fleet.evaluate", "-i", "here,", "-c", "local"]
    environment = {
        **os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
    }  # fmt: skip
    return subprocess.run(
        [*command, "-e", json.dumps(given)], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


def test_an_agent_that_uses_its_tools_scores_by_what_became_of_the_database(
    plays: Callable[..., str], venv: Path, tmp_path: Path
) -> None:
    of = tasks(venv)
    (tmp_path / "tasks.json").write_text(json.dumps(of))
    gate = {"condition": "score.low >= `0.5`", "message": "too few to tell"}
    done = evaluate(
        tmp_path,
        plays(script(of)),
        venv,
        evaluation_limit=5,
        evaluation_message_limit=10,
        evaluation_args={"tasks_file_override": str(tmp_path / "tasks.json")},
        evaluation_gates=[gate],
    )
    said = " ".join((done.stdout + done.stderr).split())
    # The document is kept, and then a gate that it does not meet fails the play.
    assert done.returncode == 2, said
    assert "1 of 1 gates not met: too few to tell" in said
    assert "samples" in said
    assert KEY not in said
    (path,) = (tmp_path / "results/evaluation").glob("*.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    assert {each["id"]: each["score"] for each in document["samples"]} == {
        task["id"]: float(number != IDLE) for number, task in enumerate(of)
    }
    assert (document["score"]["value"], document["asked"], document["done"]) == (0.8, 5, 5)
    assert document["simulated"] is True
    assert document["client"]["packages"]["inspect-evals"] == "0.26.0"
    assert document["tokens"]["model"]["output"] > document["tokens"]["user"]["output"] > 0
    # The log is beside it, and nothing is left where it ran.
    log = path.with_suffix(".eval")
    assert log.stat().st_size == document["log"]["bytes"]
    assert [each.name for each in (tmp_path / "work").iterdir() if not each.name.startswith(".")] == []
    for file in (path, log):
        assert KEY.encode() not in file.read_bytes()
