# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against real servers, most of which misbehave."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
import threading

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import client, generation
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import EndpointError, serves
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import (
    GenerationClient,
    event_data,
    readiness,
    warm_up,
)

from .conftest import CHAT, HEALTH, MODEL, MODELS, TEXT, Events, Reply, delta, drip, hang, hang_up, patience, usage

KEY = "a-secret-4711"


def test_the_examples_hold():
    assert doctest.testmod(client).failed == 0
    assert doctest.testmod(generation).failed == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_are_the_same_however_the_stream_is_cut(end):
    stream = f": hello{end}{end}data: ein{end}data:  zwei{end}{end}event: x{end}data:drei \u2028\u0085 ü{end}{end}{end}"
    data = (stream + "data: ,").encode()
    for cut in range(len(data) + 1):
        assert list(event_data([data[:cut], data[cut:]])) == ["ein\n zwei", "drei \u2028\u0085 ü"], cut
    assert list(event_data(bytes([byte]) for byte in data)) == ["ein\n zwei", "drei \u2028\u0085 ü"]


def test_a_stream_is_read_with_its_usage_and_its_end(serve):
    odd = "a\u2028b\u0085c"
    endpoint = serve({CHAT: Events((*TEXT, delta(content=odd), b": a comment\n\n", usage(3), "[DONE]"))})
    *events, end = GenerationClient(endpoint.url).chat_stream(MODEL, "Hi.", 3)
    assert end == "[DONE]"
    assert [json.loads(event) for event in events][-2:] == [delta(content=odd), usage(3)]
    asked = endpoint.seen[-1][2]
    assert asked["stream"] is True
    assert asked["stream_options"] == {"include_usage": True}


def test_what_the_endpoint_tells_about_itself(serve):
    client = GenerationClient(serve().url + "/")
    assert client.health() is None
    assert client.version() == {"version": "1.2.3"}
    assert client.metrics() == "running 0\n"
    assert [item["id"] for item in client.models()] == [MODEL]


def test_a_message_names_the_version_of_the_api(serve):
    endpoint = serve()
    assert GenerationClient(endpoint.url).messages(MODEL, "Hi.", 3)["type"] == "message"
    assert endpoint.seen[-1][1]["anthropic-version"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Reply("<h1>Bad Gateway</h1>", 502, "text/html"), "GET /v1/models answered 502: <h1>Bad Gateway</h1>"),
        (Reply({"error": {"message": "too busy"}}, 503), "GET /v1/models answered 503: too busy"),
        (Reply({"error": "no"}, 500), "GET /v1/models answered 500: no"),
        (Reply("", 500), "GET /v1/models answered 500: nothing"),
        (Reply({}, 401), "GET /v1/models answered 401: {} (no API key is set)"),
        (Reply("<html>Welcome</html>", kind="text/html"), "something that is no JSON: <html>Welcome</html>"),
        (Reply([1]), "answered no JSON object: [1]"),
        (Reply({"data": ["x"]}), 'without a list of models: ["x"]'),
        (Reply("", 302, headers={"Location": "/health"}), "answered 302"),
        (Reply("{}", length=5), "got no answer: it broke off"),
        (hang_up, "got no answer: the connection was closed"),
        (hang, "got no whole answer within 3 s"),
        (drip, "got no whole answer within 3 s"),
    ],
)
def test_an_answer_that_is_none_is_told(serve, answer, told):
    endpoint = serve({MODELS: answer})
    with pytest.raises(EndpointError) as raised:
        GenerationClient(endpoint.url, timeout=patience(answer)).models()
    assert told in str(raised.value)
    assert raised.value.details["url"] == endpoint.url
    status = re.search(r"answered (\d+)", told)
    assert raised.value.status == raised.value.details["status"] == (int(status[1]) if status else None)
    assert not raised.value.refused


def test_a_long_answer_is_told_by_its_start(serve):
    with pytest.raises(EndpointError) as raised:
        GenerationClient(serve({HEALTH: Reply("x " * 9999, 500)}).url).health()
    assert len(str(raised.value)) < 300
    assert raised.value.status == 500


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Reply({"choices": []}), 'answered application/json, not text/event-stream: {"choices": []}'),
        (Reply("no", 500), "answered 500: no"),
        (hang, "got no whole answer within 3 s"),
        (drip, "got no whole answer within 3 s"),
    ],
)
def test_a_stream_that_is_none_is_told(serve, answer, told):
    with pytest.raises(EndpointError) as raised:
        list(GenerationClient(serve({CHAT: answer}).url, timeout=patience(answer)).chat_stream(MODEL, "Hi.", 3))
    assert told in str(raised.value)


