# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Four engines under constant load of three clients, while what is behind and before the gateway changes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from gateway_load import Load
from gateway_rig import ANNA, BOB, MODEL, Engine, Gateway

from ansible_collections.inference.fleet.tests.patience import until


def test_no_request_is_lost(
    gateway: Gateway, engine: Callable[..., Engine], capsys: pytest.CaptureFixture[str]
) -> None:
    engines = {f"h{number}": engine() for number in range(1, 5)}
    gateway.deploy(endpoints=[each.endpoint(host) for host, each in engines.items()])
    gateway.healthy()
    carl = gateway.key("carl")["key"]
    load = Load(gateway.connect, MODEL)
    with load.running(streams=(ANNA, BOB, carl), short=(ANNA, BOB)):
        change_everything(gateway, engines, load, carl)
    told = load.accounted(gateway.log.requests(), f"h4:{engines['h4'].port}")
    with capsys.disabled():
        print(f"\n    {told}")


def change_everything(gateway: Gateway, engines: dict[str, Engine], load: Load, carl: str) -> None:
    load.answered()
    # A rolling deploy: each engine is taken out, replaced and brought back. The second does not come back at first.
    for host in ("h1", "h2", "h3"):
        drained = gateway.server("drain", (host,), wait=120)
        assert drained["waited_out"], drained
        engines[host].kill()
        load.answered(3)
        if host == "h2":
            # Meanwhile somebody changes the gateway: who is out stays out.
            assert gateway.deploy(max_body=1 << 19)["changed"]
            states = {each["name"].split(":")[0]: each["status"] for each in gateway.server()["servers"]}
            assert not states["h2"].startswith("UP"), states
            load.answered(3)
        engines[host].start()
        assert gateway.server("ready", (host,), wait=60)["waited_out"]
    # A reload, and a key that is revoked.
    assert gateway.deploy(max_body=1 << 20)["changed"]
    load.revoked.add(carl)
    gateway.key("carl", state="absent")
    load.answered()
    # An engine dies, with whatever it was saying.
    engines["h4"].kill()
    load.answered(20)
    # Seen by its checks, whether or not one of those requests came upon it.
    down = until(lambda: [each for each in gateway.server()["servers"] if not each["status"].startswith("UP")])
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
    until(lambda: gateway.server()["servers"][0]["status"].startswith("DOWN"), "the engine is seen to be gone")
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
    until(lambda: len(gateway.log.requests()) >= wanted, "each request is logged")
    lines = [line["engine"] for line in gateway.log.requests()]
    assert len(lines) == wanted
    # Each conversation's three turns went to one engine, and not all conversations to the same.
    assert all(len(set(lines[start : start + 3])) == 1 for start in range(0, wanted, 3)), lines
    assert len(set(lines)) > 1


def test_a_stream_from_before_a_reload_is_waited_for(gateway: Gateway, engine: Callable[..., Engine]) -> None:
    engines = {host: engine() for host in ("h1", "h2")}
    gateway.deploy(endpoints=[each.endpoint(host) for host, each in engines.items()])
    gateway.healthy()
    gateway.server("drain", ("h2",))
    connection = gateway.connect()
    # As a benchmark asks it goes on for minutes.
    body = {"model": MODEL, "max_tokens": 30_000, "ignore_eos": True, "stream": True}
    body["messages"] = [{"role": "user", "content": "x"}]
    headers = {"Authorization": f"Bearer {ANNA}"}
    connection.request("POST", "/v1/chat/completions", body=json.dumps(body).encode(), headers=headers)
    answer = connection.getresponse()
    assert answer.readline().startswith(b"data:")
    # The process that has the stream takes no new requests any more, and the new one knows nothing of it.
    assert gateway.deploy(max_body=1 << 19)["changed"]
    gateway.server("ready", ("h2",), wait=60)
    drained = gateway.server("drain", ("h1",))
    assert not drained["waited_out"]
    assert re.search(r"h1:\d+ \(1\)", drained["late"])
    assert answer.readline() + answer.readline()[:5] == b"\ndata:"
    assert gateway.chat(ANNA).status == 200
    answer.close()
    connection.close()
    assert gateway.server("drain", ("h1",), wait=120)["waited_out"]


def test_what_a_person_took_out_no_play_brings_back(gateway: Gateway, engine: Callable[..., Engine]) -> None:
    same = engine()
    gateway.deploy(endpoints=[same.endpoint(host) for host in ("h1", "h2")])
    gateway.healthy()
    gateway.server("drain", ("h1",))

    def out() -> dict[str, str]:
        found = gateway.server()["servers"]
        return {each["name"].split(":")[0]: each["owner"] for each in found if each["drained"]}

    # A deploy finds it out, does its work, and goes.
    assert not gateway.server("drain", ("h1",), owner="deploy")["changed"]
    kept = gateway.server("ready", ("h1",), owner="deploy")
    assert (kept["changed"], kept["waited_out"]) == (False, True)
    assert "stays out of the gateway" in kept["warnings"][0]
    assert out() == {"h1": ""}
    # One that is ended half way leaves what the next one finds, after a reload, too.
    assert gateway.server("drain", ("h2",), owner="deploy")["changed"]
    assert gateway.deploy(max_body=1 << 19)["changed"]
    assert out() == {"h1": "", "h2": "deploy"}
    assert gateway.server(hosts=("h1", "h2"), owner="deploy")["out"] == ["h2"]
    look = gateway.info()
    (name,) = [each["name"] for each in look["servers"] if each["owner"]]
    assert look["problems"] == [
        f"No engine of {MODEL} is there: h1:{name[3:]} is out, {name} is out.",
        f"{name} was taken out by deploy and not brought back: run deploy.yml for it.",
    ]
    assert [each["name"] for each in look["clients"]] == ["anna", "bob"]
    assert look["certificates"][0]["whose"] == gateway.certificate
    assert gateway.server("ready", ("h2",), wait=60, owner="deploy")["waited_out"]
    assert out() == {"h1": ""}
    # A person may bring back everything, and make a play's their own.
    gateway.server("drain", ("h2",), owner="deploy")
    gateway.server("drain", ("h2",))
    assert out() == {"h1": "", "h2": ""}
    gateway.server("ready", wait=60)
    assert out() == {}
