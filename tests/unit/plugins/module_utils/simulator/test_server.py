# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's server over real HTTP."""

from __future__ import annotations

import concurrent.futures
import json
import signal
import socket
from pathlib import Path

import jsonschema
import pytest

USER = [{"role": "user", "content": "Say it."}]
WEATHER_USER = [{"role": "user", "content": "Tell the weather."}]
TEXT = "This text is simulated. No model wrote it. "
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}, "unit": {"enum": ["C", "F"]}},
    "required": ["city", "days", "unit"],
}
CLOCK = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
SCHEMAS = {"weather": WEATHER, "clock": CLOCK}
OPENAI_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in SCHEMAS.items()
]
ANTHROPIC_TOOLS = [{"name": name, "input_schema": schema} for name, schema in SCHEMAS.items()]


# What is known at once


@pytest.mark.parametrize("path", ["/health", "/ping"])
def test_health(simulator, path):
    assert simulator.get(path).status == 200


def test_version(simulator):
    assert simulator.get("/version").json == {"version": "0.1.0", "simulated": True}


def test_models(simulator):
    answer = simulator.get("/v1/models").json
    assert answer["object"] == "list"
    (model,) = answer["data"]
    assert model.pop("created") > 0
    assert model == {
        "id": "qwen3-coder-next",
        "object": "model",
        "owned_by": "inference.fleet-simulator",
        "root": "Qwen/Qwen3-Coder-Next",
        "max_model_len": 20000000,
    }


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nowhere"])
def test_every_answer_says_that_it_is_simulated(simulator, path):
    assert simulator.get(path).headers["Server"].startswith("inference.fleet-simulator/")


def test_the_log_says_that_it_is_simulated(simulator):
    assert simulator.log.startswith("Simulated, after the figures of a fast row:")


def test_metrics(simulator):
    def read():
        return {name: simulator.metric(f"vllm:{name}_tokens_total") for name in ("prompt", "generation")}

    before = read()
    simulator.post("/v1/completions", {"prompt": "x" * 300, "max_tokens": 7})
    assert read() == {"prompt": before["prompt"] + 300, "generation": before["generation"] + 7}
    assert simulator.metric("inference_fleet_simulated") == 1
    for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
        assert simulator.metric(f"vllm:{name}") == 0


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"prompt": "x" * 8192}, 8192),
        ({"prompt": "é✓"}, 5),
        ({"prompt": "\ud800"}, 3),
        ({"messages": [*USER, {"role": "user", "content": [{"type": "text", "text": "ab"}, {"type": "text"}]}]}, 9),
    ],
)
def test_tokenize(simulator, body, count):
    assert simulator.post("/tokenize", body).json == {"count": count, "max_model_len": 20000000}


def test_count_tokens(simulator):
    answer = simulator.post(
        "/v1/messages/count_tokens", {"system": [{"type": "text", "text": "abc"}], "messages": USER}
    )
    # About four bytes a token: the system's block, the message and its role.
    assert answer.json == {"input_tokens": 5}


# What is generated: each route in one shape, (text, finish, input tokens, output tokens)


def chat(simulator, **body):
    answer = simulator.post("/v1/chat/completions", {"messages": USER, **body}).json
    assert answer["object"] == "chat.completion"
    (choice,) = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return choice["message"]["content"], choice["finish_reason"], usage["prompt_tokens"], usage["completion_tokens"]


def chat_stream(simulator, **body):
    body = {"messages": USER, "stream": True, "stream_options": {"include_usage": True}, **body}
    answer = simulator.post("/v1/chat/completions", body)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    *chunks, usage, done = [data for _unused, data in answer.events]
    assert done == "[DONE]"
    assert usage["choices"] == []
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    head, *middle, last = [chunk["choices"][0] for chunk in chunks]
    assert head["delta"] == {"role": "assistant", "content": ""}
    assert (last["delta"], {choice["finish_reason"] for choice in middle}) == ({}, {None})
    # One token a chunk.
    assert len(middle) == usage["usage"]["completion_tokens"]
    text = "".join(choice["delta"]["content"] for choice in middle)
    return text, last["finish_reason"], usage["usage"]["prompt_tokens"], len(middle)


