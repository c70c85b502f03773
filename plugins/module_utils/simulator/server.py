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
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..endpoint.guard import REFUSAL, Keys
from . import answers, asked, faults, script, shapes
from .answers import Answer
from .asked import Asked, Refused
from .latency import BATCH, Engine, rates
from .members import Members, follow
from .pace import Pace
from .web import MAX_BODY, VERSION, Connection, log


@dataclass(frozen=True)
class Options:
    """What the command line sets."""

    model: str
    served_model_names: Sequence[str]
    max_model_len: int
    keys: Keys | None
    wrong: frozenset[str] = frozenset()
    script: script.Script = ()

    @property
    def served_model_name(self) -> str:
        """The first of its names, which answers have."""
        return self.served_model_names[0]

    @property
    def listed_names(self) -> Sequence[str]:
        """The names that /v1/models lists."""
        return ("another-name",) if "other-name" in self.wrong else self.served_model_names

    @property
    def longest(self) -> int:
        """The context length that is really taken."""
        return self.max_model_len // 2 if "short-context" in self.wrong else self.max_model_len


@dataclass(frozen=True)
class Protocol:
    """How a request of one of the protocols is read, and how its answer is written."""

    read: Callable[[Mapping[str, Any]], Asked]
    whole: Callable[[Answer, str], Mapping[str, Any]]
    # Answer, model, whether to count tokens in the stream, whether to send it as one piece.
    events: Callable[[Answer, str, bool, bool], Iterator[bytes]]


PROTOCOLS = {
    "/v1/chat/completions": Protocol(asked.chat, shapes.chat, shapes.chat_events),
    "/v1/completions": Protocol(asked.completion, shapes.completion, shapes.completion_events),
    "/v1/messages": Protocol(asked.message, shapes.message, shapes.message_events),
    "/v1/responses": Protocol(asked.response, shapes.response, shapes.response_events),
}


