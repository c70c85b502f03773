# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard of vLLM's API key in a server of vLLM's own environment."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.tests.patience import PATIENCE
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.endpoint.test_guard import KEY, Mounted

# tests/rigs/vllm_cpu/build makes it.
VLLM = Path(__file__).resolve().parents[3] / ".build/venvs/vllm-cpu/bin/python"


SERVER = """
import sys

import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware

app = FastAPI(root_path=sys.argv[2])
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])


@app.get("/health")
async def health():
    return "well"


@app.post("/invocations")
async def invocations(request: Request):
    return {"read": len(await request.body())}


@app.websocket("/v1/realtime")
async def realtime(socket: WebSocket):
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


# As vLLM does it with --middleware.
from inference_fleet_guard import Guard

app.add_middleware(Guard)
uvicorn.run(app, fd=int(sys.argv[1]), http=sys.argv[3], log_level="warning")
"""


class Server:
    """A server behind the guard."""

    def __init__(self, mounted: Mounted, port: int) -> None:
        self.mounted, self.port = mounted, port

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def status(self, target: str, *headers: str, method: str = "POST") -> int:
        """Send a request's head as it is, which a client library would set right; return the answer's status."""
        lines = [f"{method} {target} HTTP/1.1", "Host: a", "Content-Length: 0", "Connection: close", *headers]
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as raw:
            raw.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
            answer = raw.makefile("rb").readline().split()
        return int(answer[1])

    def upgrade(self, *headers: str) -> int:
        socket_headers = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        lines = ["GET /v1/realtime HTTP/1.1", "Host: a", *socket_headers, key, *headers, "", ""]
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as raw:
            raw.sendall("\r\n".join(lines).encode())
            return int(raw.makefile("rb").readline().split()[1])


@contextlib.contextmanager
def running(directory: Path, root_path: str = "", protocol: str = "auto") -> Iterator[Server]:
    """Serve from vLLM's own environment."""
    mounted = Mounted(directory)
    mounted.write(KEY.encode())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The socket is there before the server: the first request waits for it, and needs no polling.
        command = [str(VLLM), "-B", "-c", SERVER, str(listener.fileno()), root_path, protocol]
        log = directory / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command,
                stdout=stream,
                stderr=stream,
                pass_fds=[listener.fileno()],
                env={**os.environ, "PYTHONPATH": str(directory)},
            )
        server = Server(mounted, listener.getsockname()[1])
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                assert server.ask("GET", root_path + "/health") == (200, '"well"')
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
        yield server
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", params=["h11", "httptools"])
def server(request, tmp_path_factory) -> Iterator[Server]:
    if not VLLM.exists():
        pytest.skip("no vLLM's environment here: tests/rigs/vllm_cpu/build makes it")
    with running(tmp_path_factory.mktemp("server"), protocol=request.param) as started:
        yield started


def test_a_server_answers_without_the_key(server):
    status, text = server.ask("POST", "/invocations", b"x" * 1_000_000)
    assert (status, json.loads(text)["error"]["code"]) == (401, 401)
    assert server.ask("HEAD", "/invocations") == (401, "")
    assert server.ask("GET", "/nothing")[0] == 401
    assert server.ask("GET", "/openapi.json")[0] == 401


def test_a_server_answers_with_the_key(server):
    body = b"x" * 1_000_000
    for headers in ({"Authorization": f"Bearer {KEY}"}, {"X_Api_Key": KEY}):
        assert server.ask("POST", "/invocations", body, **headers) == (200, f'{{"read":{len(body)}}}')
        assert server.ask("GET", "/nothing", **headers)[0] == 404


def test_a_browser_may_ask_a_server_first(server):
    asked = {"Origin": "http://a", "Access_Control_Request_Method": "POST"}
    assert server.ask("OPTIONS", "/invocations", **asked) == (200, "OK")


@pytest.mark.parametrize(
    "target",
    ["/health/", "//health", "/health/../invocations", "/health/%2e%2e/invocations", "/health%2f..%2finvocations",
     "/health%00", "/./health", "/invocations?/health", "/invocations;/health", "//a/health", "/invocations%23/health"],
)  # fmt: skip
def test_no_trick_with_the_path_opens_a_server(server, target):
    assert server.status(target) in (400, 401)


def test_however_the_open_path_is_written_it_leads_nowhere_else(server):
    # 405: the application was reached, at a path that takes no POST.
    for target in ("/health", "/%68ealth", "/health?/invocations"):
        assert server.status(target) == 405
        assert server.status(target, method="GET") == 200
    # A proxy's form of a target: the whole URL.
    assert server.status("http://a/health") in (401, 405)
    assert server.status("http://a/invocations") in (400, 401)


def test_a_server_takes_two_headers_of_a_kind_for_no_key(server):
    assert server.status("/invocations", "Authorization: Bearer a", "Authorization: Bearer b") == 401


def test_a_server_s_websocket(server):
    assert server.upgrade() == 403
    assert server.upgrade("Authorization: Bearer wrong") == 403
    assert server.upgrade(f"Authorization: Bearer {KEY}") == 101
    assert server.upgrade(f"x-api-key: {KEY}") == 101


def test_a_server_takes_a_new_key_while_a_connection_stays(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):

        def status(key: str) -> int:
            connection.request("POST", "/invocations", b"x", {"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            answer.read()
            return answer.status

        try:
            assert (status(KEY), status("new")) == (200, 401)
            server.mounted.write(b"new")
            assert (status(KEY), status("new")) == (401, 200)
            server.mounted.key.unlink()
            assert (status(KEY), status("new")) == (401, 200)
        finally:
            server.mounted.write(KEY.encode())
        assert (status(KEY), status("new")) == (200, 401)


@pytest.mark.skipif(not VLLM.exists(), reason="no vLLM's environment here: tests/rigs/vllm_cpu/build makes it")
def test_a_server_below_a_path(tmp_path):
    with running(tmp_path, "/engines/a") as server:
        assert server.ask("GET", "/health")[0] == 200
        assert server.ask("GET", "/engines/a/health")[0] == 200
        for target in ("/engines/a/invocations", "/invocations", "/engines/ahealth", "/engines/a//health"):
            assert server.status(target) == 401
            assert server.status(target, f"x-api-key: {KEY}") != 401
