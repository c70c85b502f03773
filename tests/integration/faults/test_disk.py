# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the host's own disk, and what else no daemon tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from call_proxy import CallProxy
from conftest import NAME
from docker_engine import DockerEngine
from faults_rig import CHANGED, UPGRADE, Host, SmallDisk
from module_process import ModuleProcess

from ansible_collections.inference.fleet.plugins.module_utils.serving import run as serving


@pytest.mark.parametrize("how", [SmallDisk.fill, SmallDisk.be_read_only])
def test_the_disk_fails_at_each_step_of_an_upgrade(
    host: Host,
    process: ModuleProcess,
    disk: SmallDisk,
    tmp_path: Path,
    how: Callable[[SmallDisk], None],
    held: Callable[[str], None],
) -> None:
    process(api_key="planted")
    finished = 0
    for number, step in enumerate([*UPGRADE, "the old one's removal"], 1):
        wanted = {"api_key": "planted", "extra_args": ["--max-model-len", str(9000 + number)]}
        with CallProxy(tmp_path / "proxy.sock", host.engine.url, number, strike=lambda: how(disk), lost=False) as proxy:
            result = process(docker_host=proxy.url, **wanted)
        assert proxy.struck, step
        if "failed" in result:
            assert "was put back and serves again" in result["msg"], (step, result["msg"])
        assert requests.get(f"{host.url}/health", timeout=60).status_code == 200, step
        finished += "failed" not in result
        disk.mend()

        again = process(**wanted)

        assert "failed" not in again, (step, again["msg"])
        host.clean(step)
        assert not process(check=True, **wanted)["changed"], step
    held(f"{how.__name__}, {number} times: {finished} runs upgraded, the others went back; the next run upgraded")


def test_the_disk_fails_at_each_step_of_going_back(
    host: Host, process: ModuleProcess, disk: SmallDisk, tmp_path: Path, held: Callable[[str], None]
) -> None:
    process(api_key="planted")
    before = host.id()
    for how in (SmallDisk.fill, SmallDisk.be_read_only):
        # The new engine's start, its removal, the old one's name, its start.
        for number in range(len(UPGRADE), len(UPGRADE) + 4):
            with CallProxy(
                tmp_path / "proxy.sock", host.engine.url, number, strike=lambda how=how: how(disk), lost=False
            ) as proxy:
                failed = process(docker_host=proxy.url, api_key="planted", extra_args=["--no-such-flag"])
            where = (how.__name__, number, failed["msg"])
            assert proxy.struck, where
            assert "was put back and serves again" in failed["msg"], where
            assert host.id() == before, where
            assert host.containers() == {NAME: "running"}, where
            disk.mend()
    assert not process(api_key="planted")["changed"]
    # What a disk that was read-only kept goes with the next run that does something.
    process(api_key="planted", **CHANGED)
    host.clean()
    held("full and read-only, 8 times: the old engine serves again, whether the failed one's log could be kept or not")


def test_a_log_that_cannot_be_read(process: ModuleProcess, held: Callable[[str], None]) -> None:
    with DockerEngine(log_driver="none") as quiet:
        host = Host(quiet, process)
        options = {"docker_host": quiet.url}
        made = process(**options)
        assert made.get("ready"), made
        before = host.id()
        failed = process(extra_args=["--no-such-flag"], **options)
        hung = process(extra_args=["--load-seconds", "3600"], ready_timeout=5, **options)
        for result in (failed, hung):
            assert "was put back and serves again" in result["msg"], result
        assert "before it was ready. could not read the log of container" in failed["msg"]
        assert host.id() == before
        host.clean()
        process(state="absent", **options)
    held("upgrades that fail go back, and say so without the log")


def test_an_error_that_nobody_thought_of(
    host: Host, process: ModuleProcess, monkeypatch: pytest.MonkeyPatch, held: Callable[[str], None]
) -> None:
    process()
    before = host.id()
    seen = []

    def ready(container: Any, within: float | None) -> None:
        if container.id != before and within is not None:
            seen.append(container.id)
            raise ZeroDivisionError("planted")

    monkeypatch.setattr(serving, "readiness_of", ready)
    failed = process(**CHANGED)

    assert seen
    assert "ZeroDivisionError: planted" in failed["msg"]
    assert "was put back and serves again" in failed["msg"]
    assert host.id() == before
    assert host.containers() == {NAME: "running"}
    held("told by its type, and the old engine serves again")


def test_what_cannot_succeed_is_told_before_the_old_engine_is_stopped(
    host: Host, process: ModuleProcess, fake_vllm: Callable[..., str], held: Callable[[str], None]
) -> None:
    served = {"engine": "vllm", "profile": "cpu", "image": fake_vllm("one"), "model": "/models/local"}
    process(**served)
    before = host.engine.client.containers.get(NAME).attrs["State"]["StartedAt"]
    for options, told in (
        ({"api_key": "two\nlines"}, "api_key cannot be sent in a header"),
        ({"api_key": "planted\n"}, "api_key cannot be sent in a header"),
        ({"extra_args": ["--ssl-keyfile", "/key", "--ssl-certfile", "/cert"]}, "--ssl-keyfile"),
    ):
        for check in (True, False):
            failed = process(check=check, **served, **options)
            assert told in failed["msg"], failed
            assert "planted" not in failed["msg"]
    assert host.engine.client.containers.get(NAME).attrs["State"]["StartedAt"] == before
    held("a key with a line break, and TLS: named before anything was stopped")


def test_a_first_completion_that_is_refused_for_good(
    host: Host, process: ModuleProcess, held: Callable[[str], None]
) -> None:
    """The model loads and answers, and is none for chat: more waiting would not make it one."""
    process()
    before = host.id()
    failed = process(extra_args=["--max-model-len", "1"], ready_timeout=300)

    assert "cannot become ready: POST /v1/chat/completions answered 400" in failed["msg"], failed
    assert "was put back and serves again" in failed["msg"]
    assert host.id() == before
    host.clean()
    held("told with the endpoint's own words, at once; old engine back")
