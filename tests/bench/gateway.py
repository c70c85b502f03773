# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway costs beside the bare engine: figures and ratios of one run, no judgement.

Usage: python tests/bench/gateway.py [PAIRS]

The engine is the simulator, and all of it runs on this machine. Bare and through the gateway take turns, request by
request for the time to the first token and round by round for the throughput, so that a busy machine slows both.
Connections are kept, as SDKs do. What the same engine differs by from itself is told beside it.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".build/collections"), str(ROOT / "tests/integration")]

from gateway_rig import ANNA, ENGINE_KEY, MODEL, Engine, Gateway, Host, Wire, opened  # noqa: E402  (after the path)

from ansible_collections.inference.fleet.plugins.module_utils.gateway import sockets  # noqa: E402  (likewise)

PAIRS = 300
ROUNDS, STREAMS, TOKENS = 6, 16, 256
Connect = Callable[[], http.client.HTTPConnection]


def stream(connection: http.client.HTTPConnection, key: str, tokens: int) -> tuple[float, int]:
    """Return the seconds to the first token of a stream, and how many pieces it had."""
    body = {"model": MODEL, "max_tokens": tokens, "ignore_eos": True, "stream": True}
    body["messages"] = [{"role": "user", "content": "hello"}]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    begun = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body=json.dumps(body).encode(), headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.readline()
    first = time.perf_counter() - begun
    pieces = 1 + sum(line.startswith(b"data:") for line in answer)
    return first, pieces


def first_tokens(sides: dict[str, tuple[Connect, str]], pairs: int) -> None:
    """Tell the time to the first token on each side, a request at a time, in turns."""
    connections = {name: (connect(), key) for name, (connect, key) in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _pair in range(pairs + 5):
        for name, (connection, key) in connections.items():
            seconds[name].append(stream(connection, key, 4)[0])
    bare = [1000 * each for each in seconds["bare"][5:]]
    print(f"TTFT, {pairs} requests a side, one at a time:")
    for name, taken in seconds.items():
        mine = [1000 * each for each in taken[5:]]
        more = statistics.median(one - other for one, other in zip(mine, bare, strict=True))
        p99s = [statistics.quantiles(each, n=100)[98] for each in (mine, bare)]
        print(
            f"  {name:8} p50 {statistics.median(mine):7.2f} ms, p99 {p99s[0]:7.2f} ms; more than bare: "
            f"p50 of the pairs {more:+.2f} ms, p99 {p99s[0] - p99s[1]:+.2f} ms"
        )


def throughput(connect: Connect, key: str) -> float:
    """Return the pieces a second of streams that run at once."""
    counts: list[int] = []

    def one() -> None:
        counts.append(stream(connect(), key, TOKENS)[1])

    threads = [threading.Thread(target=one) for _each in range(STREAMS)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begun)


def throughputs(sides: dict[str, tuple[Connect, str]]) -> None:
    """Tell the throughput of each side, in turns."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS):
        order = list(sides) if number % 2 else list(sides)[::-1]
        for name in order:
            found[name].append(throughput(*sides[name]))
    print(f"Throughput, {ROUNDS} rounds of {STREAMS} streams of {TOKENS} tokens:")
    for name, rates in found.items():
        ratios = [rate / other for rate, other in zip(rates, found["bare"], strict=True)]
        print(
            f"  {name:8} {statistics.median(rates):8.1f} tokens/s; to bare, of the pairs: "
            f"{statistics.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})"
        )


def processor(run_directory: str) -> float:
    """Return the seconds of a processor that a HAProxy has taken."""
    (worker,) = sockets.workers(Path(run_directory) / "master.sock")
    fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def looked_into(gateway: Gateway) -> float:
    """Return the processor's time with gateway_stream_tokens as a ratio to that without, in turns."""
    taken = {False: 0.0, True: 0.0}
    for number in range(4):
        for wanted in (False, True) if number % 2 else (True, False):
            gateway.deploy(stream_tokens=wanted)
            gateway.healthy()
            before = processor(gateway.params["run_directory"])
            throughput(gateway.connect, ANNA)
            taken[wanted] += processor(gateway.params["run_directory"]) - before
    return taken[True] / taken[False]


def main() -> None:
    pairs = int(sys.argv[1]) if sys.argv[1:] else PAIRS
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryDirectory() as other,
        opened(Path(name)) as gateway,
        opened(Path(other)) as far,
    ):
        engine = Engine(Path(name), MODEL, ENGINE_KEY)
        # The same engine, as another host has it: over TLS, without anybody who listens on the wire.
        host = Host("h1", far, engine, Wire(), bind="0.0.0.0")
        try:
            gateway.deploy(endpoints=[engine.endpoint("h1")])
            host.bring()
            far.deploy(endpoints=[host.endpoint()], tls_port=host.wire.to)
            for each in (gateway, far):
                each.healthy()

            def bare() -> http.client.HTTPConnection:
                return http.client.HTTPConnection("127.0.0.1", engine.port, timeout=120)

            print(f"Load of this machine at the beginning: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.")
            sides = {"bare": (bare, ENGINE_KEY), "again": (bare, ENGINE_KEY), "gateway": (gateway.connect, ANNA)}
            sides["over TLS"] = (far.connect, ANNA)
            first_tokens(sides, pairs)
            throughputs(sides)
            run_directories = [each.params["run_directory"] for each in (gateway, far)] + [host.run_directory]
            before = [processor(each) for each in run_directories]
            for _round in range(4):
                throughput(gateway.connect, ANNA)
                throughput(far.connect, ANNA)
            streams = 4 * STREAMS
            taken = [
                1000 * (processor(each) - old) / streams for each, old in zip(run_directories, before, strict=True)
            ]
            print(
                f"Processor of the gateway: {taken[0]:.2f} s a 1,000 streams of {TOKENS} tokens, each with a TLS "
                f"connection of its own; with TLS to the engine's host {taken[1]:.2f} s, and there {taken[2]:.2f} s "
                f"({streams} measured)."
            )
            counted = looked_into(gateway)
            print(
                f"Where it looks into streams for their tokens (gateway_stream_tokens): {counted:.2f} of that without."
            )
        finally:
            host.end()
            engine.kill()


if __name__ == "__main__":
    main()