def completion(simulator, **body):
    answer = simulator.post("/v1/completions", {"prompt": "Say it.", **body}).json
    assert answer["object"] == "text_completion"
    (choice,) = answer["choices"]
    usage = answer["usage"]
    return choice["text"], choice["finish_reason"], usage["prompt_tokens"], usage["completion_tokens"]


def completion_stream(simulator, **body):
    body = {"prompt": "Say it.", "stream": True, "stream_options": {"include_usage": True}, **body}
    *chunks, usage, done = [data for _unused, data in simulator.post("/v1/completions", body).events]
    assert done == "[DONE]"
    *middle, last = [chunk["choices"][0] for chunk in chunks]
    text = "".join(choice["text"] for choice in middle)
    return text, last["finish_reason"], usage["usage"]["prompt_tokens"], len(middle)


STOP = {"end_turn": "stop", "max_tokens": "length"}


def message(simulator, **body):
    answer = simulator.post("/v1/messages", {"messages": USER, "max_tokens": 4096, **body}).json
    assert (answer["type"], answer["role"], answer["model"]) == ("message", "assistant", "qwen3-coder-next")
    (block,) = answer["content"]
    assert block["type"] == "text"
    usage = answer["usage"]
    return block["text"], STOP[answer["stop_reason"]], usage["input_tokens"], usage["output_tokens"]


def message_stream(simulator, **body):
    body = {"messages": USER, "max_tokens": 4096, "stream": True, **body}
    events = simulator.post("/v1/messages", body).events
    assert all(name == data["type"] for name, data in events)
    (_unused, opening), (_unused, block), *middle, (_unused, closing), (_unused, last), (end, _unused) = events
    assert (opening["type"], block["type"]) == ("message_start", "content_block_start")
    assert opening["message"]["content"] == []
    assert block["content_block"] == {"type": "text", "text": ""}
    assert {name for name, _unused in middle} == {"content_block_delta"}
    assert (closing["type"], last["type"], end) == ("content_block_stop", "message_delta", "message_stop")
    assert last["usage"]["output_tokens"] == len(middle)
    text = "".join(data["delta"]["text"] for _unused, data in middle)
    return text, STOP[last["delta"]["stop_reason"]], opening["message"]["usage"]["input_tokens"], len(middle)


ROUTES = [chat, chat_stream, completion, completion_stream, message, message_stream]


@pytest.mark.parametrize("ask", ROUTES)
@pytest.mark.parametrize(
    ("body", "length", "finish"),
    [
        ({"max_tokens": 5}, 5, "length"),
        ({"max_tokens": 1}, 1, "length"),
        ({"max_tokens": 300}, 128, "stop"),
        ({"max_tokens": 300, "min_tokens": 200}, 200, "stop"),
        ({"max_tokens": 300, "ignore_eos": True}, 300, "length"),
        ({"max_tokens": 300, "min_tokens": 300}, 300, "length"),
    ],
)
def test_generation(simulator, ask, body, length, finish):
    text, stopped, prompt_tokens, tokens = ask(simulator, **body)
    assert text == (TEXT * 10)[:length]
    # An agent's prompt is counted as real tokenizers do.
    assert (stopped, prompt_tokens, tokens) == (finish, 3 if ask in (message, message_stream) else 7, length)


@pytest.mark.parametrize("ask", [chat, chat_stream, completion, completion_stream])
def test_without_a_limit_the_answer_is_short(simulator, ask):
    assert ask(simulator)[1:] == ("stop", 7, 128)


def test_max_completion_tokens(simulator):
    assert chat(simulator, max_completion_tokens=3)[1:] == ("length", 7, 3)


def test_usage_is_streamed_only_when_asked_for(simulator):
    answer = simulator.post("/v1/chat/completions", {"messages": USER, "stream": True, "max_tokens": 3})
    assert not any("usage" in data for _unused, data in answer.events if data != "[DONE]")


def test_a_prompt_of_token_ids(simulator):
    assert completion(simulator, prompt=[1, 2, 3], max_tokens=2)[2:] == (3, 2)


def test_many_at_once(simulator):
    lengths = [20 + index % 7 for index in range(64)]
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda length: chat_stream(simulator, max_tokens=length, ignore_eos=True), lengths))
    assert [answer[3] for answer in found] == lengths


# Tools