def test_nothing_listens(nowhere):
    with pytest.raises(EndpointError, match=r"GET /health got no answer: connection refused$") as raised:
        GenerationClient(nowhere).health()
    assert raised.value.refused
    assert not GenerationClient(nowhere).listens()


@pytest.mark.parametrize("answer", [Reply(), Reply("loading", 503), hang_up])
def test_something_listens(serve, answer):
    assert GenerationClient(serve({HEALTH: answer}).url).listens()


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8000", "nonsense", "http://", "ftp://a:1", "http://[::1", "http://a:99999", "http://a:8000/v1/",
     "http://a/v1", "http://a?x=1"],
)  # fmt: skip
def test_what_is_no_url_of_an_endpoint(url):
    with pytest.raises(EndpointError, match=r"wanted one such as http://127\.0\.0\.1:8000, without /v1"):
        GenerationClient(url)


def test_an_endpoint_below_a_path(serve):
    endpoint = serve({("GET", "/engines/a/health"): Reply()})
    GenerationClient(endpoint.url + "/engines/a/").health()
    assert endpoint.seen[-1][0] == ("GET", "/engines/a/health")


def test_no_proxy_of_the_environment_is_used(serve, nowhere, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, nowhere)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    GenerationClient(serve().url).health()


def test_the_key_is_sent_and_never_told(serve):
    echo = {
        ("GET", "/version"): lambda h, _unused: Reply({"error": f"bad {h.headers['Authorization']}"}, 401)(h, _unused)
    }
    endpoint = serve(echo)
    with pytest.raises(EndpointError) as raised:
        GenerationClient(endpoint.url, KEY).version()
    assert endpoint.seen[-1][1]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(raised.value)
    assert "(with the API key that is set)" in str(raised.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY}\r\nX: y", f"{KEY}€"])
def test_a_key_that_no_header_carries_is_refused_unseen(key):
    with pytest.raises(EndpointError, match="cannot be sent in a header") as raised:
        GenerationClient("http://127.0.0.1:1", key)
    assert KEY not in f"{raised.value} {raised.value.details}"


# Readiness


@pytest.mark.parametrize(
    ("routes", "reason"),
    [
        ({}, ""),
        ({HEALTH: Reply("loading", 503)}, "GET /health answered 503: loading"),
        ({HEALTH: hang}, "GET /health got no whole answer within 3 s"),
        ({HEALTH: hang_up}, "GET /health got no answer: the connection was closed"),
        ({MODELS: Reply({"data": [{"id": "other"}]})}, f"/v1/models lists other, not {MODEL}"),
        ({MODELS: Reply({"data": []})}, f"/v1/models lists nothing, not {MODEL}"),
        ({MODELS: Reply("<html>")}, "GET /v1/models answered something that is no JSON: <html>"),
        ({CHAT: Reply({"choices": []})}, 'a first answer came back without choices: {"choices": []}'),
        ({CHAT: Reply("boom", 500)}, "POST /v1/chat/completions answered 500: boom"),
        ({CHAT: hang}, "POST /v1/chat/completions got no whole answer within 3 s"),
    ],
)
def test_readiness(serve, monkeypatch, routes, reason):
    limit = min(map(patience, routes.values()), default=30)
    monkeypatch.setattr(client, "HEALTH_TIMEOUT", limit)
    answer = readiness(serve(routes).url, MODEL, completion_timeout=limit)
    assert (answer.ready, answer.reason) == (not reason, reason)


def test_readiness_of_nothing(nowhere):
    assert readiness(nowhere, MODEL).reason == "GET /health got no answer: connection refused"


def test_readiness_generates_one_token_or_none(serve):
    endpoint = serve()
    assert readiness(endpoint.url, MODEL).ready
    assert endpoint.seen[-1][2]["max_tokens"] == 1
    endpoint.seen.clear()
    assert serves(endpoint.url, MODEL).ready
    assert [route for route, *_unused in endpoint.seen] == [HEALTH, MODELS]


