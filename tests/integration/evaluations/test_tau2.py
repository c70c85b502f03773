# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tau2_retail's own tasks, tools and database, with an agent and a user by a script; evaluate.yml as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ssh_host import SshHost

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.modules import evaluation
from ansible_collections.inference.fleet.tests.patience import until

from .conftest import KEY, ROOT, fakes

# Which of the tasks the agent does not do, though it says so.
IDLE = 3
# The last one's first answer is one that nobody sees the end of.
ENDLESS = 4
USER_KEY = "a-user-secret-0815"
# All that a log has. It is compressed in a way that this Python need not know.
UNPACKED = """
import sys, zipfile_zstd, zipfile
log = zipfile.ZipFile(sys.argv[1])
for name in log.namelist():
    sys.stdout.buffer.write(log.read(name))
"""


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


def said(number: int) -> str:
    return f"I am customer {number} of five."


def users(of: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts of the users, each known by its scenario."""
    return [
        {
            "when": task["user_scenario"]["instructions"]["reason_for_call"],
            "turns": [{"text": said(number)}, {"text": "###STOP###"}],
        }
        for number, task in enumerate(of)
    ]


def agents(of: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts of the agent, each known by what its user says."""
    found = []
    for number, task in enumerate(of):
        criteria = task["evaluation_criteria"]
        calls = [{"calls": [{"tool": each["name"], "arguments": each["arguments"]}]} for each in criteria["actions"]]
        last = {"text": f"Done: {', '.join(criteria['communicate_info'] or [])}."}
        found.append({"when": said(number), "turns": [last] if number == IDLE else [*calls, last]})
    return found


def test_a_request_that_failed_is_no_wrong_answer_though_the_task_went_on(
    plays: Callable[..., str], venv: Path, tmp_path: Path
) -> None:
    """The task catches what goes wrong and scores the silence: what it reports then is a figure, and no score."""
    customer = {"when": "<scenario>", "turns": [{"text": "I am a customer."}, {"text": "###STOP###"}]}
    url = plays([customer, {"when": "I am a customer.", "turns": [{"refuse": "a thing is broken"}]}])
    given = {name: option.get("default") for name, option in evaluation.SPEC.items()}
    given |= {"limit": 1, "message_limit": 2, "url": url, "served_model_name": fakes.MODEL, "api_key": KEY}
    given |= {"venv": str(venv), "work_dir": str(tmp_path / "work"), "run_host": "here"}
    given["lock_dir"] = str(tmp_path / "lock")
    with pytest.raises(
        FleetError, match=r"is no score: 1 of 1 samples failed: 0: a request to the model failed: .*broken"
    ):
        evaluation.evaluate(given, False)


class Play:
    """evaluate.yml as it is typed, of an endpoint that another host evaluates over SSH."""

    def __init__(self, folder: Path, evaluator: SshHost, variables: dict[str, Any]) -> None:
        self.folder = folder
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {"here": {**here, "ansible_become": False}, "evaluator": evaluator.variables}
        (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        # Keys are in no command line of the control host either.
        (folder / "variables.json").write_text(
            json.dumps({"fleet_dir": str(folder), "fleet_hosts": "here", **variables})
        )

    def start(self, log: str) -> subprocess.Popen[bytes]:
        """Begin, in a process group as a terminal gives it one."""
        command = [sys.executable, "-m", "ansible", "playbook", "inference.fleet.evaluate", "-i", "hosts.json"]
        environment = {
            **os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"), "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        with (self.folder / log).open("wb") as stream:
            return subprocess.Popen(
                [*command, "-l", "here", "-e", "@variables.json"],
                env=environment, cwd=self.folder, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip

    def said(self, log: str) -> str:
        """Return what it printed, in one line."""
        return " ".join((self.folder / log).read_text().split())


def command_lines() -> dict[int, str]:
    """Return the arguments of every process."""
    found = {}
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found[int(each.parent.name)] = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def test_another_host_evaluates_and_a_run_that_is_interrupted_goes_on(
    plays: Callable[..., str],
    simulator: Any,
    venv: Path,
    ssh_host: SshHost,
    free_port: int,
    tmp_path: Path,
) -> None:
    of = tasks(venv)
    (tmp_path / "tasks.json").write_text(json.dumps(of))
    work = tmp_path / "work"
    port = ("--port", str(free_port), "--max-model-len", "8000000")
    turns = agents(of)
    url = plays([*turns[:ENDLESS], {"when": said(ENDLESS), "turns": [{"text": "#" * 3_000_000}]}], *port)
    agent = simulator.running[-1]
    play = Play(
        tmp_path,
        ssh_host,
        {
            "evaluation_host": "evaluator",
            "evaluation_url": url,
            "evaluation_model": "Some/Model",
            "evaluation_served_model_name": fakes.MODEL,
            "evaluation_api_key": KEY,
            "evaluation_container_name": "",
            # The user is another model, behind a key of its own.
            "evaluation_user_url": plays(users(of), "--served-model-name", "a-user", key=USER_KEY),
            "evaluation_user_model": "a-user",
            "evaluation_user_api_key": USER_KEY,
            "evaluation_venv": str(venv),
            "evaluation_work_dir": str(work),
            # The lock, which benchmarks of this machine's own engines have too.
            "benchmark_work_dir": str(tmp_path / "lock"),
            "evaluation_limit": 5,
            "evaluation_message_limit": 10,
            "evaluation_args": {"tasks_file_override": str(tmp_path / "tasks.json")},
            "evaluation_gates": [{"condition": "score.low >= `0.5`", "message": "too few to tell"}],
        },
    )
    first = play.start("first.log")
    until(lambda: first.poll() is not None or "4 of 5 samples" in play.said("first.log"), "four customers served")
    assert first.poll() is None, play.said("first.log")
    seen = command_lines()
    assert any(f"{venv}/bin/inspect" in each for each in seen.values())
    assert [each for each in seen.values() if KEY in each or USER_KEY in each] == []

    os.killpg(first.pid, signal.SIGINT)
    assert first.wait() != 0
    # Nothing is left running on the host that evaluated, and nothing is lost.
    until(lambda: not any(str(work) in each for each in command_lines().values()), "an end of the harness")
    assert not (tmp_path / "results/evaluation").exists() or not list((tmp_path / "results/evaluation").iterdir())

    # An engine that knows nothing of those who were served: they are not asked for again.
    agent.kill()
    agent.wait()
    refused = [{"when": said(number), "turns": [{"refuse": "served before"}]} for number in range(ENDLESS)]
    assert plays([*refused, turns[ENDLESS]], *port) == url
    second = play.start("second.log")
    second.wait()
    told = play.said("second.log")
    # The document is kept, and then a gate that it does not meet fails the play.
    assert second.returncode == 2, told
    assert "going on with an earlier run: 4 of 5 samples done" in told
    assert "1 of 1 gates not met: too few to tell" in told
    assert "5 of 5 samples" in told
    (path,) = (tmp_path / "results/evaluation").glob("*.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    assert {each["id"]: each["score"] for each in document["samples"]} == {
        task["id"]: float(number != IDLE) for number, task in enumerate(of)
    }
    assert (document["score"]["value"], document["asked"], document["done"], document["continued"]) == (0.8, 5, 5, 1)
    assert (document["host"], document["client"]["host"]) == ("here", "evaluator")
    assert document["simulated"] is True
    assert (document["user"]["model"], document["user"]["itself"]) == ("a-user", False)
    assert document["client"]["packages"]["inspect-evals"] == "0.26.0"
    assert document["tokens"]["model"]["output"] > document["tokens"]["user"]["output"] > 0
    # The log is beside it, and nothing is left where it ran.
    log = path.with_suffix(".eval")
    assert log.stat().st_size == document["log"]["bytes"]
    assert [each.name for each in work.iterdir() if not each.name.startswith(".")] == []
    unpacked = subprocess.run([str(venv / "bin/python"), "-c", UNPACKED, str(log)], capture_output=True, check=True)
    assert said(ENDLESS).encode() in unpacked.stdout
    for text in (path.read_bytes(), unpacked.stdout, play.said("first.log").encode(), told.encode()):
        assert KEY.encode() not in text
        assert USER_KEY.encode() not in text