def openai_call(simulator, **body):
    answer = simulator.post("/v1/chat/completions", {"messages": WEATHER_USER, "tools": OPENAI_TOOLS, **body}).json
    choice = answer["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert (call["type"], choice["finish_reason"], choice["message"]["content"]) == ("function", "tool_calls", None)
    assert call["id"]
    return call["function"]["name"], json.loads(call["function"]["arguments"])


def openai_stream_call(simulator, **body):
    body = {"messages": WEATHER_USER, "tools": OPENAI_TOOLS, "stream": True, **body}
    *chunks, done = [data for _unused, data in simulator.post("/v1/chat/completions", body).events]
    assert done == "[DONE]"
    head, *middle, last = [chunk["choices"][0] for chunk in chunks]
    (opening,) = head["delta"]["tool_calls"]
    assert opening["id"]
    assert last["finish_reason"] == "tool_calls"
    parts = [choice["delta"]["tool_calls"][0] for choice in middle]
    assert len(parts) > 1
    assert {part["index"] for part in [opening, *parts]} == {0}
    return opening["function"]["name"], json.loads("".join(part["function"]["arguments"] for part in parts))


def anthropic_choice(choice):
    if isinstance(choice, dict):
        return {"type": "tool", "name": choice["function"]["name"]}
    return {"type": {"required": "any"}.get(choice, choice)}


def anthropic_body(body):
    choice = {"tool_choice": anthropic_choice(body.pop("tool_choice"))} if "tool_choice" in body else {}
    return {"messages": WEATHER_USER, "max_tokens": 999, "tools": ANTHROPIC_TOOLS, **choice, **body}


def anthropic_call(simulator, **body):
    answer = simulator.post("/v1/messages", anthropic_body(body)).json
    (block,) = answer["content"]
    assert (block["type"], answer["stop_reason"]) == ("tool_use", "tool_use")
    assert block["id"]
    return block["name"], block["input"]


def anthropic_stream_call(simulator, **body):
    events = simulator.post("/v1/messages", {**anthropic_body(body), "stream": True}).events
    block = events[1][1]["content_block"]
    assert (block["type"], block["input"]) == ("tool_use", {})
    deltas = [data["delta"] for name, data in events if name == "content_block_delta"]
    assert {delta["type"] for delta in deltas} == {"input_json_delta"}
    assert len(deltas) > 1
    assert events[-2][1]["delta"]["stop_reason"] == "tool_use"
    return block["name"], json.loads("".join(delta["partial_json"] for delta in deltas))


CALLS = [openai_call, openai_stream_call, anthropic_call, anthropic_stream_call]
NAMED = {"type": "function", "function": {"name": "clock"}}


@pytest.mark.parametrize("ask", CALLS)
@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({}, "weather"),
        ({"tool_choice": "auto"}, "weather"),
        ({"tool_choice": "required"}, "weather"),
        ({"tool_choice": NAMED}, "clock"),
    ],
    ids=["unset", "auto", "required", "named"],
)
def test_a_tool_call_s_arguments_meet_the_schema(simulator, ask, choice, wanted):
    name, arguments = ask(simulator, **choice)
    assert name == wanted
    jsonschema.validate(arguments, SCHEMAS[name])


def test_a_tool_without_a_schema_gets_an_object(simulator):
    tools = [{"type": "function", "function": {"name": "weather"}}]
    assert openai_call(simulator, tools=tools) == ("weather", {})


@pytest.mark.parametrize("ask", [chat, chat_stream])
@pytest.mark.parametrize("body", [{"tool_choice": "none", "messages": WEATHER_USER}, {"messages": USER}])
def test_text_where_no_openai_tool_is_wanted(simulator, ask, body):
    assert ask(simulator, tools=OPENAI_TOOLS, **body)[0].startswith("This text")


@pytest.mark.parametrize("ask", [message, message_stream])
@pytest.mark.parametrize("body", [{"tool_choice": {"type": "none"}, "messages": WEATHER_USER}, {"messages": USER}])
def test_text_where_no_anthropic_tool_is_wanted(simulator, ask, body):
    assert ask(simulator, tools=ANTHROPIC_TOOLS, **body)[0].startswith("This text")


# Errors

