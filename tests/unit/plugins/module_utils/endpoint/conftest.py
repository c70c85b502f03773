# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints on the loopback: the simulator, and servers that misbehave in one way each."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs

MODEL = "a-model"
ARGUMENTS = '{"city": "Paris", "unit": "celsius"}'
HEALTH, MODELS = ("GET", "/health"), ("GET", "/v1/models")
CHAT, MESSAGES = ("POST", "/v1/chat/completions"), ("POST", "/v1/messages")
Route = tuple[str, str]


@dataclass(frozen=True)
class Reply:
    """A whole answer. *length* is what Content-Length claims, where not the truth."""

    body: Any = ""
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None

    def __call__(self, handler: BaseHTTPRequestHandler, request: Mapping[str, Any]) -> None:
        data = (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()
        handler.send_response(self.status)
        handler.send_header("Content-Type", self.kind)
        handler.send_header("Content-Length", str(len(data) if self.length is None else self.length))
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = True


@dataclass(frozen=True)
class Events:
    """A stream. Each part is sent as it is, or, where it is no bytes, as an event."""

    parts: tuple[Any, ...]

    def __call__(self, handler: BaseHTTPRequestHandler, request: Mapping[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.end_headers()
        for part in self.parts:
            if not isinstance(part, bytes):
                text = part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
                part = f"data: {text}\n\n".encode()
            handler.wfile.write(part)
        handler.close_connection = True


def hang(handler: Any, request: Mapping[str, Any]) -> None:
    """Send nothing until the test is over."""
    handler.server.over.wait(30)
    handler.close_connection = True


def drip(handler: Any, request: Mapping[str, Any]) -> None:
    """Send a comment now and then, for much longer than the client's limit: no single read times out."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()
    for _unused in range(100):
        if handler.server.over.wait(0.05):
            break
        handler.wfile.write(b": still here\n\n" * 64)
    handler.close_connection = True


def hang_up(handler: Any, request: Mapping[str, Any]) -> None:
    """Close the connection without a word."""
    handler.close_connection = True


def patience(answer: Any) -> float:
    """Return a limit for one answer, in seconds: short where it never comes, else long enough for a busy machine."""
    return 3 if answer in (hang, drip) else 30


def delta(finish: str | None = None, **parts: Any) -> dict[str, Any]:
    """Return an event of a stream."""
    return {"choices": [{"index": 0, "delta": parts, "finish_reason": finish}]}


def called(arguments: Any, name: str = "get_weather", finish: str = "stop") -> Reply:
    """Return an answer with a tool call."""
    call = {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return Reply({"choices": [{"message": message, "finish_reason": finish}], "usage": {"completion_tokens": 9}})


def call_events(*parts: str, name: str = "get_weather", finish: str = "stop", index: int = 0) -> tuple[Any, ...]:
    """Return the events of a streamed tool call, whose arguments come in parts."""
    head = {"index": index, "id": "1", "type": "function", "function": {"name": name, "arguments": ""}}
    rest = [delta(tool_calls=[{"index": index, "function": {"arguments": part}}]) for part in parts]
    return (delta(role="assistant", tool_calls=[head]), *rest, delta(finish=finish))


def usage(tokens: int) -> dict[str, Any]:
    """Return the event with the usage."""
    return {"choices": [], "usage": {"completion_tokens": tokens}}


TEXT = (delta(role="assistant", content=""), delta(content="One"), delta(content=" two"), delta(finish="stop"))


def chat(handler: Any, request: Mapping[str, Any]) -> None:
    """Answer a chat completion as a healthy engine does."""
    if request.get("stream"):
        parts = call_events('{"city": "Pa', 'ris", "unit": "celsius"}') if request.get("tools") else TEXT
        Events((*parts, usage(2), "[DONE]"))(handler, request)
    elif request.get("tools"):
        called(ARGUMENTS)(handler, request)
    else:
        body = {"choices": [{"message": {"content": "One two"}}], "usage": {"completion_tokens": 2}}
        Reply(body)(handler, request)


def only(when: Callable[[Mapping[str, Any]], Any], answer: Any) -> Any:
    """Answer so where the request is such, and as a healthy engine else."""
    return lambda handler, request: (answer if when(request) else chat)(handler, request)


HEALTHY: dict[Route, Any] = {
    HEALTH: Reply(),
    MODELS: Reply({"object": "list", "data": [{"id": MODEL, "max_model_len": 4096}]}),
    CHAT: chat,
    MESSAGES: Reply(
        {"type": "message", "content": [{"type": "text", "text": "One two"}], "usage": {"output_tokens": 2}}
    ),
    ("GET", "/version"): Reply({"version": "1.2.3"}),
    ("GET", "/metrics"): Reply("running 0\n", kind="text/plain"),
}


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        # A form has sound in it.
        request = json.loads(body) if body.startswith(b"{") else {}
        route = (self.command, self.path)
        self.server.seen.append((route, dict(self.headers), request))  # type: ignore[attr-defined]
        self.server.routes.get(route, Reply("no such route", 404))(self, request)  # type: ignore[attr-defined]

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Endpoint(ThreadingHTTPServer):
    """A server, and what it was asked: route, headers, body."""

    daemon_threads = True

    def __init__(self, routes: Mapping[Route, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes = {**HEALTHY, **routes}
        self.seen: list[tuple[Route, dict[str, str], dict[str, Any]]] = []
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left in the middle of an answer is what some tests are about."""


@pytest.fixture
def serve():
    """Start a healthy endpoint, with some routes that answer otherwise."""
    running: list[tuple[Endpoint, threading.Thread]] = []

    def start(routes: Mapping[Route, Any] | None = None) -> Endpoint:
        endpoint = Endpoint(routes or {})
        thread = threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((endpoint, thread))
        return endpoint

    yield start
    for endpoint, thread in running:
        endpoint.over.set()
        endpoint.shutdown()
        thread.join()
        endpoint.server_close()


@pytest.fixture
def nowhere() -> str:
    """The URL of a port where nothing listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def simulator(tmp_path):
    """Start simulators, as the image runs them; return their URLs."""
    for name, content in rootfs.sources().items():
        (tmp_path / "image" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "image" / name).write_bytes(content)
    row = {
        "id": "a fast row",
        "workload": {"input_length": 100, "output_length": 20, "num_prompts": 32, "max_concurrency": 8},
        "metrics": {"mean_ttft_ms": 2, "p99_ttft_ms": 5, "mean_tpot_ms": 1, "p99_itl_ms": 2},
    }
    running: list[subprocess.Popen[str]] = []

    def start(*extra: str) -> str:
        command = [sys.executable, "-B", str(tmp_path / "image"), "--port", "0", "--model", "Some/Model"]
        command += ["--served-model-name", MODEL, "--figures", json.dumps(row), *extra]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        running.append(process)
        told = ""
        while "startup complete" not in told:
            line = process.stdout.readline()
            assert line, f"the simulator did not start: {told}"
            told += line
        return re.search(r"http://[\d.:]+", told)[0].rstrip(":")

    # For who ends one before its time.
    start.running = running
    yield start
    for process in running:
        process.kill()
        process.communicate()
