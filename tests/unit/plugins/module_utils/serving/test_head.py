# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A head that says that it is well, asked whether it serves: two simulators, as vLLM on two hosts was seen."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import CHAT
from ansible_collections.inference.fleet.plugins.module_utils.serving import head
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import Endpoint
from ansible_collections.inference.fleet.tests.patience import until
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.conftest import FAST, MODEL, Simulator

STARTED = "2026-11-26T12:00:00.123456789Z"
NOON = 1795694400.0


class Pair(NamedTuple):
    """A head, its one member, and where the head is asked."""

    head: Simulator
    member: subprocess.Popen[bytes]
    endpoint: Endpoint


@pytest.fixture
def pair(start: Any, image_files: Path) -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    together = ["--nnodes", "2", "--master-addr", "127.0.0.1", "--master-port", str(port)]
    command = [sys.executable, "-B", str(image_files), "--model", "m", "--served-model-name", MODEL]
    command += ["--figures", json.dumps(FAST), *together, "--node-rank", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as member:
        try:
            with start(*together) as running:
                yield Pair(running, member, Endpoint(f"http://127.0.0.1:{running.port}", MODEL))
        finally:
            member.kill()


def container(status: str = "running") -> Observed:
    return Observed("id", "e", "image", ContainerSpec("e", "image", ()), status, 0, False, 0, "", STARTED, "")


def test_a_group_that_is_whole_lacks_nothing(pair: Pair) -> None:
    assert head.lacks(pair.endpoint, None, CHAT) is None


def test_a_member_that_is_gone_is_found_by_a_request_alone(pair: Pair) -> None:
    pair.member.kill()
    pair.member.wait()
    assert pair.head.get("/health").status == 200
    assert "a member is gone" in (head.lacks(pair.endpoint, None, CHAT) or "")


def test_a_member_that_does_not_answer_leaves_the_head_unwell(pair: Pair) -> None:
    pair.member.send_signal(signal.SIGSTOP)
    missing = head.lacks(pair.endpoint, None, CHAT, within=0.5)
    assert missing
    told = head.unwell(container(), pair.endpoint, None, missing, ready_timeout=1e12)
    assert told == f"the head says that it is well, and does not answer a request: {missing}"


def test_a_head_that_is_at_the_requests_of_others_is_well(pair: Pair) -> None:
    connection = pair.head.connect()
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Count."}], "max_tokens": 100_000, "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps({**body, "ignore_eos": True}))
    # In less time than a first token takes: the answer does not come, and those of others do.
    until(lambda: head.lacks(pair.endpoint, None, CHAT, within=0.001) is None, "a head that is busy is well")
    connection.close()


def test_one_that_is_not_up_may_only_be_starting() -> None:
    nobody = Endpoint("http://127.0.0.1:1", MODEL)
    assert head.unwell(container(), nobody, None, "no answer", ready_timeout=1e12) == ""
    assert "does not serve: no answer" in head.unwell(container(), nobody, None, "no answer", ready_timeout=1)
    assert head.unwell(container("exited"), nobody, None, "no answer", ready_timeout=1) == ""


def test_how_long_a_container_has_run() -> None:
    assert container().runs_for(NOON + 90) == 90
    assert container().runs_for(NOON - 5) == 0
    assert container("exited").runs_for(NOON + 90) == 0