@pytest.mark.parametrize(
    ("task", "path", "answer"),
    [
        ("completion", "/v1/completions", {"choices": [{"text": "y"}]}),
        ("embedding", "/v1/embeddings", {"data": [{"embedding": [0.1]}]}),
    ],
)
def test_a_model_is_asked_what_it_is_for(serve, task, path, answer):
    endpoint = serve({CHAT: Reply("no chat", 400), ("POST", path): Reply(answer)})
    assert readiness(endpoint.url, MODEL, task=task).ready
    assert endpoint.seen[-1][0] == ("POST", path)
    endpoint.seen.clear()
    warm = {"concurrency": 2, "requests": 4, "input_words": 5, "output_tokens": 3, "timeout": 30}
    warm_up(endpoint.url, MODEL, None, task=task, **warm)
    assert [route for route, *_unused in endpoint.seen] == [("POST", path)] * 4


@pytest.mark.parametrize("task", ["rerank", "transcription"])
def test_of_other_models_it_is_enough_that_they_are_listed(serve, task):
    endpoint = serve({CHAT: Reply("no chat", 400)})
    assert readiness(endpoint.url, MODEL, task=task).ready
    assert [route for route, *_unused in endpoint.seen] == [HEALTH, MODELS]


@pytest.mark.parametrize(
    ("status", "final"), [(400, True), (404, True), (422, True), (408, False), (429, False), (500, False), (503, False)]
)
def test_a_first_answer_that_is_refused_for_good_is_final(serve, status, final):
    answer = readiness(serve({CHAT: Reply("no", status)}).url, MODEL)
    assert (answer.ready, answer.final) == (False, final)


def test_readiness_of_the_simulator_with_its_key(simulator, tmp_path):
    (tmp_path / "api_key").write_text(KEY)
    url = simulator("--api-key-file", str(tmp_path / "api_key"))
    assert readiness(url, MODEL, KEY).ready
    assert "401" in readiness(url, MODEL).reason


def test_an_endpoint_that_needs_no_key_where_one_is_set_is_not_ready(serve):
    endpoint = serve()
    assert readiness(endpoint.url, MODEL, KEY).reason == "GET /v1/models was answered without the API key that is set"
    assert CHAT not in [route for route, *_unused in endpoint.seen]


# Warm-up


def test_a_warm_up_asks_at_once_with_prompts_of_its_own(serve):
    gate = threading.Barrier(4, timeout=120)
    endpoint = serve()
    answer = endpoint.routes[CHAT]

    def wait_for_the_others(handler, body):
        gate.wait()
        answer(handler, body)

    endpoint.routes[CHAT] = wait_for_the_others
    warm_up(endpoint.url, MODEL, None, concurrency=4, requests=8, input_words=50, output_tokens=3, timeout=30)
    bodies = [body for route, _unused, body in endpoint.seen if route == CHAT]
    prompts = {body["messages"][0]["content"] for body in bodies}
    assert len(bodies) == len(prompts) == 8
    assert {len(prompt.split()) for prompt in prompts} == {50}
    assert {body["max_tokens"] for body in bodies} == {3}


def test_a_warm_up_that_fails_says_how_often_and_why(serve):
    url = serve({CHAT: Reply("boom", 500)}).url
    with pytest.raises(EndpointError, match=r"4 of 4 requests failed, the first so: POST .* answered 500: boom"):
        warm_up(url, MODEL, None, concurrency=2, requests=4, input_words=5, output_tokens=3, timeout=30)


def test_an_endpoint_is_awaited(serve, monkeypatch):
    monkeypatch.setattr(client, "POLL", 0.01)
    endpoint = serve({})

    def health(handler, body):
        Reply("", 503 if len(endpoint.seen) < 3 else 200)(handler, body)

    endpoint.routes[HEALTH] = health
    GenerationClient(endpoint.url).wait_for_health(30)
    assert len(endpoint.seen) == 3


def test_an_endpoint_that_never_comes_is_awaited_no_longer(nowhere, monkeypatch):
    monkeypatch.setattr(client, "POLL", 0.01)
    GenerationClient(nowhere).wait_for_health(0.05)


def test_the_import_fails_in_no_module_without_requests():
    code = (
        "import sys; sys.modules['requests'] = None; "
        f"from {client.__name__} import REQUESTS_IMPORT_ERROR as error; assert isinstance(error, ImportError)"
    )
    path = next(entry for entry in sys.path if entry.endswith("collections"))
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path})
