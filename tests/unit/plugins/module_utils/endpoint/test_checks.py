# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks against the simulator, and against servers that are wrong in one way each."""

from __future__ import annotations

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import Target, run_checks, summary
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.checks import CHECKS
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import GenerationClient

from .conftest import (
    ARGUMENTS,
    CHAT,
    HEALTH,
    MESSAGES,
    MODEL,
    MODELS,
    TEXT,
    Events,
    Reply,
    call_events,
    called,
    delta,
    drip,
    hang,
    hang_up,
    only,
    patience,
    usage,
)

KEY = "a-secret-4711"


def target(url, key=None, timeout=30.0):
    return Target(GenerationClient(url, key, timeout), MODEL, GenerationClient(url, None, timeout) if key else None)


def statuses(results):
    return {result.name: result.status for result in results}


def text(**message):
    return Reply({"choices": [{"message": message}]})


def plain(answer):
    return {CHAT: only(lambda request: not request.get("stream") and not request.get("tools"), answer)}


def streamed(*parts):
    return {CHAT: only(lambda request: request.get("stream") and not request.get("tools"), Events(parts))}


def tool(answer):
    return {CHAT: only(lambda request: request.get("tools") and not request.get("stream"), answer)}


def streamed_tool(*parts):
    return {CHAT: only(lambda request: request.get("tools") and request.get("stream"), Events(parts))}


def message(**parts):
    body = {"type": "message", "content": [{"type": "text", "text": "One"}], "usage": {"output_tokens": 1}, **parts}
    return {MESSAGES: Reply(body)}


@pytest.mark.parametrize("key", [None, KEY])
def test_the_simulator_passes(simulator, tmp_path, key):
    (tmp_path / "api_key").write_text(KEY)
    guarded = ["--api-key-file", str(tmp_path / "api_key")] if key else []
    results = run_checks(target(simulator(*guarded), key), CHECKS)
    assert statuses(results) == {**dict.fromkeys(CHECKS, "ok"), "auth": "ok" if key else "skipped"}
    assert all(result.as_dict()["ok"] for result in results if result.name != "auth")


def test_a_key_that_is_missing_or_wrong_is_told(simulator, tmp_path):
    (tmp_path / "api_key").write_text(KEY)
    url = simulator("--api-key-file", str(tmp_path / "api_key"))
    for key, told in ((None, "(no API key is set)"), ("another", "(with the API key that is set)")):
        results = {result.name: result for result in run_checks(target(url, key), CHECKS)}
        assert results["health"].status == "ok"
        for name in ("model", "completion", "stream", "tool_call", "streamed_tool_call", "messages"):
            assert results[name].status == "failed"
            assert told in results[name].found


