# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fails after the old engine stopped, and what is foreign to us."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from call_proxy import CallProxy
from conftest import NAME, make_image
from faults_rig import CHANGED, UPGRADE, Host, verb
from module_process import ModuleProcess

from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs
from ansible_collections.inference.fleet.tests.patience import until


@pytest.mark.parametrize(
    ("fault", "options", "told"),
    [
        ("exits at once", {"extra_args": ["--no-such-flag"]}, "the engine does not know --no-such-flag"),
        (
            "exits and is restarted",
            {"extra_args": ["--no-such-flag"], "restart_policy": "always"},
            "the engine does not know --no-such-flag",
        ),
        (
            "hangs before ready",
            {"extra_args": ["--load-seconds", "3600"], "ready_timeout": 20},
            "was not ready within ready_timeout, 20 s: GET /health answered 503",
        ),
        ("is killed for memory", {"memory": "7m", "recreate": True}, "out of memory, and the kernel killed the engine"),
        (
            "fails its warm-up",
            {"extra_args": ["--max-model-len", "100"], "warm_up_concurrency": 2},
            "the warm-up with 2 requests at once failed: 4 of 4 requests failed",
        ),
    ],
)
def test_engine(
    host: Host, process: ModuleProcess, fault: str, options: dict[str, Any], told: str, held: Callable[[str], None]
) -> None:
    process(api_key="planted")
    before, files = host.id(), host.secrets()

    failed = process(api_key="planted", **options)

    assert told in failed["msg"], failed
    assert "was put back and serves again" in failed["msg"]
    log = Path(failed["msg"].partition("whole log is in ")[2].partition(". ")[0])
    assert log.stat().st_mode & 0o077 == 0
    assert host.id() == before
    assert host.secrets() == files
    assert set(host.containers()) == {NAME}
    assert not process(api_key="planted")["changed"]
    held(f"{fault}: told why, old engine back, log kept")


def test_an_engine_that_is_found_in_a_restart_loop(
    host: Host, process: ModuleProcess, archive: Path, tmp_path: Path, held: Callable[[str], None]
) -> None:
    """Nothing differs, and the daemon starts it again and again."""
    python, home = rootfs.entrypoint()
    start = (
        "import os, runpy, sys; "
        "os.path.exists('/data/memory') or sys.exit('OSError: [Errno 98] Address already in use'); "
        f"runpy.run_path({home!r}, run_name='__main__')"
    )
    looping = make_image(host.engine, archive, "looping", f"ENTRYPOINT {json.dumps([python, '-c', start])}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/memory").touch()
    wanted = {"image": looping, "mounts": [{"source": str(tmp_path / "data"), "target": "/data"}], "ready_timeout": 600}
    assert process(**wanted)["ready"]
    before = host.id()
    (tmp_path / "data/memory").unlink()
    container = host.engine.client.containers.get(NAME)
    os.kill(container.attrs["State"]["Pid"], SIGKILL)
    until(lambda: host.engine.client.containers.get(NAME).attrs["RestartCount"] > 1)

    failed = process(**wanted)

    # Told when it ends again, and not when the time is up.
    assert "before it was ready" in failed["msg"], failed
    assert "the port is taken. Choose another port or stop what listens there" in failed["msg"], failed
    assert host.id() == before
    (tmp_path / "data/memory").touch()
    mended = process(**wanted)
    assert mended["ready"]
    assert host.id() == before
    host.clean()
    held("told why within a restart, and left to the daemon; once mended, it serves")


def test_first_engine_fails(host: Host, process: ModuleProcess, held: Callable[[str], None]) -> None:
    failed = process(extra_args=["--no-such-flag"], api_key="planted")

    assert "There was no container before it" in failed["msg"]
    assert host.containers() == {}
    assert host.secrets() == set()
    held("nothing is left but the log")


def test_a_limit_that_is_too_short_is_none_for_the_engine_before(
    host: Host, process: ModuleProcess, held: Callable[[str], None]
) -> None:
    process(extra_args=["--load-seconds", "8"])
    before = host.id()

    failed = process(extra_args=["--load-seconds", "3600"], ready_timeout=2)

    assert "was not ready within ready_timeout, 2 s" in failed["msg"]
    assert "was put back and serves again" in failed["msg"]
    assert host.id() == before
    held("it loaded for longer than the limit, was awaited, and serves again")


def test_a_stopped_engine_is_left_stopped(host: Host, process: ModuleProcess, held: Callable[[str], None]) -> None:
    process()
    before = host.id()
    process(state="stopped")

    failed = process(extra_args=["--no-such-flag"])

    assert "is as it was, not running" in failed["msg"]
    assert (host.id(), host.containers()) == (before, {NAME: "exited"})
    held("the old engine is there as it was, stopped")


def test_going_back_to_another_port_and_key(host: Host, process: ModuleProcess, held: Callable[[str], None]) -> None:
    """Whether the old engine serves again is asked where and as it serves."""
    process(api_key="old-key")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    failed = process(api_key="new-key", port=port, served_model_name="other", extra_args=["--no-such-flag"])

    assert "was put back and serves again" in failed["msg"]
    host.clean()
    held("old engine is back on its own port, with its own key and name")


def test_port_taken_by_another_program(host: Host, process: ModuleProcess, held: Callable[[str], None]) -> None:
    process()
    before = host.engine.client.containers.get(NAME).attrs["State"]["StartedAt"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = process(port=port)

    assert f"port: wanted {port} of 127.0.0.1, found that somebody listens there already" in failed["msg"]
    assert "no engine was touched" in failed["msg"]
    assert host.engine.client.containers.get(NAME).attrs["State"]["StartedAt"] == before
    host.clean()
    held("found before the old engine was stopped")


def test_port_taken_after_the_host_was_looked_at(
    host: Host, process: ModuleProcess, tmp_path: Path, held: Callable[[str], None]
) -> None:
    process()
    before = host.id()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        port = stranger.getsockname()[1]
        # Only now does it listen: the old engine is stopped, and the new one about to start.
        start = len(UPGRADE)
        with CallProxy(tmp_path / "proxy.sock", host.engine.url, start, strike=stranger.listen, lost=False) as proxy:
            failed = process(docker_host=proxy.url, port=port)

    assert [verb(call) for call in proxy.calls[:start]] == UPGRADE
    assert "the port is taken" in failed["msg"]
    assert "was put back and serves again" in failed["msg"]
    assert host.id() == before
    host.clean()
    held("told in plain words; old engine is back")


def test_foreign_container(host: Host, process: ModuleProcess, held: Callable[[str], None]) -> None:
    process()
    image = host.engine.client.containers.get(NAME).attrs["Config"]["Image"]
    process(state="absent")
    foreign = host.engine.client.containers.create(image, name=NAME)
    for wanted in ("present", "absent", "stopped", "restarted"):
        assert "inference.fleet did not make it" in process(state=wanted)["msg"]
    assert host.containers() == {NAME: "created"}
    foreign.remove()
    others = {f"{NAME}-next", f"{NAME}-previous"}
    for name in others:
        host.engine.client.containers.create(image, name=name)
    assert process()["changed"]
    assert process(**CHANGED)["changed"]
    assert not process(**CHANGED)["changed"]
    assert host.containers() == {NAME: "running", **dict.fromkeys(others, "created")}
    assert process(state="absent")["changed"]
    assert host.containers() == dict.fromkeys(others, "created")
    held("never touched, whatever it is called; an upgrade beside names like its own takes others")
