# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own rigs do what they promise: a fault that never came would let a test pass."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import docker
import mortal
import pytest
import requests
import urllib3
from call_proxy import AFTER, BEFORE, CallProxy
from docker_engine import DockerEngine
from registry import Registry, Relay

from ansible_collections.inference.fleet.tests.patience import PATIENCE, until

STEPS = ["POST /images/create", "POST /images/rig-two:1/tag"]


@pytest.fixture
def image(docker_engine: DockerEngine) -> Iterator[str]:
    """An image whose one layer is 2 MB that do not compress."""
    yield load(docker_engine.client, "rig-one", 2_000_000)
    for found in docker_engine.client.images.list():
        docker_engine.client.images.remove(found.id, force=True)


def load(client: docker.DockerClient, name: str, size: int) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("data")
        entry.size = size
        archive.addfile(entry, io.BytesIO(os.urandom(size)))
    client.api.import_image_from_data(buffer.getvalue(), repository=name, tag="1", changes=['CMD ["/none"]'])
    return f"{name}:1"


def test_an_engine_ends_with_its_tests_however_these_end() -> None:
    code = (
        "import os, signal, docker_engine\n"
        "engine = docker_engine.DockerEngine().__enter__()\n"
        "print(engine.directory, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=False
    )
    directory = Path(killed.stdout.strip())
    try:
        assert killed.returncode == -signal.SIGKILL
        # It removes its own file as the last thing that it does.
        until(lambda: not (directory / "docker.pid").exists())
    finally:
        shutil.rmtree(directory)


def test_a_daemon_outlives_the_thread_that_started_it() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        daemon = mortal.start(["sleep", str(PATIENCE)])
        while Path(f"/proc/{daemon.pid}/comm").read_text() != "sleep\n":
            time.sleep(0.01)
        started.append(daemon)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    # Python's thread is over a little before the kernel's.
    while Path(f"/proc/self/task/{thread.native_id}").exists():
        time.sleep(0.01)

    with pytest.raises(subprocess.TimeoutExpired):
        started[0].wait(1)

    started[0].kill()
    started[0].wait()


def test_a_registry_gives_back_what_was_pushed(docker_engine: DockerEngine, registry: Registry, image: str) -> None:
    pushed = docker_engine.client.images.get(image).id
    digest = registry.push(docker_engine, image, "rig:1")
    docker_engine.client.images.remove(image, force=True)

    registry.stop()
    registry.start()
    pulled = docker_engine.client.images.pull(f"{registry.host}/rig", tag=digest)

    assert pulled.id == pushed
    assert pulled.attrs["RepoDigests"] == [f"{registry.host}/rig@{digest}"]


def test_a_relay_stalls_and_is_slow(
    docker_engine: DockerEngine, registry: Registry, image: str, tmp_path: Path
) -> None:
    registry.push(docker_engine, image, "rig:1")
    docker_engine.client.images.remove(image, force=True)

    def pull(url: str, port: int) -> None:
        with suppress(urllib3.exceptions.HTTPError):
            list(docker.DockerClient(base_url=url).api.pull(f"127.0.0.1:{port}/rig", tag="1", stream=True))

    # The proxy, when it ends, takes the client from the pull: the daemon would try for long.
    with Relay(registry.port, stall_after=500_000) as relay, CallProxy(tmp_path / "s", docker_engine.url) as proxy:
        pulling = threading.Thread(target=pull, args=(proxy.url, relay.port))
        pulling.start()
        assert relay.stalled.wait(PATIENCE)
        pulling.join(0.5)
        assert pulling.is_alive()
    pulling.join(PATIENCE)
    assert not pulling.is_alive()
    assert docker_engine.client.images.list() == []

    with Relay(registry.port, bytes_per_second=2_000_000) as relay:
        pull(docker_engine.url, relay.port)
        assert relay.held > 0.9
    assert docker_engine.client.images.list()[0].tags == [f"127.0.0.1:{relay.port}/rig:1"]


def calls(proxy: CallProxy) -> list[str]:
    return [call.partition("?")[0] for call in proxy.calls]


def steps(client: docker.DockerClient) -> None:
    """Two calls that change something, and some that do not."""
    client.ping()
    load(client, "rig-two", 200_000)
    client.api.tag("rig-two:1", "rig-two", "2")
    client.images.list()


@pytest.mark.parametrize(
    ("when", "at", "done"), [(BEFORE, 1, []), (AFTER, 1, ["1"]), (BEFORE, 2, ["1"]), (AFTER, 2, ["1", "2"])]
)
def test_a_proxy_strikes_before_or_after_a_call(
    docker_engine: DockerEngine, image: str, tmp_path: Path, when: str, at: int, done: list[str]
) -> None:
    with CallProxy(tmp_path / "proxy.sock", docker_engine.url, at, when) as proxy:
        client = docker.DockerClient(base_url=proxy.url)
        with pytest.raises(requests.ConnectionError):
            steps(client)
        assert calls(proxy) == STEPS[:at]
        assert "repo=rig-two" in proxy.calls[0]
        assert proxy.struck
        client.ping()
    tags = [tag for item in docker_engine.client.images.list("rig-two") for tag in item.tags]
    assert sorted(tags) == [f"rig-two:{tag}" for tag in done]


def test_a_proxy_delays_and_streams(docker_engine: DockerEngine, image: str, tmp_path: Path) -> None:
    struck, go_on = threading.Event(), threading.Event()

    def strike() -> None:
        struck.set()
        assert go_on.wait(PATIENCE)

    with CallProxy(tmp_path / "proxy.sock", docker_engine.url, 2, strike=strike, lost=False) as proxy:
        client = docker.DockerClient(base_url=proxy.url)
        stepping = threading.Thread(target=steps, args=(client,))
        stepping.start()
        assert struck.wait(PATIENCE)
        assert stepping.is_alive(), "the call waits for its answer"
        go_on.set()
        stepping.join(PATIENCE)
        assert calls(proxy) == STEPS
        events = client.events(decode=True, filters={"type": "container"})
        container = client.containers.create(image, tty=True, stdin_open=True)
        assert next(events)["Action"] == "create"
        stream = client.api.attach_socket(container.id, {"stdin": 1, "stream": 1})
        stream.close()
        container.remove()
        assert calls(proxy)[2:] == ["POST /containers/create", f"DELETE /containers/{container.id}"]


def test_an_engine_has_a_small_disk_beside_the_other(docker_engine: DockerEngine) -> None:
    with DockerEngine(data_size="64m") as small:
        assert small.client.info()["Driver"] == docker_engine.client.info()["Driver"]
        with pytest.raises(docker.errors.APIError, match="no space left on device"):
            load(small.client, "rig-big", 80_000_000)
        load(small.client, "rig-small", 1_000)
        small.restart(signal.SIGKILL)
        assert len(small.client.images.list()) == 1
        small.kill(signal.SIGKILL)
    assert not small.directory.exists()
    assert str(small.directory) not in Path("/proc/mounts").read_text()
    assert docker_engine.client.ping()
