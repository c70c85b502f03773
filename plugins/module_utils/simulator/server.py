# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's server: OpenAI- and Anthropic-compatible, standard library only.

In an image :mod:`.rootfs` runs it; elsewhere ``main`` does. The routes, and the shapes of
their answers, are those of vLLM; every answer has a Server header that says what it is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ..endpoint.guard import REFUSAL, Keys
from . import answers
from .answers import Answer, Refused
from .latency import BATCH, Engine, rates

VERSION = "0.1.0"
SERVER = f"inference.fleet-simulator/{VERSION}"
MAX_BODY = 64 * 1024 * 1024
# How far behind, in seconds, the steps may be before the delay is accepted.
_CATCH_UP = 1.0
_ID = itertools.count()


@dataclass(frozen=True)
class Options:
    """What the command line sets."""

    model: str
    served_model_name: str
    max_model_len: int
    keys: Keys | None


class Request:
    """A request in the engine: who waits for its tokens."""

    def __init__(self, on_token: Callable[[], None], gone: Callable[[], bool]) -> None:
        self.on_token = on_token
        self.gone = gone
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Pace:
    """Runs the latency model in real time: one loop serves every request, a step at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._requests: dict[int, Request] = {}
        self._wake = asyncio.Event()
        self.generated = 0
        self.prompted = 0
        # However they ended, as vLLM counts them.
        self.finished = 0

    @property
    def running(self) -> int:
        """Requests that decode."""
        return self._engine.running

    @property
    def waiting(self) -> int:
        """Requests without their first token."""
        return self._engine.waiting

    async def generate(self, answer: Answer, on_token: Callable[[], None], gone: Callable[[], bool]) -> None:
        """Call *on_token* when each token of an answer is due; return after the last one.

        Raises ConnectionResetError, and generates no more, once *gone* says that nobody listens.
        """
        key = next(_ID)
        left = len(answer.text)

        def due() -> None:
            nonlocal left
            on_token()
            left -= 1
            if left == 0:
                request.over.set_result(None)

        request = self._requests[key] = Request(due, gone)
        self._engine.submit(key, answer.prompt_tokens, len(answer.text))
        self.prompted += answer.prompt_tokens
        self._wake.set()
        try:
            await request.over
        finally:
            self.finished += 1
            self._engine.cancel(key)
            del self._requests[key]

    async def run(self) -> None:
        """Step for ever. A step is due at the sum of the steps before it; a late one delays none after it."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            self._drop_the_gone()
            step = self._engine.step()
            if step is None:
                self._wake.clear()
                await self._wake.wait()
                due = clock()
                continue
            due += step.seconds
            # A machine that stood still makes up for a second at most. Each step lets others run, however late it is.
            due = max(due, clock() - _CATCH_UP)
            await asyncio.sleep(max(0.0, due - clock()))
            for key in step.tokens + step.firsts:
                request = self._requests.get(key)
                if request and not request.over.done():
                    self.generated += 1
                    request.on_token()

    def _drop_the_gone(self) -> None:
        for key, request in self._requests.items():
            if not request.over.done() and request.gone():
                self._engine.cancel(key)
                request.over.set_exception(ConnectionResetError())