@pytest.mark.parametrize(
    ("name", "routes", "found"),
    [
        # The model
        ("model", {MODELS: Reply({"data": [{"id": "y"}, {"id": "z"}]})}, "GET /v1/models lists y, z"),
        ("model", {MODELS: Reply({"data": []})}, "GET /v1/models lists nothing"),
        ("model", {MODELS: Reply("<html>")}, "something that is no JSON: <html>"),
        # A completion
        ("completion", plain(Reply("<h1>oops</h1>", 500)), "answered 500: <h1>oops</h1>"),
        ("completion", plain(text(content="")), "an answer without text"),
        ("completion", plain(text(content=None)), "an answer without text"),
        ("completion", plain(Reply({"choices": []})), "an answer without choices"),
        ("completion", plain(Reply({"choices": "x", "usage": 3})), "an answer without choices"),
        ("completion", plain(Reply({"choices": [{"message": "x"}], "usage": [1]})), "an answer without text"),
        ("completion", plain(hang), "no whole answer within"),
        ("completion", plain(hang_up), "the connection was closed"),
        # A stream
        ("stream", streamed(*TEXT), "a stream that ended without [DONE]"),
        ("stream", streamed(*TEXT, b"data: [DONE]"), "a stream that ended without [DONE]"),
        ("stream", streamed(), "a stream that ended without [DONE]"),
        ("stream", streamed("[DONE]"), "a stream without text"),
        ("stream", streamed(TEXT[0], TEXT[-1], usage(0), "[DONE]"), "a stream without text"),
        ("stream", streamed(TEXT[0], delta(content="One two"), TEXT[-1], usage(2), "[DONE]"), "2 tokens in 1 chunk"),
        ("stream", streamed(delta("stop", role="assistant", content="One"), "[DONE]"), "all 3 characters in 1 chunk"),
        ("stream", streamed(*TEXT, "{broken", "[DONE]"), "an event that is no JSON object: {broken"),
        ("stream", streamed("5", "[DONE]"), "an event that is no JSON object: 5"),
        ("stream", streamed('["x"]', "[DONE]"), 'an event that is no JSON object: ["x"]'),
        ("stream", streamed(TEXT[1], {"error": {"message": "out of memory"}}), "out of memory"),
        ("stream", streamed({"choices": [{"delta": "x"}, 1]}, "[DONE]"), "a stream without text"),
        ("stream", {CHAT: only(lambda r: r.get("stream") and not r.get("tools"), drip)}, "no whole answer within"),
        ("stream", {CHAT: only(lambda r: r.get("stream") and not r.get("tools"), text())}, "not text/event-stream"),
        # A tool call
        ("tool_call", tool(text(content="It rains.")), "text instead of a tool call: It rains."),
        ("tool_call", tool(text(content=None, tool_calls=[])), "neither a tool call nor text"),
        ("tool_call", tool(text(tool_calls="x")), "neither a tool call nor text"),
        ("tool_call", tool(text(tool_calls=[{"function": "x"}])), "a call of None"),
        ("tool_call", tool(called(ARGUMENTS, name="other")), "a call of 'other'"),
        ("tool_call", tool(called(ARGUMENTS[:-3])), f"arguments that are no JSON: {ARGUMENTS[:-3]}"),
        ("tool_call", tool(called('{"city": "Pa', finish="length")), "no JSON, which end at 512 tokens: {"),
        ("tool_call", tool(called({"city": "Paris"})), "arguments that are no JSON: {"),
        ("tool_call", tool(called("")), "arguments that are no JSON: "),
        ("tool_call", tool(called("[]")), "arguments other than city, unit: []"),
        ("tool_call", tool(called('{"city": "Paris"}')), "arguments other than city, unit"),
        ("tool_call", tool(called('{"city": "Paris", "unit": "celsius", "x": 1}')), "arguments other than city, unit"),
        ("tool_call", tool(called('{"city": 7, "unit": "celsius"}')), "a city that the schema does not allow"),
        ("tool_call", tool(called('{"city": "Paris", "unit": null}')), "a unit that the schema does not allow"),
        # A streamed tool call
        ("streamed_tool_call", streamed_tool(*TEXT, "[DONE]"), "text instead of a tool call: One two"),
        ("streamed_tool_call", streamed_tool("[DONE]"), "neither a tool call nor text"),
        ("streamed_tool_call", streamed_tool(*call_events(ARGUMENTS)), "a stream that ended without [DONE]"),
        ("streamed_tool_call", streamed_tool(*call_events("{", "{"), "[DONE]"), "arguments that are no JSON: {{"),
        (
            "streamed_tool_call",
            streamed_tool(*call_events(ARGUMENTS, ARGUMENTS), "[DONE]"),
            "arguments that are no JSON: {",
        ),
        ("streamed_tool_call", streamed_tool(*call_events('{"city"', finish="length"), "[DONE]"), "end at 512 tokens"),
        ("streamed_tool_call", streamed_tool(*call_events(ARGUMENTS, name="other"), "[DONE]"), "a call of 'other'"),
        # Anthropic's form
        ("messages", {MESSAGES: Reply("Not Found", 404)}, "POST /v1/messages answered 404: Not Found"),
        ("messages", message(type="error"), "no answer of type message"),
        ("messages", message(content="One"), "no content blocks"),
        ("messages", message(content=[]), "no content blocks"),
        ("messages", message(content=["One"]), "no content blocks"),
        ("messages", message(usage={}), "no output_tokens in its usage"),
        ("messages", message(usage=7), "no output_tokens in its usage"),
    ],
)
def test_one_fault_fails_one_check(serve, name, routes, found):
    endless = any(word in found for word in ("within",))
    results = run_checks(target(serve(routes).url, timeout=patience(hang) if endless else 30), CHECKS)
    failed = [result for result in results if result.status == "failed"]
    assert [result.name for result in failed] == [name]
    assert found in failed[0].found
    assert failed[0].line.startswith(f"FAILED   {name} ")
    assert failed[0].wanted in failed[0].line
    assert "\n" not in failed[0].line
    assert statuses(results) == {**dict.fromkeys(CHECKS, "ok"), "auth": "skipped", name: "failed"}