BAD = {
    "not JSON": ("/v1/chat/completions", "{", 400, "JSON"),
    "not an object": ("/v1/chat/completions", "[]", 400, "JSON object"),
    "no messages": ("/v1/chat/completions", {}, 400, "messages"),
    "messages are text": ("/v1/chat/completions", {"messages": "hi"}, 400, "messages"),
    "a message is text": ("/v1/chat/completions", {"messages": ["hi"]}, 400, "messages"),
    "content is a number": ("/v1/chat/completions", {"messages": [{"content": 1.5}]}, 400, "prompt"),
    "no prompt": ("/v1/completions", {}, 400, "prompt"),
    "no max_tokens": ("/v1/messages", {"messages": USER}, 400, "max_tokens"),
    "no message": ("/v1/messages", {"messages": [], "max_tokens": 1}, 400, "messages"),
    "another model": ("/v1/chat/completions", {"messages": USER, "model": "gpt"}, 404, "'gpt'"),
    "another model, messages": ("/v1/messages", {"messages": USER, "model": "gpt", "max_tokens": 1}, 404, "'gpt'"),
    "no model": ("/v1/chat/completions", json.dumps({"messages": USER}), 400, "model is missing"),
    "too long": ("/v1/completions", {"prompt": "x", "max_tokens": 20000000}, 400, "maximum context length is 20000000"),
    "max_tokens 0": ("/v1/completions", {"prompt": "x", "max_tokens": 0}, 400, "max_tokens"),
    "max_tokens text": ("/v1/completions", {"prompt": "x", "max_tokens": "9"}, 400, "max_tokens"),
    "min_tokens text": ("/v1/completions", {"prompt": "x", "min_tokens": "9"}, 400, "min_tokens"),
    "tools are text": ("/v1/chat/completions", {"messages": USER, "tools": "abc"}, 400, "tools"),
    "a tool is text": ("/v1/chat/completions", {"messages": USER, "tools": ["abc"]}, 400, "tools"),
    "a tool without name": ("/v1/chat/completions", {"messages": USER, "tools": [{"function": {}}]}, 400, "name"),
    "no such tool": (
        "/v1/chat/completions",
        {"messages": WEATHER_USER, "tools": OPENAI_TOOLS, "tool_choice": {"function": {"name": "nothing"}}},
        400,
        "nothing",
    ),
    "required, of none": ("/v1/chat/completions", {"messages": USER, "tool_choice": "required"}, 400, "tools is empty"),
    "odd tool_choice": ("/v1/chat/completions", {"messages": USER, "tool_choice": "x"}, 400, "tool_choice"),
    "odd stream_options": (
        "/v1/chat/completions",
        {"messages": USER, "stream": True, "stream_options": "x"},
        400,
        "stream_options",
    ),
    "nothing to tokenize": ("/tokenize", {}, 400, "prompt"),
    "no such route": ("/v1/embeddings", {}, 404, "/v1/embeddings"),
}


@pytest.mark.parametrize(("path", "body", "status", "says"), BAD.values(), ids=BAD)
def test_errors(simulator, path, body, status, says):
    answer = simulator.post(path, body)
    error = answer.json["error"]
    assert (answer.status, error["code"]) == (status, status)
    assert says in error["message"]
    assert error["type"] == {400: "BadRequestError", 404: "NotFoundError"}[status]
    assert answer.json.get("type") == ("error" if path == "/v1/messages" else None)


def test_a_wrong_method(simulator):
    assert simulator.get("/v1/chat/completions").status == 404


def test_after_an_error_the_server_goes_on(simulator):
    connection = simulator.connect()
    for body, status in (("{", 400), (json.dumps({"model": "qwen3-coder-next", "prompt": "x"}), 200)):
        connection.request("POST", "/v1/completions", body)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


@pytest.mark.parametrize("sent", [b"hello\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n"])
def test_what_is_not_http(simulator, sent):
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=30) as raw:
        raw.sendall(sent)
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")


# Connections


def test_a_connection_serves_many_requests(simulator):
    connection = simulator.connect()
    connection.connect()
    first = connection.sock
    for body in ({"stream": True}, {}, {"stream": True}):
        connection.request(
            "POST",
            "/v1/completions",
            json.dumps({"model": "qwen3-coder-next", "prompt": "x", "max_tokens": 3, **body}),
        )
        assert len(connection.getresponse().read()) > 0
        assert connection.sock is first
    connection.close()


