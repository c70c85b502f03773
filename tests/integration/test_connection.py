# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine module over a real SSH connection that is lost, or whose controller dies, while an engine loads."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from conftest import NAME, Module, forget
from docker_engine import DockerEngine
from ssh_host import SshHost

from ansible_collections.inference.fleet.plugins.module_utils.containers import state
from ansible_collections.inference.fleet.tests.patience import until

# One sshd for all of them, and its directory is the machine's.
pytestmark = pytest.mark.xdist_group("ssh")
SLOW = {"extra_args": ["--load-seconds", "20"]}


@pytest.fixture
def engine(docker_engine: DockerEngine, ssh_host: SshHost, free_port: int, tmp_path: Path) -> Iterator[Module]:
    """The module on a host behind SSH, and nothing on the engine or the host before and after."""
    defaults = {
        "docker_host": docker_engine.url,
        "engine": "simulator",
        "container_name": NAME,
        "port": free_port,
        "cache_dir": str(tmp_path / "cache"),
        "compile_cache_dir": str(tmp_path / "compiled"),
        "ready_timeout": 300,
        "stop_timeout": 5,
    }
    forget()
    yield Module("inference.fleet.engine", defaults, tmp_path, variables=ssh_host.variables)
    # What goes on detached would make containers again.
    ssh_host.stop()
    ssh_host.start()
    for container in docker_engine.client.containers.list(all=True):
        container.remove(force=True)
    forget()


def containers(docker_engine: DockerEngine) -> dict[str, str]:
    """Return the names of all containers, with their ids."""
    return {container.name: container.id for container in docker_engine.client.containers.list(all=True)}


def status(engine: Module) -> int:
    """Ask the endpoint how it is; 0 is no answer."""
    try:
        return requests.get(f"http://127.0.0.1:{engine.defaults['port']}/health", timeout=60).status_code
    except requests.ConnectionError:
        return 0


def locked() -> bool:
    """Tell whether a run works on the container."""
    with state.lock_path(NAME).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def loading(docker_engine: DockerEngine, engine: Module) -> Iterator[None]:
    """Keep an engine that loads where it is, however long that takes: it answers when it goes on."""
    until(lambda: status(engine) == 503)
    process = docker_engine.client.containers.get(NAME).attrs["State"]["Pid"]
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_connection_that_is_lost_is_taken_up_again(
    docker_engine: DockerEngine, ssh_host: SshHost, engine: Module
) -> None:
    running = engine.start(**SLOW)
    with loading(docker_engine, engine):
        made = containers(docker_engine)
        ssh_host.refuse(3)

    run = engine.finish(running)

    assert run.result.get("changed"), run.output
    assert run.result["ready"]
    lost, back = run.output.index("connection lost ("), run.output.index("connection is back")
    assert run.output.index("starting the container") < lost < back < run.output.index("ready after")
    assert containers(docker_engine) == made
    assert set(made) == {NAME}
    assert status(engine) == 200
    again = engine(**SLOW)
    assert not again.result["changed"], again.output
    assert not list(ssh_host.home.glob(".ansible_async/*")), "a job's files are removed once its result is known"


def test_a_dead_controller_does_not_end_the_work(
    docker_engine: DockerEngine, ssh_host: SshHost, engine: Module
) -> None:
    running = engine.start(**SLOW)
    with loading(docker_engine, engine):
        made = containers(docker_engine)
        engine.kill(running)
        ssh_host.drop()
        time.sleep(1)
        assert locked(), "the module goes on without a controller"
        second = engine.start(**SLOW)
        waits = f"waiting for another run that works on slot {NAME}"
        until(lambda: any(waits in path.read_text() for path in ssh_host.home.glob(".ansible_async/*.progress")))

    run = engine.finish(second)

    assert not run.result.get("failed"), run.output
    assert f"waiting for another run that works on slot {NAME}" in run.output
    assert run.result["ready"]
    assert containers(docker_engine) == made
    assert set(made) == {NAME}
    assert status(engine) == 200
    assert not locked()
    again = engine(**SLOW)
    assert not again.result["changed"], again.output


def test_a_host_that_is_restarted_is_told(docker_engine: DockerEngine, ssh_host: SshHost, engine: Module) -> None:
    running = engine.start(**SLOW)
    until(lambda: status(engine) == 503)
    made = containers(docker_engine)
    ssh_host.stop()
    ssh_host.start()

    lost = engine.finish(running)

    assert lost.result["failed"]
    assert "is no longer running and left no result: the host was restarted" in lost.result["msg"], lost.output
    assert "Run the playbook again: it takes up what was left" in lost.result["msg"]
    run = engine(**SLOW)
    assert run.result["ready"], run.output
    assert containers(docker_engine) == made
    assert not engine(**SLOW).result["changed"]