@pytest.mark.parametrize(
    "routes",
    [
        # Tokens that are no whole characters yet, and no text at all: what random weights may give.
        plain(Reply({"choices": [{"message": {"content": ""}}], "usage": {"completion_tokens": 32}})),
        streamed(TEXT[0], delta(content=""), delta(content=""), delta("length", content=""), usage(3), "[DONE]"),
        streamed(TEXT[0], delta(content="a\u2028"), delta(content="\u0085"), "[DONE]"),
        # A reasoning model may think for longer than it is given.
        plain(text(content=None, reasoning="Hm")),
        plain(text(content=None, reasoning_content="Hm")),
        streamed(delta(reasoning="H"), delta(reasoning="m"), "[DONE]"),
        # Two calls at once: the second one's arguments are not the first one's.
        streamed_tool(*call_events(ARGUMENTS), *call_events(ARGUMENTS, index=1), "[DONE]"),
    ],
)
def test_what_a_healthy_engine_may_answer(serve, routes):
    results = run_checks(target(serve(routes).url), CHECKS)
    assert statuses(results) == {**dict.fromkeys(CHECKS, "ok"), "auth": "skipped"}


@pytest.mark.parametrize("answer", [Reply("loading", 503), hang, hang_up])
def test_nothing_more_is_asked_when_health_fails(serve, answer):
    endpoint = serve({HEALTH: answer})
    results = run_checks(target(endpoint.url, timeout=patience(answer)), CHECKS)
    assert statuses(results) == {**dict.fromkeys(CHECKS, "not run"), "health": "failed", "auth": "skipped"}
    assert {route for route, *_unused in endpoint.seen} == {HEALTH}
    assert not any(result.as_dict()["ok"] for result in results)


def test_checks_are_chosen_and_left_out(serve):
    endpoint = serve()
    results = run_checks(target(endpoint.url), CHECKS, ["stream", "model", "completion"], ["completion"])
    assert statuses(results) == {"model": "ok", "completion": "skipped", "stream": "ok"}
    assert [route for route, *_unused in endpoint.seen] == [MODELS, CHAT]


@pytest.mark.parametrize(
    ("models", "answer", "found"),
    [(200, 401, "GET /v1/models answered 200"), (403, 401, "GET /v1/models answered 403"),
     (401, 200, "POST /v1/chat/completions answered 200"), (401, 500, "POST /v1/chat/completions answered 500")],
)  # fmt: skip
def test_an_endpoint_that_is_open_in_spite_of_its_key(serve, models, answer, found):
    def guard(route, status):
        healthy = serve().routes[route]
        return lambda h, r: (healthy if "Authorization" in h.headers else Reply({}, status))(h, r)

    results = run_checks(target(serve({MODELS: guard(MODELS, models), CHAT: guard(CHAT, answer)}).url, KEY), CHECKS)
    assert statuses(results) == {**dict.fromkeys(CHECKS, "ok"), "auth": "failed"}
    assert found in results[-1].found


def test_the_tool_call_is_asked_for_by_name(serve):
    endpoint = serve()
    run_checks(target(endpoint.url), CHECKS, ["tool_call", "streamed_tool_call"])
    for _unused, _unused, asked in endpoint.seen:
        assert asked["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
        assert asked["tools"][0]["function"]["name"] == "get_weather"


def test_the_summary_tells_one_cause_once(serve):
    url = serve({CHAT: Reply("the GPU fell off", 500)}).url
    told = summary(url, run_checks(target(url), CHECKS))
    assert told.startswith(f"{url} failed 4 of 7 checks: completion wanted ")
    assert told.count("the GPU fell off") == 1
    for name in ("completion", "stream", "tool_call", "streamed_tool_call"):
        assert f"{name} wanted {CHECKS[name].wanted}" in told
    assert "docker logs" in told


def test_no_result_shows_the_key(serve):
    routes = {MODELS: lambda h, r: Reply({"data": [{"id": h.headers.get("Authorization", "none")}]})(h, r)}
    results = run_checks(target(serve(routes).url, KEY), CHECKS)
    assert statuses(results)["model"] == "failed"
    assert KEY not in str([(result.line, result.as_dict()) for result in results])


def test_an_engine_that_answers_200_and_then_an_error_is_quoted(serve, case):
    # SGLang does, as a public case has it.
    routes = streamed(case("18-sse-error-event").encode())
    (result,) = run_checks(target(serve(routes).url), CHECKS, only=("stream",))
    assert result.status == "failed"
    assert result.found.startswith(
        "an error in the stream: Requested token count exceeds the model's maximum context length of 196608 tokens."
    )


def test_a_stream_whose_last_text_comes_with_its_end(serve, case):
    (result,) = run_checks(target(serve(streamed(case("19-sse-qwen3-length").encode())).url), CHECKS, only=("stream",))
    assert (result.status, result.found) == ("ok", "10 characters came back in 3 chunks, then [DONE]")
