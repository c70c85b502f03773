# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The levels against the simulator: all green where it is right, and each check red where it is wrong on purpose."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import checks, levels
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import Target, run_checks
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import GenerationClient
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.junit import junit
from ansible_collections.inference.fleet.plugins.module_utils.simulator.faults import FAULTS

from .conftest import MODEL, Reply

KEY = "a-secret-4711"
CLAUDE = {name for name in levels.CHECKS if name.startswith("claude_")}
# What each fault of the simulator has to fail, and no more.
SEEN = {
    "other-name": {"model", "context_length", "needle_start", "needle_middle", "needle_end"},
    "one-chunk": {"stream", "messages_stream", "response_stream"},
    "broken-stream": {name for name in levels.CHECKS if "stream" in name}
    | {"claude_request", "claude_parallel_tool_calls"},
    "no-parser": {name for name in levels.CHECKS if "tool_call" in name and not name.startswith("no_")}
    | {"tool_choice_required"},
    "wrong-json": {name for name in levels.CHECKS if "tool_call" in name and not name.startswith("no_")}
    | {"tool_choice_required", "json_schema", "streamed_json_schema", "response_json_schema"},
    "wrong-schema": {name for name in levels.CHECKS if "tool_call" in name and not name.startswith("no_")}
    | {"tool_choice_required", "json_schema", "streamed_json_schema", "response_json_schema"},
    "one-call": {name for name in levels.CHECKS if "parallel" in name},
    "merged-calls": {name for name in levels.CHECKS if "streamed_parallel" in name} | {"claude_parallel_tool_calls"},
    "eager": {"tool_choice_none", "no_tool_call", "tool_result", "messages_tool_result", "response_tool_result"},
    "deaf": {"tool_result", "messages_tool_result", "response_tool_result"},
    "forgetful": {"needle_start", "needle_middle", "needle_end"},
    "short-context": {"context_length", "needle_start", "needle_middle", "needle_end"},
    "no-messages": {name for name in levels.CHECKS if name.startswith("messages")} | CLAUDE | {"x_api_key"},
    "no-count": {"count_tokens"},
    "no-system-turns": {
        "claude_system_turn", "claude_trailing_system_turn", "claude_request", "claude_parallel_tool_calls"
    },
    "no-thinking": {"claude_adaptive_thinking", "claude_effort", "claude_request", "claude_parallel_tool_calls"},
    "no-deferred-tools": {"claude_deferred_tools", "claude_request", "claude_parallel_tool_calls"},
    "bearer-only": {"x_api_key"},
    "no-responses": {name for name in levels.CHECKS if name.startswith("response")},
    "open-route": {"auth", "routes_without_key", "routes_with_wrong_key"},
    # Its log is the host's to look at: see the module's tests.
    "leaky-log": set(),
}  # fmt: skip


def target(url, key=KEY, traces=None, **more):
    def client(sent):
        return GenerationClient(url, sent, 30)

    guests = {"anonymous": client(None), "stranger": client("a-wrong-key"), "key": key} if key else {}
    return Target(client(key), MODEL, **guests, traces=traces or {"its log": "nothing"}, **more)


@pytest.fixture
def guarded(simulator, tmp_path):
    """Start simulators with an API key."""

    def start(*extra):
        (tmp_path / "api_key").write_text(KEY)
        return simulator("--api-key-file", str(tmp_path / "api_key"), "--max-model-len", "16384", *extra)

    return start


def statuses(results):
    return {result.name: result.status for result in results}


def run(asked, *names, **more):
    return run_checks(asked, levels.chosen(names or ("all",)), **more)


def test_every_level_is_green_on_the_simulator(guarded):
    results = run(target(guarded()))
    assert [result.line for result in results if result.status != "ok"] == []
    assert {result.level for result in results} == set(levels.LEVELS)