class Connection:
    """One client's connection, and the answers that it gets."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._in_stream = False

    async def serve(self) -> None:
        """Answer requests until the client leaves."""
        try:
            while await self._one():
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except (asyncio.LimitOverrunError, ValueError):
            # Where the next request begins is not known any more.
            with contextlib.suppress(ConnectionError):
                self.send_json(400, _error(400, "this is not an HTTP request that can be read"))
        finally:
            self._writer.close()

    async def _one(self) -> bool:
        head = await self._reader.readuntil(b"\r\n\r\n")
        request_line, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = request_line.split(" ", 2)
        headers = {
            name.strip().lower(): value.strip() for name, _unused, value in (line.partition(":") for line in lines)
        }
        if headers.get("expect", "").lower() == "100-continue":
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self._body(headers)
        path = target.partition("?")[0]
        self._in_stream = False
        try:
            await self._server.answer(self, method, path, headers, body)
        except Refused as refused:
            self.send_json(refused.status, _error(refused.status, str(refused), path))
        except ConnectionError:
            raise
        except Exception as error:
            _log(f"{method} {path}: {type(error).__name__}: {error}")
            if self._in_stream:
                return False
            self.send_json(500, _error(500, "the simulator failed on this request; its log says how", path))
        await self._writer.drain()
        keep = headers.get("connection", "").lower()
        return keep == "keep-alive" if version == "HTTP/1.0" else keep != "close"

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            parts, total = [], 0
            while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
                total = _bounded(total + size)
                parts.append((await self._reader.readexactly(size + 2))[:-2])
            await self._reader.readuntil(b"\r\n")
            return b"".join(parts)
        return await self._reader.readexactly(_bounded(int(headers.get("content-length") or 0)))

    # Answers

    def send(self, status: int, kind: str, body: bytes) -> None:
        """Send a whole answer."""
        self._head(status, kind, f"Content-Length: {len(body)}\r\n")
        self._writer.write(body)

    def send_json(self, status: int, body: Mapping[str, Any]) -> None:
        """Send a JSON object."""
        self.send(status, "application/json", json.dumps(body).encode())

    def open_events(self) -> None:
        """Begin a stream of server-sent events."""
        self._in_stream = True
        self._head(200, "text/event-stream; charset=utf-8", "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n")

    def event(self, data: str | Mapping[str, Any], name: str | None = None) -> None:
        """Send one event."""
        text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
        head = f"event: {name}\n" if name else ""
        self.raw_event(f"{head}data: {text}\n\n".encode())

    def raw_event(self, event: bytes) -> None:
        """Send one event that is ready to go."""
        self._writer.write(b"%x\r\n%b\r\n" % (len(event), event))

    def close_events(self) -> None:
        """End a stream of events."""
        self._writer.write(b"0\r\n\r\n")

    def gone(self) -> bool:
        """Whether the client has left."""
        return self._writer.is_closing() or self._reader.at_eof()

    def _head(self, status: int, kind: str, more: str) -> None:
        start = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: {SERVER}\r\n"
        self._writer.write(f"{start}Content-Type: {kind}\r\n{more}\r\n".encode("latin-1"))


class Server:
    """The routes."""

    def __init__(self, options: Options, pace: Pace) -> None:
        self._options = options
        self._pace = pace
        self.loaded = False
        self._routes: dict[tuple[str, str], Callable[..., Any]] = {
            ("GET", "/health"): self._health,
            ("GET", "/ping"): self._health,
            ("GET", "/version"): self._version,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/v1/models"): self._models,
            ("POST", "/tokenize"): self._tokenize,
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._completion,
            ("POST", "/v1/messages"): self._message,
            ("POST", "/v1/messages/count_tokens"): self._count,
        }

    async def answer(
        self, connection: Connection, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Answer one request."""
        keys = self._options.keys
        if keys and keys.guards(method, path) and not keys.fits(headers):
            raise Refused(401, REFUSAL)
        route = self._routes.get((method, path))
        if route is None:
            raise Refused(404, f"there is no {method} {path}")
        if not self.loaded and path not in ("/version", "/metrics"):
            raise Refused(503, "the engine is loading")
        await route(connection, _parse(body) if method == "POST" else {})

    # What is known at once

    async def _health(self, connection: Connection, _unused: Mapping[str, Any]) -> None:
        connection.send(200, "text/plain", b"")

    async def _version(self, connection: Connection, _unused: Mapping[str, Any]) -> None:
        connection.send_json(200, {"version": VERSION, "simulated": True})

    async def _models(self, connection: Connection, _unused: Mapping[str, Any]) -> None:
        options = self._options
        model = {
            "id": options.served_model_name,
            "object": "model",
            "created": int(time.time()),
            "owned_by": "inference.fleet-simulator",
            "root": options.model,
            "max_model_len": options.max_model_len,
        }
        connection.send_json(200, {"object": "list", "data": [model]})

    async def _metrics(self, connection: Connection, _unused: Mapping[str, Any]) -> None:
        label = f'{{model_name="{self._options.served_model_name}"}}'
        rows = (
            ("inference_fleet_simulated", "gauge", 1),
            ("vllm:num_requests_running", "gauge", self._pace.running),
            ("vllm:num_requests_waiting", "gauge", self._pace.waiting),
            ("vllm:kv_cache_usage_perc", "gauge", min(1.0, self._pace.running / BATCH)),
            ("vllm:request_success_total", "counter", self._pace.finished),
            ("vllm:prompt_tokens_total", "counter", self._pace.prompted),
            ("vllm:generation_tokens_total", "counter", self._pace.generated),
        )
        text = "".join(f"# TYPE {name} {kind}\n{name}{label} {value}\n" for name, kind, value in rows)
        connection.send(200, "text/plain; version=0.0.4; charset=utf-8", text.encode())

    async def _tokenize(self, connection: Connection, body: Mapping[str, Any]) -> None:
        wanted = body.get("messages") or body.get("prompt")
        if wanted is None:
            raise Refused(400, "prompt or messages is missing")
        count = answers.count_tokens(wanted)
        connection.send_json(200, {"count": count, "max_model_len": self._options.max_model_len})

    async def _count(self, connection: Connection, body: Mapping[str, Any]) -> None:
        self._check_model(body)
        connection.send_json(200, {"input_tokens": answers.message_tokens(body)})

    # What is generated

    async def _chat(self, connection: Connection, body: Mapping[str, Any]) -> None:
        self._check_model(body)
        answer = answers.chat_answer(body, self._options.max_model_len)
        if not body.get("stream"):
            await self._pace.generate(answer, lambda: None, connection.gone)
            head = self._head("chatcmpl", "chat.completion")
            connection.send_json(200, {**head, "choices": [answers.chat_body(answer)], "usage": answers.usage(answer)})
            return

        def choice(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
            return {"index": 0, "delta": delta, "finish_reason": finish}

        await self._stream(
            connection,
            body,
            answer,
            self._head("chatcmpl", "chat.completion.chunk"),
            choice(answers.chat_start(answer)),
            lambda token: choice(answers.chat_delta(answer, token)),
            choice({}, answer.finish),
        )

    async def _completion(self, connection: Connection, body: Mapping[str, Any]) -> None:
        self._check_model(body)
        answer = answers.completion_answer(body, self._options.max_model_len)
        head = self._head("cmpl", "text_completion")

        def choice(text: str, finish: str | None = None) -> dict[str, Any]:
            return {"index": 0, "text": text, "finish_reason": finish}

        if not body.get("stream"):
            await self._pace.generate(answer, lambda: None, connection.gone)
            connection.send_json(
                200, {**head, "choices": [choice(answer.text, answer.finish)], "usage": answers.usage(answer)}
            )
            return
        await self._stream(connection, body, answer, head, None, choice, choice("", answer.finish))

    async def _stream(
        self,
        connection: Connection,
        body: Mapping[str, Any],
        answer: Answer,
        head: Mapping[str, Any],
        first: Mapping[str, Any] | None,
        delta: Callable[[str], Mapping[str, Any]],
        last: Mapping[str, Any],
    ) -> None:
        """Stream an answer in OpenAI's form: one event a token; *first*, where there is one, goes with the first."""
        options = body.get("stream_options") or {}
        if not isinstance(options, Mapping):
            raise Refused(400, "stream_options must be an object")
        # Thousands of events a second differ in one character: the rest is made once.
        mark = "\x00"
        template = json.dumps({**head, "choices": [delta(mark)]}, separators=(",", ":"))
        before, _unused, after = template.partition(json.dumps(mark)[1:-1])
        tokens = iter(answer.text)

        def token_event() -> None:
            nonlocal first
            if first is not None:
                connection.event({**head, "choices": [first]})
                first = None
            connection.raw_event(f"data: {before}{json.dumps(next(tokens))[1:-1]}{after}\n\n".encode())

        connection.open_events()
        await self._pace.generate(answer, token_event, connection.gone)
        connection.event({**head, "choices": [last]})
        if options.get("include_usage"):
            connection.event({**head, "choices": [], "usage": answers.usage(answer)})
        connection.event("[DONE]")
        connection.close_events()

    async def _message(self, connection: Connection, body: Mapping[str, Any]) -> None:
        self._check_model(body)
        answer = answers.message_answer(body, self._options.max_model_len)
        message = {
            "id": f"msg_{next(_ID)}",
            "type": "message",
            "role": "assistant",
            "model": self._options.served_model_name,
        }
        counts = {"input_tokens": answer.prompt_tokens, "output_tokens": len(answer.text)}
        if not body.get("stream"):
            await self._pace.generate(answer, lambda: None, connection.gone)
            connection.send_json(200, {**message, **answers.message_body(answer), "usage": counts})
            return

        def event(kind: str, **more: Any) -> None:
            connection.event({"type": kind, **more}, name=kind)

        opening = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": {**counts, "output_tokens": 0}}
        tokens = iter(enumerate(answer.text))

        def token_event() -> None:
            place, token = next(tokens)
            if place == 0:
                event("message_start", message={**message, **opening})
                event("content_block_start", index=0, content_block=answers.block_start(answer))
            event("content_block_delta", index=0, delta=answers.block_delta(answer, token))

        connection.open_events()
        await self._pace.generate(answer, token_event, connection.gone)
        event("content_block_stop", index=0)
        ending = {"stop_reason": answers.stop_reason(answer), "stop_sequence": None}
        event("message_delta", delta=ending, usage={"output_tokens": len(answer.text)})
        event("message_stop")
        connection.close_events()

    def _check_model(self, body: Mapping[str, Any]) -> None:
        name = self._options.served_model_name
        if "model" not in body:
            raise Refused(400, "model is missing")
        if body["model"] != name:
            raise Refused(404, f"The model {body.get('model')!r} does not exist; this endpoint serves {name!r}.")

    def _head(self, kind: str, object_name: str) -> dict[str, Any]:
        return {
            "id": f"{kind}-{next(_ID)}",
            "object": object_name,
            "created": int(time.time()),
            "model": self._options.served_model_name,
        }


def _parse(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(parsed, dict):
        raise Refused(400, "the body is not a JSON object")
    return parsed


def _bounded(size: int) -> int:
    if not 0 <= size <= MAX_BODY:
        raise ValueError("the body is too large")
    return size


def _error(status: int, message: str, path: str = "") -> dict[str, Any]:
    kinds = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 503: "ServiceUnavailableError"}
    kind = kinds.get(status, "InternalServerError")
    error = {"error": {"message": message, "type": kind, "param": None, "code": status}}
    # Anthropic's clients look for one word more.
    return {"type": "error", **error} if path.startswith("/v1/messages") else error


def _figures(text: str) -> dict[str, Any]:
    row = json.loads(text)
    if not isinstance(row, dict) or not {"id", "metrics", "workload"} <= row.keys():
        raise argparse.ArgumentTypeError("wanted a published row: a JSON object with id, workload and metrics")
    return row


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="simulator", description="A simulated inference engine.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one, which the log names")
    parser.add_argument("--model", required=True)
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--figures", required=True, type=_figures, help="the published row to follow, as JSON")
    parser.add_argument("--max-model-len", type=int, default=262144)
    parser.add_argument("--load-seconds", type=float, default=0, help="rehearse a slow start: 503 for so long")
    parser.add_argument("--api-key-file", help="a file with the keys, one a line, that guard every path but /health")
    parser.add_argument("--version", action="version", version=VERSION)
    return parser.parse_args(arguments)


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    keys = Keys(arguments.api_key_file) if arguments.api_key_file else None
    row = arguments.figures
    pace = Pace(Engine(rates(row)))
    server = Server(Options(arguments.model, arguments.served_model_name, arguments.max_model_len, keys), pace)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The server ends at once, whatever its connections do: a cancelled one is no error.
        with contextlib.suppress(asyncio.CancelledError):
            await Connection(server, reader, writer).serve()

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listener = await asyncio.start_server(connected, arguments.host, arguments.port, limit=MAX_BODY, backlog=1024)
    host, port = listener.sockets[0].getsockname()[:2]
    _log(
        f"Simulated, after the figures of {row['id']}: nothing measured here is a measurement. "
        f"Listening on http://{host}:{port}"
    )
    steps = loop.create_task(pace.run())
    loading = loop.create_task(_load(server, arguments.load_seconds))
    ended = loop.create_task(stop.wait())
    # A step loop that fails must end the server, not leave it answering nothing.
    await asyncio.wait({steps, ended}, return_when=asyncio.FIRST_COMPLETED)
    listener.close()
    loading.cancel()
    if steps.done():
        steps.result()
    steps.cancel()


def _log(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _load(server: Server, seconds: float) -> None:
    """Go through the phases of a start, which vLLM logs, and let requests in."""
    if seconds:
        _log("Starting to load model")
        for shard in range(1, 5):
            await asyncio.sleep(seconds / 8)
            rate = f"00:{seconds / 8 * shard:02.0f}<00:{seconds / 8 * (4 - shard):02.0f}, {8 / seconds:.2f}it/s"
            _log(f"Loading safetensors checkpoint shards: {25 * shard:3d}% Completed | {shard}/4 [{rate}]")
        _log(f"Loading weights took {seconds / 2:.2f} seconds")
        await asyncio.sleep(seconds / 4)
        _log(f"torch.compile took {seconds / 4:.2f} s in total")
        await asyncio.sleep(seconds / 4)
        _log(f"Capturing CUDA graphs finished in {seconds / 4:.2f} secs")
        _log(f"init engine (profile, create kv cache, warmup model) took {seconds / 2:.2f} s")
    server.loaded = True
    _log("Starting simulator server")
    _log("Application startup complete.")


def main() -> None:
    """Run the server."""
    asyncio.run(serve(parse_arguments(sys.argv[1:])))


if __name__ == "__main__":
    main()