def test_a_chunked_body(simulator):
    connection = simulator.connect()
    body = json.dumps({"model": "qwen3-coder-next", "prompt": "x" * 100, "max_tokens": 2}).encode()
    parts = (body[place : place + 30] for place in range(0, len(body), 30))
    connection.request("POST", "/v1/completions", parts, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["usage"]["prompt_tokens"] == 100


def request_bytes(**body):
    data = json.dumps({"model": "qwen3-coder-next", **body}).encode()
    return b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)


@pytest.mark.parametrize("stream", [True, False])
def test_generation_stops_when_the_client_leaves(simulator, stream):
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=30) as raw:
        raw.sendall(request_bytes(prompt="x", max_tokens=1_000_000, ignore_eos=True, stream=stream))
        simulator.until(lambda: simulator.metric("vllm:num_requests_running") == 1, "a running request")
    simulator.until(lambda: simulator.metric("vllm:num_requests_running") == 0, "the end of the request")


def test_a_client_that_leaves_leaves_the_queue(simulator):
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=30) as raw:
        raw.sendall(request_bytes(prompt="x" * 15_000_000, max_tokens=1))
        simulator.until(lambda: simulator.metric("vllm:num_requests_waiting") == 1, "a waiting request")
    simulator.until(lambda: simulator.metric("vllm:num_requests_waiting") == 0, "an empty queue")


# The API key


@pytest.fixture(scope="module")
def guarded(start, tmp_path_factory):
    key = tmp_path_factory.mktemp("secrets") / "api_key"
    key.write_text('s3cret: "quoted"')
    with start("--api-key-file", str(key)) as running:
        yield running


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/chat/completions", "/tokenize", "/metrics", "/health/", "//health", "/nothing"]
)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": ""}, {"x-api-key": "wrong"}]
)
def test_without_the_key(guarded, method, path, headers):
    answer = guarded.send(method, path, {}, headers)
    assert answer.status == 401
    assert answer.json["error"]["type"] == "AuthenticationError"


@pytest.mark.parametrize("header", [("Authorization", "Bearer "), ("authorization", "bearer "), ("x-api-key", "")])
def test_with_the_key(guarded, header):
    headers = {header[0]: f'{header[1]}s3cret: "quoted"'}
    assert guarded.get("/v1/models", **headers).status == 200
    assert guarded.post("/v1/chat/completions", {"messages": USER}, **headers).status == 200


def test_health_is_open(guarded):
    assert guarded.get("/health").status == 200


def test_a_new_key_needs_no_restart(start, tmp_path):
    key = tmp_path / "api_key"
    key.write_text("first")
    with start("--api-key-file", str(key)) as running:
        assert running.get("/v1/models", Authorization="Bearer first").status == 200
        key.with_name("new").write_text("second")
        key.with_name("new").replace(key)
        assert running.get("/v1/models", Authorization="Bearer first").status == 401
        assert running.get("/v1/models", Authorization="Bearer second").status == 200
        key.unlink()
        assert running.get("/v1/models", Authorization="Bearer second").status == 200
        assert running.get("/v1/models").status == 401


# Start and end


def test_a_slow_start(start):
    with start("--load-seconds", "2") as running:
        assert running.get("/health").status == 503
        assert running.post("/v1/completions", {"prompt": "x"}).json["error"]["type"] == "ServiceUnavailableError"
        assert running.get("/version").status == 200
        running.until(lambda: "Application startup complete.\n" in running.log, "the end of the start")
        log = running.log
        assert [log.count(f"| {shard}/4") for shard in range(1, 5)] == [1, 1, 1, 1]
        phases = ("Loading weights took", "torch.compile", "Capturing CUDA graphs", "init engine", "Starting simulator")
        places = [log.index(phase) for phase in phases]
        assert places == sorted(places)
        assert running.get("/health").status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_while_it_streams(start, number):
    with start() as running, socket.create_connection(("127.0.0.1", running.port), timeout=30) as raw:
        raw.sendall(request_bytes(prompt="x", max_tokens=100_000, ignore_eos=True, stream=True))
        assert b"200 OK" in raw.recv(4096)
        running.process.send_signal(number)
        assert running.process.wait(timeout=30) == 0
    assert "Traceback" not in running.log


def test_the_server_uses_nothing_but_the_standard_library(image_files):
    for path in Path(image_files).rglob("*.py"):
        assert "ansible" not in path.read_text()