def test_every_fault_has_its_checks_and_every_check_a_fault():
    assert set(SEEN) == set(FAULTS)
    never = set(levels.CHECKS) - set().union(*SEEN.values())
    # What fails these is seen in other tests: a server that is down or says nothing, and what is outside of it.
    assert never == {"health", "completion", "loopback", "no_secret"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_its_checks_and_no_other(guarded, fault):
    results = run(target(guarded("--wrong", fault)))
    told = [result.line for result in results if result.status == "failed"]
    assert {result.name for result in results if result.status == "failed"} == SEEN[fault], told
    assert KEY not in str(told)


def test_a_missing_parser_is_named(guarded):
    (result,) = run_checks(target(guarded("--wrong", "no-parser")), checks.CHECKS, only=["tool_call"])
    assert "no parser took out of it" in result.found
    assert "hermes" in result.found
    assert "--enable-auto-tool-choice" in result.found


def test_a_level_has_basic_and_its_own(guarded):
    basic = {"health", "model", "completion", "stream"}
    assert set(levels.chosen(["basic"])) == basic
    for level in levels.LEVELS:
        assert {check.level for check in levels.chosen([level]).values()} == {"basic", level}
    assert set(levels.chosen()) == set(checks.CHECKS)
    assert set(levels.chosen(["basic"], ["auth"])) == basic | {"auth"}
    assert set(levels.chosen((), ["auth"])) == {"auth"}


def test_what_random_weights_cannot_meet_is_left_out_by_name(guarded):
    results = run(target(guarded()), trained=False)
    left_out = {result.name for result in results if result.status == "skipped"}
    assert left_out == {name for name, check in levels.CHECKS.items() if check.trained}
    assert {"parallel_tool_calls", "needle_middle", "tool_result"} <= left_out
    assert all("random weights" in result.found for result in results if result.status == "skipped")


def test_without_a_key_nothing_is_said_of_it(simulator):
    found = statuses(run(target(simulator("--max-model-len", "16384"), key=None), "security"))
    assert {name for name, status in found.items() if status == "skipped"} == {
        "auth", "routes_without_key", "routes_with_wrong_key", "no_secret"
    }  # fmt: skip
    assert found["loopback"] == "ok"


def test_a_key_in_a_trace_and_another_address_are_told(guarded):
    url = guarded()
    asked = target(url, traces={"its log": f"API key: {KEY}", "the container's settings": "{}"}, elsewhere=(url,))
    found = {result.name: result for result in run(asked, "security")}
    assert found["no_secret"].status == found["loopback"].status == "failed"
    assert found["no_secret"].found == "the API key stands in its log"
    assert found["loopback"].found == f"it is reached at {url} too"


def test_no_request_that_does_something_is_sent_to_an_open_engine(serve):
    paths = {"/pause": {"post": {}}, "/v1/chat/completions": {"post": {}}, "/metrics": {"get": {}}}
    endpoint = serve({("GET", "/openapi.json"): Reply({"paths": paths})})
    (result,) = run_checks(target(endpoint.url), levels.chosen((), ["routes_without_key"]))
    assert result.status == "failed"
    assert "GET /metrics 200" in result.found
    assert ("POST", "/pause") not in [route for route, *_unused in endpoint.seen]


def test_the_outcome_as_junit_xml(guarded):
    told = [result.as_dict() for result in run(target(guarded("--wrong", "eager")), "tools")]
    told[0]["found"] = "a bell \x07 and a null \x00"
    root = ElementTree.fromstring(junit(told, "a suite").split("\n", 1)[1])
    suite = root.find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == (str(len(told)), "3")
    failed = {
        case.get("name"): case.find("failure").get("message") for case in suite if case.find("failure") is not None
    }
    assert set(failed) == SEEN["eager"] - {"messages_tool_result", "response_tool_result"}
    assert all(message.startswith("wanted ") for message in failed.values())
    assert {case.get("classname") for case in suite} == {"basic", "tools"}
    json.dumps(told)
