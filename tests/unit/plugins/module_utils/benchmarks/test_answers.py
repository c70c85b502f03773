# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an engine says what is right: a server that does, one that does not, and one that stops doing so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import CLIENTS, answers, runner, session
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.plan import Plan
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

MODEL = "qwen3-coder-next"
# By what stands in the prompt, what a model of some worth says, each in a manner of its own.
KNOWN = {
    "Repeat exactly": "amber-7319-kestrel",
    "Which word were you": "The word is **tundra-4406**.",
    "2718 + 1465": "2718 + 1465 = 4,183",
    "17 * 24": "<think>17 * 24 = 17 * 20 + 68 = 409? No.</think>408",
    "1000 - 357": "643",
    "JSON object": '```json\n{"count": 8, "name": "gpu"}\n```',
    "JSON array": "[1,2,3]",
}
CALL = {"function": {"name": "get_weather", "arguments": '{"city": "Paris, France"}'}}


def knowing(body: dict[str, Any]) -> dict[str, Any]:
    """Answer as a model that works."""
    prompt = body["messages"][0]["content"]
    if "weather" in prompt:
        return {"content": None, "tool_calls": [CALL]}
    return {"content": next(text for part, text in KNOWN.items() if part in prompt)}


def garbled(body: dict[str, Any]) -> dict[str, Any]:
    """Answer as an engine whose kernels or caches are broken."""
    return {"content": "!!!!!!!!"}


def endpoint(url: str) -> Endpoint:
    return Endpoint(url, "m", MODEL, "t")


def score(serve: Callable, reply: Callable, **options: Any) -> answers.Score:
    server = serve(**options)
    server.reply = reply
    return answers.ask(endpoint(server.url), None)


class TestScore:
    def test_a_model_that_works(self, serve: Callable) -> None:
        found = score(serve, knowing)
        assert (found.asked, found.right, found.wrong) == (8, 8, ())

    def test_an_engine_that_says_nonsense(self, serve: Callable) -> None:
        found = score(serve, garbled)
        assert found.right == 0
        assert found.wrong[0] == {"name": "echo", "wanted": "amber-7319-kestrel", "found": "!!!!!!!!"}
        with pytest.raises(
            FleetError, match="before the benchmark the engine answered 0 of 8 questions right, and 75%"
        ):
            answers.require(found, 0.75, "before")

    @pytest.mark.parametrize(
        ("part", "text"),
        [
            ("2718", "4182"),
            ("2718", "It is 4183, or 4184"),
            ("JSON object", '{"name": "gpu", "count": "8"}'),
            ("JSON array", "[1, 2, 3"),
            ("JSON array", "[1, 2]"),
            ("Repeat", "amber-7319-kestre"),
            ("17 *", "<think>It is 408</think>"),
        ],
    )
    def test_nearly_right_is_wrong(self, serve: Callable, part: str, text: str) -> None:
        def reply(body: dict[str, Any]) -> dict[str, Any]:
            return {"content": text} if part in body["messages"][0]["content"] else knowing(body)

        assert score(serve, reply).right == 7

    @pytest.mark.parametrize(
        "call",
        [
            {"function": {"name": "get_time", "arguments": '{"city": "Paris"}'}},
            {"function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}},
            {"function": {"name": "get_weather", "arguments": '{"city": '}},
            {"function": None},
        ],
    )
    def test_a_wrong_call_is_wrong(self, serve: Callable, call: dict[str, Any]) -> None:
        def reply(body: dict[str, Any]) -> dict[str, Any]:
            return {"content": None, "tool_calls": [call]} if body.get("tools") else knowing(body)

        found = score(serve, reply)
        assert [item["name"] for item in found.wrong] == ["tool call"]

    def test_the_questions_fit_a_short_context(self, serve: Callable) -> None:
        server = serve(max_model_len=1024)
        server.reply = knowing
        answers.ask(endpoint(server.url), None)
        for body in server.requests:
            # A word is a token and a bit.
            assert len(body["messages"][0]["content"].split()) * 1.3 + body["max_tokens"] < 1024

    def test_an_engine_that_is_not_there(self) -> None:
        with pytest.raises(FleetError, match="wanted to ask questions of the engine"):
            answers.ask(endpoint("http://127.0.0.1:9"), None)

    def test_a_simulator_says_so(self, serve: Callable) -> None:
        server = serve()
        assert not answers.simulated(endpoint(server.url), None)
        server.simulated = True
        assert answers.simulated(endpoint(server.url), None)


class TestRun:
    SMALL = Workload(input_length=64, output_length=8, num_prompts=6, max_concurrency=3)

    def run(self, server: Any, tmp_path: Path, **options: Any) -> session.Measured:
        fixture = Path(__file__).parent / "fixtures" / "vllm" / "result.json"
        raw = json.loads(fixture.read_text(encoding="utf-8"))
        client = tmp_path / "client"
        raw |= {"total_input_tokens": 6 * 64, "total_output_tokens": 48, "input_lens": [64] * 6, "output_lens": [8] * 6}
        (tmp_path / "raw.json").write_text(json.dumps(raw), encoding="utf-8")
        client.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncp {tmp_path}/raw.json result.json\n", encoding="utf-8")
        client.chmod(0o755)
        plan = Plan(CLIENTS["vllm"], endpoint(server.url), self.SMALL, repeats=1, warmup=False, timeout=60, **options)
        return session.run(plan, runner.ProcessRunner(str(client)), tmp_path / "work", Progress())

    def test_the_score_is_told_before_and_after(self, serve: Callable, tmp_path: Path) -> None:
        server = serve()
        server.reply = knowing
        told = self.run(server, tmp_path).answers
        assert told == {
            "applicable": True,
            "reason": None,
            "wanted_share": 0.75,
            "before": {"asked": 8, "right": 8, "wrong": []},
            "after": {"asked": 8, "right": 8, "wrong": []},
        }

    def test_a_wrong_engine_is_not_measured(self, serve: Callable, tmp_path: Path) -> None:
        server = serve()
        server.reply = garbled
        with pytest.raises(FleetError, match="before the benchmark the engine answered 0 of 8"):
            self.run(server, tmp_path)
        assert not (tmp_path / "ran").exists()

    def test_an_engine_that_went_wrong_meanwhile_has_no_result(self, serve: Callable, tmp_path: Path) -> None:
        server = serve()

        def reply(body: Any) -> Any:
            return garbled(body) if (tmp_path / "ran").exists() else knowing(body)

        server.reply = reply
        with pytest.raises(
            FleetError, match=r"after the benchmark the engine answered 0 of 8 .* The raw output is kept"
        ):
            self.run(server, tmp_path)
        assert (tmp_path / "work" / "point-1" / "repeat-1" / "result.json").exists()

    def test_a_user_may_say_that_no_answer_is_right(self, serve: Callable, tmp_path: Path) -> None:
        server = serve()
        server.reply = garbled
        told = self.run(server, tmp_path, check_answers=False).answers
        assert (told["applicable"], told["reason"], told["before"]) == (False, "said by the user", None)
        assert server.requests == []

    def test_a_simulator_is_not_asked_and_its_run_is_marked(self, serve: Callable, tmp_path: Path) -> None:
        server = serve()
        server.simulated = True
        measured = self.run(server, tmp_path)
        assert measured.simulated
        assert measured.answers["reason"] == "no model answers: the endpoint is a simulator"
        assert server.requests == []
