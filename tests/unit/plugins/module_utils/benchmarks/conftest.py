# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small OpenAI-compatible server with faults, and clients to drive it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[5]
FIXTURES = Path(__file__).parent / "fixtures"
MODEL = "qwen3-coder-next"


class Server:
    """Serves chat completions: one token a byte of prompt, one letter a token of output, and a fault if asked."""

    def __init__(
        self,
        fault: str = "",
        max_model_len: int | None = 32768,
        api_key: str | None = None,
        metrics: bool = False,
    ) -> None:
        self.fault = fault
        # What others do, for /metrics: requests in flight, and tokens between two looks.
        self.others = self.others_tokens = self.generated = 0
        # What is counted since the start.
        self.finished = self.prompted = self.cached = 0
        self.in_flight = 0
        counting = threading.Lock()
        # Of the next looks at /metrics, how many are answered too late.
        self.late_looks = 0
        self.requests: list[dict[str, Any]] = []
        # What is answered where it is not streamed: a message, by the request.
        self.reply: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        self.simulated = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def _json(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _refused(self) -> bool:
                if api_key and self.headers.get("Authorization") != f"Bearer {api_key}":
                    self._json(401, {"error": {"message": "invalid key"}})
                    return True
                return False

            def _metrics(self) -> None:
                if server.late_looks:
                    server.late_looks -= 1
                    time.sleep(1)
                server.generated += server.others_tokens
                rows = (
                    f"vllm:num_requests_running {server.others + server.in_flight}",
                    "vllm:num_requests_waiting 0",
                    f"vllm:generation_tokens_total {server.generated}",
                    f"vllm:request_success_total {server.finished}",
                    f"vllm:prompt_tokens_total {server.prompted}",
                    f"vllm:prefix_cache_hits_total {server.cached}",
                )
                data = "".join(f"{row}\n" for row in rows).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                if metrics and self.path == "/metrics":
                    self._metrics()
                elif self.path == "/version":
                    self._json(200, {"version": "1", **({"simulated": True} if server.simulated else {})})
                elif not self._refused():
                    self._json(200, {"data": [{"id": MODEL, "max_model_len": max_model_len}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self._refused():
                    return
                server.requests.append(body)
                refused = len(server.requests) in (2, 4) if "some 400" in server.fault else server.fault == "400"
                if refused:
                    self._json(400, {"error": {"message": "the prompt is of no use"}})
                    return
                wanted = body.get("max_completion_tokens") or body.get("max_tokens") or 1
                count = wanted // 2 if server.fault == "short" else wanted
                content = body["messages"][0]["content"]
                text = content if isinstance(content, str) else "".join(part["text"] for part in content)
                usage = {"prompt_tokens": len(text.encode()), "completion_tokens": count}
                if not body.get("stream"):
                    message = server.reply(body) if server.reply else {"content": "a" * count}
                    self._json(200, {"choices": [{"message": message}], "usage": usage})
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                with counting:
                    server.in_flight += 1
                for index in range(count):
                    if "dies" in server.fault and len(server.requests) > 5 and index == 2:
                        threading.Thread(target=server.stop).start()
                        self.connection.shutdown(socket.SHUT_RDWR)
                        self.close_connection = True
                        return
                    time.sleep(server.gap)
                    self._event({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]})
                with counting:
                    server.in_flight -= 1
                    server.generated += count
                    server.finished += 1
                    server.prompted += usage["prompt_tokens"]
                self._event({"choices": [], "usage": usage})
                self._chunk(b"data: [DONE]\n\n")
                self.wfile.write(b"0\r\n\r\n")

            def _event(self, event: dict[str, Any]) -> None:
                self._chunk(
                    b"data: %s\n\n" % json.dumps({"object": "chat.completion.chunk", "model": MODEL, **event}).encode()
                )

            def _chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

        self.gap = 0.002
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that end with the test."""
    servers: list[Server] = []

    def start(**options: Any) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    """Write a byte-level tokenizer, one token a byte, and return its directory."""
    from ansible_collections.inference.fleet.plugins.module_utils.simulator.tokenizer import tokenizer_files

    directory = tmp_path / "tokenizer"
    directory.mkdir()
    for name, text in tokenizer_files().items():
        (directory / name).write_text(text, encoding="utf-8")
    return str(directory)
