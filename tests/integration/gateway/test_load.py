# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Four engines under constant load of three clients, while what is behind and before the gateway changes.

Every request that is sent is accounted for: answered, refused as it had to be, cut with the engine that was killed in
the middle of its stream, or lost. None may be lost.
"""

from __future__ import annotations

import collections
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from gateway_rig import ANNA, BOB, MODEL, Engine, Gateway


@dataclass
class Load:
    """What clients sent, and what became of it."""

    gateway: Gateway
    over: threading.Event = field(default_factory=threading.Event)
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    unfinished: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    # Clients that were revoked, from the moment that the gateway was told.
    revoked: set[str] = field(default_factory=set)

    def send(self, key: str, stream: bool) -> None:
        """Send requests, each over a connection of its own, until it is over."""
        while not self.over.is_set():
            self.counts["sent"] += 1
            try:
                self._one(key, stream)
            except OSError as error:
                self.wrong.append(f"{type(error).__name__}: {error}")

    def _one(self, key: str, stream: bool) -> None:
        body = {"model": MODEL, "max_tokens": 60 if stream else 4, "messages": [{"role": "user", "content": "x"}]}
        connection = self.gateway.connect()
        connection.request(
            "POST",
            "/v1/chat/completions",
            body=json.dumps({**body, "stream": stream}).encode(),
            headers={"Authorization": f"Bearer {key}"},
        )
        answer = connection.getresponse()
        status, name = answer.status, answer.getheader("x-request-id") or ""
        try:
            content = answer.read()
        except Exception:
            content = b""
        connection.close()
        if status == 200 and (b"[DONE]" in content if stream else b'"usage"' in content):
            self.counts["answered"] += 1
        elif status == 200 and stream:
            self.unfinished.append(name)
        elif status == 401 and key in self.revoked:
            self.counts["refused"] += 1
            time.sleep(0.2)
        else:
            self.wrong.append(f"{status} {content[:200]!r}")


def answered(load: Load, more: int = 6) -> None:
    """Wait until so many more requests were answered: whatever was done before them, they went through."""
    wanted = load.counts["answered"] + more
    for _try in range(1200):
        if load.counts["answered"] >= wanted:
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing is answered any more: {load.counts}, {load.wrong[:3]}")


def test_no_request_is_lost(
    gateway: Gateway, engine: Callable[..., Engine], capsys: pytest.CaptureFixture[str]
) -> None:
    engines = {f"h{number}": engine() for number in range(1, 5)}
    gateway.deploy(endpoints=[each.endpoint(host) for host, each in engines.items()])
    gateway.healthy()
    carl = gateway.key("carl")["key"]
    load = Load(gateway)
    threads = [threading.Thread(target=load.send, args=(key, True)) for key in (ANNA, BOB, carl)]
    threads += [threading.Thread(target=load.send, args=(key, False)) for key in (ANNA, BOB)]
    for thread in threads:
        thread.start()
    try:
        change_everything(gateway, engines, load, carl)
    finally:
        load.over.set()
        for thread in threads:
            thread.join(120)
    killed = f"h4:{engines['h4'].port}"
    of_killed = {line["id"] for line in gateway.log.requests() if line["engine"] == killed}
    cut = [name for name in load.unfinished if name in of_killed]
    lost = len(load.wrong) + len(load.unfinished) - len(cut)
    counts = load.counts
    with capsys.disabled():
        print(
            f"\n    {counts['sent']} sent, {counts['answered']} answered, {counts['refused']} refused rightly, "
            f"{len(cut)} cut in the middle with the engine that was killed, {lost} lost"
        )
    assert lost == 0, (load.wrong[:5], load.unfinished[:5])
    assert counts["sent"] == counts["answered"] + counts["refused"] + len(cut)
    assert counts["refused"] > 0
    # A stream was open on each engine at most once a client.
    assert len(cut) <= 3


def change_everything(gateway: Gateway, engines: dict[str, Engine], load: Load, carl: str) -> None:
    answered(load)
    # A rolling deploy: each engine is taken out, replaced and brought back. The second does not come back at first.
    for host in ("h1", "h2", "h3"):
        drained = gateway.server("drain", (host,), wait=120)
        assert drained["waited_out"], drained
        engines[host].kill()
        answered(load, 3)
        if host == "h2":
            # Meanwhile somebody changes the gateway: who is out stays out.
            assert gateway.deploy(max_body=1 << 19)["changed"]
            states = {each["name"].split(":")[0]: each["status"] for each in gateway.server()["servers"]}
            assert not states["h2"].startswith("UP"), states
            answered(load, 3)
        engines[host].start()
        assert gateway.server("ready", (host,), wait=60)["waited_out"]
    # A reload, and a key that is revoked.
    assert gateway.deploy(max_body=1 << 20)["changed"]
    load.revoked.add(carl)
    gateway.key("carl", state="absent")
    answered(load)
    # An engine dies, with whatever it was saying.
    engines["h4"].kill()
    answered(load, 20)
    # Seen by its checks, whether or not one of those requests came upon it.
    for _try in range(1200):
        down = [each for each in gateway.server()["servers"] if not each["status"].startswith("UP")]
        if down:
            break
        time.sleep(0.05)
    assert [each["name"].split(":")[0] for each in down] == ["h4"]


@pytest.mark.skipif("GATEWAY_RUNS" not in os.environ, reason="by hand: GATEWAY_RUNS=10")
@pytest.mark.parametrize("run", range(int(os.environ.get("GATEWAY_RUNS", 0))))
def test_no_request_is_lost_again(run: int, gateway: Gateway, engine: Callable[..., Engine], capsys: Any) -> None:
    test_no_request_is_lost(gateway, engine, capsys)


def test_none_left_is_said_at_once_and_found_again(gateway: Gateway, engine: Callable[..., Engine]) -> None:
    only = engine()
    gateway.deploy(endpoints=[only.endpoint("h1")])
    gateway.healthy()
    only.kill()
    for _try in range(200):
        if gateway.server()["servers"][0]["status"].startswith("DOWN"):
            break
        time.sleep(0.05)
    refused = gateway.chat(ANNA)
    assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    assert refused.json()["error"]["code"] == "no_engine"
    only.start()
    gateway.healthy()
    assert gateway.chat(ANNA).status == 200


def test_a_conversation_stays_with_its_engine(gateway: Gateway, engine: Callable[..., Engine]) -> None:
    engines = [engine() for _each in range(3)]
    gateway.deploy(endpoints=[each.endpoint(f"h{index}") for index, each in enumerate(engines)], affinity="session")
    gateway.healthy()
    system = {"role": "system", "content": "the same for all"}
    for person in range(6):
        talk = [system, {"role": "user", "content": f"question {person}"}]
        for _turn in range(3):
            assert gateway.chat(ANNA, messages=talk).status == 200
            talk += [{"role": "assistant", "content": "well"}, {"role": "user", "content": "go on"}]
    for _turn in range(3):
        assert gateway.chat(ANNA, prompt_cache_key="mine").status == 200
    wanted = 21
    for _try in range(100):
        if len(gateway.log.requests()) >= wanted:
            break
        time.sleep(0.05)
    lines = [line["engine"] for line in gateway.log.requests()]
    assert len(lines) == wanted
    # Each conversation's three turns went to one engine, and not all conversations to the same.
    assert all(len(set(lines[start : start + 3])) == 1 for start in range(0, wanted, 3)), lines
    assert len(set(lines)) > 1
