# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module is killed at each step, and runs beside another."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from call_proxy import AFTER, BEFORE, CallProxy
from conftest import NAME
from faults_rig import CHANGED, UPGRADE, Host, verb
from module_process import ModuleProcess

from ansible_collections.inference.fleet.tests.patience import PATIENCE


def _calls(host: Host, process: ModuleProcess, tmp_path: Path) -> list[str]:
    """Return the calls of an upgrade that change something."""
    process()
    with CallProxy(tmp_path / "proxy.sock", host.engine.url) as proxy:
        process(docker_host=proxy.url, **CHANGED)
    process(state="absent")
    return proxy.calls


def _run_killed(host: Host, process: ModuleProcess, tmp_path: Path, number: int, when: str, **options: Any) -> None:
    """Start a run, and kill it at one of its calls."""
    running: list[subprocess.Popen[str]] = []
    proxy = CallProxy(tmp_path / "proxy.sock", host.engine.url, number, when, strike=lambda: process.kill(running[0]))
    with proxy:
        running.append(process.start(docker_host=proxy.url, **options))
        running[0].wait(PATIENCE)
    assert proxy.struck


def test_module_is_killed_at_each_step_of_an_upgrade(
    host: Host, process: ModuleProcess, tmp_path: Path, held: Callable[[str], None]
) -> None:
    calls = _calls(host, process, tmp_path)
    assert [verb(call) for call in calls[:-1]] == UPGRADE
    process(api_key="planted")
    strikes = [(number, when) for number in range(1, len(calls) + 1) for when in (BEFORE, AFTER)]
    for length, (number, when) in enumerate(strikes, 9000):
        wanted = {"api_key": "planted", "extra_args": ["--max-model-len", str(length)]}
        where = f"{when} {calls[number - 1]}"
        _run_killed(host, process, tmp_path, number, when, **wanted)

        predicted = process(check=True, **wanted)
        result = process(**wanted)

        assert "failed" not in result, (where, result["msg"])
        assert (result["steps"], result["diff"]) == (predicted["steps"], predicted["diff"]), where
        host.clean(where)
        assert not process(check=True, **wanted)["changed"], where
    process(state="absent")
    assert host.secrets() == set()
    held(f"{len(strikes)} kills, before and after each of {len(calls)} calls: the next run finished the upgrade")


def test_module_is_killed_and_the_old_engine_is_wanted_again(
    host: Host, process: ModuleProcess, tmp_path: Path, held: Callable[[str], None]
) -> None:
    calls = _calls(host, process, tmp_path)
    started = next(number for number, call in enumerate(calls, 1) if call.endswith("/start"))
    process()
    for number, call in enumerate(calls, 1):
        old = host.id()
        _run_killed(host, process, tmp_path, number, AFTER, **CHANGED)

        result = process()

        assert "failed" not in result, (call, result["msg"])
        host.clean(call)
        assert host.id() == old or number >= started, f"after {call} the kept container was the one to have back"
    held(f"killed after each of {len(calls)} calls: the old one serves again")


@pytest.mark.parametrize("second", [CHANGED, {"extra_args": ["--max-model-len", "8000"]}])
def test_two_runs_at_once(
    host: Host, process: ModuleProcess, second: dict[str, Any], held: Callable[[str], None]
) -> None:
    process()
    one = process.start(**CHANGED)
    other = process.start(**second)
    results = [process.result(one), process.result(other)]

    assert all("failed" not in result for result in results), results
    assert sorted(result["changed"] for result in results) == ([False, True] if second == CHANGED else [True, True])
    assert any("waiting for another run" in line for line in process.said())
    host.clean()
    assert host.max_model_len() in (9000, 8000)
    held("one waited for the other" + (", and had nothing left to do" if second == CHANGED else ""))


def test_two_engines_at_once_for_the_same_gpus(
    host: Host, process: ModuleProcess, fake_vllm: Callable[..., str], held: Callable[[str], None]
) -> None:
    served = {"engine": "vllm", "image": fake_vllm("one"), "model": "/models/local", "profile": "h100x4"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        other = {"container_name": f"{NAME}-2", "port": free.getsockname()[1]}
    running = [process.start(**served), process.start(**served, **other)]
    results = [process.result(one) for one in running]

    (failed,) = [result for result in results if "failed" in result]
    assert "runs on GPUs (all) that" in failed["msg"]
    assert list(host.containers().values()) == ["running"]
    held("one serves; the other was refused, and nothing of it is left")


def test_the_old_engine_of_a_run_that_was_cut_off_serves_again(
    host: Host, process: ModuleProcess, tmp_path: Path, held: Callable[[str], None]
) -> None:
    """Killed when it had stopped the old engine: that one is to run, though it is found stopped."""
    process()
    before = host.id()
    _run_killed(host, process, tmp_path, UPGRADE.index("stop") + 1, AFTER, **CHANGED)
    assert host.containers()[NAME] == "exited"

    failed = process(extra_args=["--no-such-flag"])

    assert "was put back and serves again" in failed["msg"]
    assert host.id() == before
    host.clean()
    held("a second upgrade failed, and the engine from before the first one serves")
