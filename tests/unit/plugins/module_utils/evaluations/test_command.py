# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines, and what makes two runs one."""

from __future__ import annotations

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import command, run, suites

from .made import KEY, USER_KEY, plan


def test_tau2_has_the_users_model_and_no_key_in_its_command_line() -> None:
    asked = plan(limit=5, trials=3, seed=7, message_limit=30, concurrency=4, args={"shuffle": True})
    argv = command.start(asked, "/w/logs", "/v/bin")
    line = " ".join(argv)
    assert line.startswith("/v/bin/inspect eval inspect_evals/tau2_retail --model openai-api/fleet/a-model")
    for words in (
        *("--model-role user=openai-api/user/a-user", "--limit 5", "--epochs 3", "--seed 7", "-T message_limit=30"),
        *("-T shuffle=true", "--max-samples 4", "--log-dir /w/logs", "--log-buffer 1", "--continue-on-fail"),
    ):
        assert words in line
    # The task's own limit counts turns; the harness's would cut a sample off.
    assert "--message-limit" not in line
    assert "shuffle=false" not in line
    variables = command.environment(asked, "/w", "unix:///d")
    assert variables["FLEET_BASE_URL"] == "http://gpu1:8000/v1"
    assert (variables["FLEET_API_KEY"], variables["USER_API_KEY"]) == (KEY, USER_KEY)
    for text in (line, str(asked), str(asked.as_dict())):
        assert KEY not in text
        assert USER_KEY not in text


def test_a_run_is_gone_on_with_from_its_log() -> None:
    argv = command.again(plan(concurrency=4), "/w/logs/a.eval", "/w/logs", "/v/bin")
    assert argv[:3] == ["/v/bin/inspect", "eval-retry", "/w/logs/a.eval"]
    # What it does not take.
    assert not {"--retry-on-error", "--limit", "-T", "--model"} & set(argv)


def test_openbench_has_the_pages_command_line() -> None:
    asked = plan("openbench/tau_bench_retail", limit=10)
    line = " ".join(command.start(asked, "/w/logs", "/v/bin"))
    # The page has -M base_url=, which openbench 0.5.3 answers with "got multiple values for keyword argument".
    assert line.startswith(
        "/v/bin/bench eval tau_bench_retail --model openai/a-model --model-base-url http://gpu1:8000/v1 "
        "-T user_model=openai-api/user/a-user --alpha --limit 10"
    )
    # By itself it asks an endpoint that is gone for ever, and ends with the first sample that fails.
    common = "--max-connections 8 --log-buffer 1 --retry-on-error 1 --max-retries 5 --timeout 1800 --no-fail-on-error"
    assert common in line
    again = " ".join(command.again(asked, "/w/logs/a.eval", "/w/logs", "/v/bin"))
    assert again == f"/v/bin/bench eval-retry /w/logs/a.eval --log-dir /w/logs {common}"
    variables = command.environment(asked, "/w", "")
    assert variables["OPENAI_API_KEY"] == KEY
    assert (variables["USER_BASE_URL"], variables["USER_API_KEY"]) == ("http://gpu2:8000/v1", USER_KEY)
    assert not [each for each in (KEY, USER_KEY) if each in line + again]


def test_what_the_model_writes_is_run_by_the_daemon_that_is_named() -> None:
    asked = plan("human_eval", image="python:3.12-slim")
    assert command.start(asked, "/w/logs", "/v/bin")[2] == "/w/human_eval_task.py@human_eval"
    variables = command.environment(asked, "/w", "unix:///run/another.sock")
    assert (variables["DOCKER_HOST"], variables["FLEET_SANDBOX_IMAGE"]) == (
        "unix:///run/another.sock",
        "python:3.12-slim",
    )
    assert "DOCKER_HOST" not in command.environment(plan(), "/w", "unix:///run/another.sock")


@pytest.mark.parametrize("change", [{"limit": 3}, {"trials": 2}, {"args": {"a": 1}}, {"seed": 1}, {"message_limit": 9}])
def test_another_question_is_another_run(change: dict) -> None:
    assert plan(**change).place(None) != plan().place(None)


def test_another_container_is_another_run_and_more_at_a_time_is_not() -> None:
    assert plan().place(["image-1"]) != plan().place(["image-2"])
    assert plan(concurrency=2).place(None) == plan(concurrency=9).place(None)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"limit": -1}, "limit: wanted 0 or more"), ({"trials": 0}, "trials"), ({"message_limit": 1}, "message_limit")],
)
def test_what_cannot_be_asked_is_refused(change: dict, told: str) -> None:
    with pytest.raises(FleetError, match=told):
        plan(**change)


def test_other_benchmarks_go_by_their_names() -> None:
    assert suites.suite("inspect_evals/tau2-airline") == suites.suite("tau2_airline")
    assert command.start(plan("inspect_evals/gsm8k"), "/w", "/v")[2] == "inspect_evals/gsm8k"
    for wrong in ("tau3", "inspect_evals/", "inspect_evals/../x", "gsm8k", "other/x"):
        with pytest.raises(FleetError, match="Wanted tau2_retail, tau2_airline, human_eval"):
            suites.suite(wrong)


def test_progress_is_in_samples() -> None:
    said = "a | Steps:   4/5  80% | Samples:   3/  5 | accuracy: 0.67\na | Samples: 114/ 114 | x"
    assert run.progress(said) == (114, 114)
    assert run.progress("Running 1 tasks...") is None
