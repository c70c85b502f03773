# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker daemon ends and comes back, at each step."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest
from call_proxy import AFTER, CallProxy
from conftest import Images, make_image
from faults_rig import UPGRADE, Host
from module_process import ModuleProcess
from registry import Registry, Relay

from ansible_collections.inference.fleet.tests.patience import until


@pytest.mark.parametrize("how", [SIGTERM, SIGKILL])
def test_dockerd_is_restarted_while_the_engine_loads(
    host: Host, process: ModuleProcess, how: Any, held: Callable[[str], None]
) -> None:
    process()
    running = process.start(extra_args=["--load-seconds", "10"])
    until(lambda: any("loading weights" in line for line in process.said()))
    host.engine.kill(how)
    time.sleep(1)
    host.engine.start()

    result = process.result(running)

    assert result.get("changed"), result
    assert "the Docker daemon does not answer; waiting for it" in process.said()
    host.clean()
    assert not process(extra_args=["--load-seconds", "10"])["changed"]
    held(f"{how.name}: waited for, the new engine started again, and served")


def test_dockerd_is_killed_at_each_step_of_an_upgrade(
    host: Host, process: ModuleProcess, tmp_path: Path, held: Callable[[str], None]
) -> None:
    """Killed when it has done a call and not answered yet: nobody knows then whether it was done."""

    def strike() -> None:
        host.engine.kill(SIGKILL)
        host.engine.start()

    process(api_key="planted")
    finished = 0
    for length, step in enumerate([*UPGRADE, "the old one's removal"], 1):
        wanted = {"api_key": "planted", "extra_args": ["--max-model-len", str(9000 + length)]}
        with CallProxy(tmp_path / "proxy.sock", host.engine.url, length, AFTER, strike) as proxy:
            struck = process(docker_host=proxy.url, **wanted)
        assert proxy.struck, step
        if "failed" in struck:
            assert "the Docker daemon at" in struck["msg"], step
            assert "was put back and serves again" in struck["msg"], (step, struck["msg"])
        finished += "failed" not in struck

        result = process(**wanted)

        assert "failed" not in result, (step, result["msg"])
        host.clean(step)
        assert host.max_model_len("planted") == 9000 + length
        assert not process(check=True, **wanted)["changed"], step
    held(f"{length} kills: {finished} runs went on to their end, the others went back, and the next run upgraded")


def test_dockerd_is_killed_while_it_pulls(
    host: Host, process: ModuleProcess, images: Images, registry: Registry, held: Callable[[str], None], tmp_path: Path
) -> None:
    process(image=images.tag("1"))
    # Some minutes' worth of what does not compress.
    (tmp_path / "big").write_bytes(os.urandom(3_000_000))
    subprocess.run(["tar", "cf", str(tmp_path / "big.tar"), "-C", str(tmp_path), "big"], check=True)
    big = make_image(host.engine, tmp_path / "big.tar", "big")
    with Relay(registry.port, 20_000) as slow:
        registry.push(host.engine, big, "big:1")
        host.engine.client.images.remove(big, force=True)
        image = f"127.0.0.1:{slow.port}/big:1"
        running = process.start(image=image)
        until(lambda: f"pulling {image}" in process.said())
        time.sleep(1)
        host.engine.kill(SIGKILL)
        host.engine.start()
        failed = process.result(running)

    assert "the Docker daemon went away" in failed["msg"]
    process(image=images.tag("1"))
    host.clean()
    held("told; the next run ends in the wanted state")