class Server:
    """The routes."""

    def __init__(self, options: Options, pace: Pace, members: Members | None = None) -> None:
        self._options = options
        self._pace = pace
        self._members = members or Members(0)
        self.loaded = False
        self._routes: dict[tuple[str, str], Callable[..., Any]] = {
            ("GET", "/health"): self._health,
            ("GET", "/ping"): self._health,
            ("GET", "/version"): self._version,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/v1/models"): self._models,
            ("POST", "/tokenize"): self._tokenize,
            ("GET", "/openapi.json"): self._openapi,
            ("POST", "/v1/messages/count_tokens"): self._count,
            **{("POST", path): partial(self._generate, path) for path in PROTOCOLS},
        }
        if "open-route" in options.wrong:
            self._routes["POST", "/invocations"] = partial(self._generate, "/v1/chat/completions")

    async def answer(
        self, connection: Connection, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Answer one request."""
        keys = self._options.keys
        if keys and self._guards(keys, method, path) and not keys.fits(self._heeded(headers)):
            raise Refused(401, REFUSAL)
        route = self._routes.get((method, path))
        if route is None or faults.missing(path, self._options.wrong):
            raise Refused(404, f"there is no {method} {path}")
        if not self.loaded and path not in ("/version", "/metrics"):
            raise Refused(503, "the engine is loading")
        await route(connection, _parse(body) if method == "POST" else {})

    def _guards(self, keys: Keys, method: str, path: str) -> bool:
        return keys.guards(method, path) and not (path == "/invocations" and "open-route" in self._options.wrong)

    def _heeded(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers that are looked at."""
        if "bearer-only" not in self._options.wrong:
            return headers
        return {name: value for name, value in headers.items() if name != "x-api-key"}

    # What is known at once

    async def _health(self, connection: Connection, _unused: Mapping[str, Any]) -> None:
        connection.send(200, "text/plain", b"")

    async def _version(self, connection: Connection, _unused: Mapping[str, Any]) -> None:
        connection.send_json(200, {"version": VERSION, "simulated": True})

    async def _models(self, connection: Connection, _unused: Mapping[str, Any]) -> None:
        options = self._options
        model = {
            "object": "model",
            "created": int(time.time()),
            "owned_by": "inference.fleet-simulator",
            "root": options.model,
            "max_model_len": options.max_model_len,
        }
        data = [{"id": name, **model} for name in options.listed_names]
        connection.send_json(200, {"object": "list", "data": data})

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

    async def _openapi(self, connection: Connection, _unused: Mapping[str, Any]) -> None:
        paths: dict[str, dict[str, Any]] = {}
        for method, path in self._routes:
            if not faults.missing(path, self._options.wrong):
                paths.setdefault(path, {})[method.lower()] = {"responses": {"200": {"description": "An answer."}}}
        about = {"title": "inference.fleet simulator", "version": VERSION}
        connection.send_json(200, {"openapi": "3.1.0", "info": about, "paths": paths})

    async def _tokenize(self, connection: Connection, body: Mapping[str, Any]) -> None:
        wanted = body.get("messages") or body.get("prompt")
        if wanted is None:
            raise Refused(400, "prompt or messages is missing")
        count = asked.count_tokens(wanted)
        connection.send_json(200, {"count": count, "max_model_len": self._options.max_model_len})

    async def _count(self, connection: Connection, body: Mapping[str, Any]) -> None:
        self._check_model(body)
        connection.send_json(200, {"input_tokens": asked.message_tokens(body)})

    # What is generated

    async def _generate(self, path: str, connection: Connection, body: Mapping[str, Any]) -> None:
        """Answer a request for text, tool calls or JSON, as a whole or as a stream."""
        self._check_model(body)
        protocol, wrong, stream = PROTOCOLS[path], self._options.wrong, bool(body.get("stream"))
        if path == "/v1/messages":
            faults.refuse(body, wrong)
        wanted = protocol.read(body)
        answer = script.answer(self._options.script, wanted) or answers.answer(wanted, self._options.longest, wrong)
        answer = faults.spoil(answer, wanted, stream, wrong)
        await self._members.work()
        if not stream:
            await self._pace.generate(answer, lambda: None, connection.gone)
            connection.send_json(200, protocol.whole(answer, self._options.served_model_name))
            return
        options = body.get("stream_options") or {}
        if not isinstance(options, Mapping):
            raise Refused(400, "stream_options must be an object")
        events = protocol.events(
            answer, self._options.served_model_name, bool(options.get("include_usage")), "one-chunk" in wrong
        )
        left = answer.tokens // 2 if "broken-stream" in wrong else answer.tokens

        def token() -> None:
            nonlocal left
            connection.events(next(events))
            left -= 1
            if left == 0 and "broken-stream" in wrong:
                connection.break_off()

        connection.open_events()
        await self._pace.generate(answer, token, connection.gone)
        for rest in events:
            connection.events(rest)
        connection.close_events()

    def _check_model(self, body: Mapping[str, Any]) -> None:
        names = self._options.served_model_names
        if "model" not in body:
            raise Refused(400, "model is missing")
        if body["model"] not in names:
            told = ", ".join(map(repr, names))
            raise Refused(404, f"The model {body.get('model')!r} does not exist; this endpoint serves {told}.")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(parsed, dict):
        raise Refused(400, "the body is not a JSON object")
    return parsed


def _figures(text: str) -> dict[str, Any]:
    row = json.loads(text)
    if not isinstance(row, dict) or not {"id", "metrics", "workload"} <= row.keys():
        raise argparse.ArgumentTypeError("wanted a published row: a JSON object with id, workload and metrics")
    return row


def _script(path: str) -> script.Script:
    try:
        return script.load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from error


def _faults() -> str:
    told = "; ".join(f"{name}: {what}" for name, what in faults.FAULTS.items())
    return f"be wrong in a way that checks have to see, several where given again: {told}"


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="simulator", description="A simulated inference engine.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one, which the log names")
    parser.add_argument("--model", required=True)
    parser.add_argument("--served-model-name", required=True, nargs="+")
    parser.add_argument("--figures", required=True, type=_figures, help="the published row to follow, as JSON")
    parser.add_argument("--max-model-len", type=int, default=262144)
    parser.add_argument("--load-seconds", type=float, default=0, help="rehearse a slow start: 503 for so long")
    parser.add_argument("--api-key-file", help="a file with the keys, one a line, that guard every path but /health")
    parser.add_argument("--wrong", action="append", default=[], choices=faults.FAULTS, metavar="FAULT", help=_faults())
    parser.add_argument("--script", type=_script, default=(), help="a file with conversations to play, as JSON")
    parser.add_argument("--nnodes", type=int, default=1, help="how many hosts serve the model together")
    parser.add_argument("--node-rank", type=int, default=0, help="which of them this is: 0 is the head")
    parser.add_argument("--master-addr", help="the head's address for the others")
    parser.add_argument("--master-port", type=int, help="its port for them")
    parser.add_argument("--version", action="version", version=VERSION)
    return parser.parse_args(arguments)


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    keys = Keys(arguments.api_key_file) if arguments.api_key_file else None
    row = arguments.figures
    pace = Pace(Engine(rates(row)))
    wrong = frozenset(arguments.wrong)
    options = Options(
        arguments.model, arguments.served_model_name, arguments.max_model_len, keys, wrong, arguments.script
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if arguments.node_rank:
        following = loop.create_task(follow(arguments.master_addr, arguments.master_port))
        await stop.wait()
        following.cancel()
        return
    # The request that found a member gone is answered before the end.
    members = Members(arguments.nnodes - 1, lost=lambda: loop.call_later(0.2, stop.set))
    joining = await members.listen(arguments.master_addr, arguments.master_port) if arguments.nnodes > 1 else None
    server = Server(options, pace, members)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The server ends at once, whatever its connections do: a cancelled one is no error.
        with contextlib.suppress(asyncio.CancelledError):
            await Connection(server.answer, reader, writer).serve()

    listener = await asyncio.start_server(connected, arguments.host, arguments.port, limit=MAX_BODY, backlog=1024)
    host, port = listener.sockets[0].getsockname()[:2]
    log(
        f"Simulated, after the figures of {row['id']}: nothing measured here is a measurement. "
        f"Listening on http://{host}:{port}"
    )
    if wrong:
        log(f"Wrong on purpose: {', '.join(sorted(wrong))}.")
    if keys and "leaky-log" in wrong:
        log(f"API key: {Path(arguments.api_key_file).read_text(encoding='utf-8')}")
    steps = loop.create_task(pace.run())
    loading = loop.create_task(_load(server, members, arguments.load_seconds))
    ended = loop.create_task(stop.wait())
    # A step loop that fails must end the server, not leave it answering nothing.
    await asyncio.wait({steps, ended}, return_when=asyncio.FIRST_COMPLETED)
    listener.close()
    if joining:
        joining.close()
    loading.cancel()
    if steps.done():
        steps.result()
    steps.cancel()


async def _load(server: Server, members: Members, seconds: float) -> None:
    """Go through the phases of a start, which vLLM logs, and let requests in."""
    await members.wait()
    if seconds:
        log("Starting to load model")
        for shard in range(1, 5):
            await asyncio.sleep(seconds / 8)
            rate = f"00:{seconds / 8 * shard:02.0f}<00:{seconds / 8 * (4 - shard):02.0f}, {8 / seconds:.2f}it/s"
            log(f"Loading safetensors checkpoint shards: {25 * shard:3d}% Completed | {shard}/4 [{rate}]")
        log(f"Loading weights took {seconds / 2:.2f} seconds")
        await asyncio.sleep(seconds / 4)
        log(f"torch.compile took {seconds / 4:.2f} s in total")
        await asyncio.sleep(seconds / 4)
        log(f"Capturing CUDA graphs finished in {seconds / 4:.2f} secs")
        log(f"init engine (profile, create kv cache, warmup model) took {seconds / 2:.2f} s")
    server.loaded = True
    log("Starting simulator server")
    log("Application startup complete.")


def main() -> None:
    """Run the server."""
    asyncio.run(serve(parse_arguments(sys.argv[1:])))


if __name__ == "__main__":
    main()
