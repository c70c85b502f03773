# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, each injected on a real Docker Engine, and what holds after it. The run's end lists them.

After every fault: the engine that served serves, or the one that was wanted does; nothing of the
attempt is left; and the next run ends in the wanted state and then finds nothing to do.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest
import requests
from call_proxy import AFTER, BEFORE, CallProxy
from conftest import HELD, NAME, Images, make_image
from docker_engine import DockerEngine
from module_process import ModuleProcess
from registry import Registry, Relay

from ansible_collections.inference.fleet.plugins.module_utils.containers import state
from ansible_collections.inference.fleet.plugins.module_utils.serving import run as serving
from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/rigs/hub"))

from hub import Hub, Model, repository  # noqa: E402  (the rig's folder is on the path only now)

CHANGED = {"extra_args": ["--max-model-len", "9000"]}
# The daemon's calls of an upgrade, up to the new engine's start.
UPGRADE = ["create", "stop", "rename", "rename", "start"]


class Host:
    """What can be seen of the host from outside."""

    def __init__(self, engine: DockerEngine, process: ModuleProcess) -> None:
        self.engine = engine
        self.url = f"http://127.0.0.1:{process.defaults['port']}"

    def containers(self) -> dict[str, str]:
        """Return the names of all containers, with their states."""
        return {item.name: item.status for item in self.engine.client.containers.list(all=True)}

    def id(self) -> str:
        return self.engine.client.containers.get(NAME).id

    def max_model_len(self, key: str = "none") -> int:
        """Ask the endpoint for the one setting that the tests change."""
        headers = {"Authorization": f"Bearer {key}"}
        return requests.get(f"{self.url}/v1/models", headers=headers, timeout=5).json()["data"][0]["max_model_len"]

    def secrets(self) -> set[str]:
        return {str(path) for path in (state.STATE_DIR / NAME).glob("secrets-*")}

    def clean(self, where: str = "") -> None:
        """Check that there is the one container, that it serves, and that no file is an orphan."""
        assert self.containers() == {NAME: "running"}, where
        assert requests.get(f"{self.url}/health", timeout=5).status_code == 200
        labels = self.engine.client.containers.get(NAME).labels
        assert self.secrets() == {labels[name] for name in labels if name == "inference.fleet.secrets"}, where


@pytest.fixture
def host(docker_engine: DockerEngine, process: ModuleProcess) -> Host:
    return Host(docker_engine, process)


@pytest.fixture
def held(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Note what held after a fault; the list is printed at the end."""

    def note(what: str) -> None:
        fault = request.node.name.partition("[")[0].removeprefix("test_").replace("_", " ")
        request.node.user_properties.append((HELD, f"{fault}: {what}"))

    return note


# What fails before the old engine stops


def test_pull_fails(host: Host, process: ModuleProcess, images: Images, held: Callable[[str], None]) -> None:
    process(image=images.tag("1"))
    before = host.id()

    failed = process(image=images.tag("none"))

    assert f"could not pull image {images.tag('none')}" in failed["msg"]
    assert f"{NAME} was not touched" in failed["msg"]
    assert host.id() == before
    host.clean()
    never = process(image=images.tag("2"), pull="never")
    assert "is not on the host, and pull is never" in never["msg"]
    assert host.id() == before
    held("old engine never stopped; the message names the image")


def test_registry_is_down(
    host: Host, process: ModuleProcess, images: Images, registry: Registry, held: Callable[[str], None]
) -> None:
    process(image=images.tag("1"))
    before = host.id()
    registry.stop()
    try:
        failed = process(image=images.tag("2"))
        kept = process(image=images.tag("1"))
    finally:
        registry.start()

    assert "Check the reference, the registry and the host's network" in failed["msg"]
    assert not kept["changed"]
    assert host.id() == before
    assert process(image=images.tag("2"))["changed"]
    host.clean()
    held("old engine never stopped; a no-op asked no registry; the next run upgraded")


def test_pull_stalls(
    host: Host, process: ModuleProcess, images: Images, registry: Registry, held: Callable[[str], None]
) -> None:
    process(image=images.tag("1"))
    before = host.id()
    registry.stall()
    started = time.monotonic()
    try:
        failed = process(image=images.digest("2"), pull_timeout=3)
    finally:
        registry.resume()

    assert "could not pull image" in failed["msg"]
    assert "took longer than pull_timeout, 3 s" in failed["msg"]
    assert host.id() == before
    host.clean()
    held(f"given up after {time.monotonic() - started:.0f} s with pull_timeout 3; old engine never stopped")


def test_digest_moves(
    host: Host, process: ModuleProcess, images: Images, registry: Registry, held: Callable[[str], None]
) -> None:
    """The tag moves to an image that does not serve, and the user follows it."""
    process(image=images.tag("1"))
    before = host.id()
    broken = make_image(host.engine, _empty(process), "broken", 'ENTRYPOINT ["/none"]')
    registry.push(host.engine, broken, "sim:1")

    failed = process(image=images.tag("1"), pull="always")

    assert "was put back and serves again" in failed["msg"]
    assert host.id() == before
    assert process(image=images.tag("1"))["engine"]["image"]["digest"] == images.digests["1"]
    host.clean()
    held("old engine is back, and its own digest is reported though the tag means another")


def _empty(process: ModuleProcess) -> Path:
    """Return an empty root file system."""
    path = process.progress.with_name("empty.tar")
    subprocess.run(["tar", "cf", str(path), "--files-from", "/dev/null"], check=True)
    return path


def test_disk_full_while_pulling(
    process: ModuleProcess,
    images: Images,
    archive: Path,
    registry: Registry,
    docker_engine: DockerEngine,
    held: Callable[[str], None],
    tmp_path: Path,
) -> None:
    (tmp_path / "big").write_bytes(b"")
    subprocess.run(["truncate", "-s", "300M", str(tmp_path / "big")], check=True)
    subprocess.run(["tar", "cf", str(tmp_path / "big.tar"), "-C", str(tmp_path), "big"], check=True)
    big = make_image(docker_engine, tmp_path / "big.tar", "big")
    registry.push(docker_engine, big, "big:1")
    with DockerEngine(data_size="250m") as small:
        options = {"docker_host": small.url}
        made = process(image=images.tag("1"), **options)
        assert "failed" not in made, made["msg"]
        failed = process(image=f"{registry.host}/big:1", **options)
        assert "no space left on device" in failed["msg"]
        assert f"{NAME} was not touched" in failed["msg"]
        Host(small, process).clean()
        assert not process(image=images.tag("1"), **options)["changed"]
    held("old engine never stopped; the message says that the disk is full")


def test_a_disk_that_has_no_room_for_the_weights(
    host: Host, process: ModuleProcess, fake_vllm: Callable[..., str], tmp_path: Path, held: Callable[[str], None]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    served = {"engine": "vllm", "profile": "cpu", "image": fake_vllm("one"), "cache_dir": str(disk)}
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        with Hub({"org/tiny": Model(repository(20_000_000))}) as hub:
            served["environment"] = {"HF_ENDPOINT": hub.url}
            process(model="/models/local", **served)
            before = host.id()
            known = process(model="org/tiny", **served)
            failed = process(model="org/tiny", preflight="warn", **served)
        assert f"disk: wanted 19 MiB for the weights in {disk}, found 4 MiB free there" in known["msg"]
        assert f"19 MiB are to come, and 4 MiB are free in {disk}" in failed["msg"]
        assert host.id() == before
        host.clean()
    finally:
        process(state="absent")
        subprocess.run(["umount", str(disk)], check=True)
    held("old engine never stopped; the message names the full disk")


# What fails after the old engine stopped


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
    _until(lambda: host.engine.client.containers.get(NAME).attrs["RestartCount"] > 1)

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

    assert [_verb(call) for call in proxy.calls[:start]] == UPGRADE
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


# The host's own disk, and what else no daemon tells


class SmallDisk:
    """A disk of the tests' own for what the module keeps on the host."""

    def __init__(self, path: Path) -> None:
        self.path, self.covered = path, False
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)], check=True)

    def fill(self) -> None:
        with suppress(OSError), (self.path / "filler").open("wb", buffering=0) as stream:
            while True:
                stream.write(b"x" * 4096)

    def be_read_only(self) -> None:
        # Laid over it: a disk that a run has a file open on for writing cannot be remounted.
        subprocess.run(["mount", "--bind", str(self.path), str(self.path)], check=True)
        self.covered = True
        subprocess.run(["mount", "-o", "remount,bind,ro", str(self.path)], check=True)

    def mend(self) -> None:
        if self.covered:
            subprocess.run(["umount", "--lazy", str(self.path)], check=True)
            self.covered = False
        (self.path / "filler").unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path, process: ModuleProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    """Keep locks, secrets, logs and progress on a disk that a test may take away."""
    small = SmallDisk(tmp_path / "state")
    monkeypatch.setattr(state, "STATE_DIR", small.path)
    process.progress = small.path / "progress"
    yield small
    small.mend()
    process(state="absent")
    subprocess.run(["umount", "--lazy", str(small.path)], check=True)


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
        assert requests.get(f"{host.url}/health", timeout=5).status_code == 200, step
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


# The daemon


@pytest.mark.parametrize("how", [SIGTERM, SIGKILL])
def test_dockerd_is_restarted_while_the_engine_loads(
    host: Host, process: ModuleProcess, how: Any, held: Callable[[str], None]
) -> None:
    process()
    running = process.start(extra_args=["--load-seconds", "10"])
    _until(lambda: any("loading weights" in line for line in process.said()))
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
        _until(lambda: f"pulling {image}" in process.said())
        time.sleep(1)
        host.engine.kill(SIGKILL)
        host.engine.start()
        failed = process.result(running)

    assert "the Docker daemon went away" in failed["msg"]
    process(image=images.tag("1"))
    host.clean()
    held("told; the next run ends in the wanted state")


# The module


def _calls(host: Host, process: ModuleProcess, tmp_path: Path) -> list[str]:
    """Return the calls of an upgrade that change something."""
    process()
    with CallProxy(tmp_path / "proxy.sock", host.engine.url) as proxy:
        process(docker_host=proxy.url, **CHANGED)
    process(state="absent")
    return proxy.calls


def _verb(call: str) -> str:
    return call.partition("?")[0].rsplit("/", 1)[-1]


def _run_killed(host: Host, process: ModuleProcess, tmp_path: Path, number: int, when: str, **options: Any) -> None:
    """Start a run, and kill it at one of its calls."""
    running: list[subprocess.Popen[str]] = []
    proxy = CallProxy(tmp_path / "proxy.sock", host.engine.url, number, when, strike=lambda: process.kill(running[0]))
    with proxy:
        running.append(process.start(docker_host=proxy.url, **options))
        running[0].wait(60)
    assert proxy.struck


def test_module_is_killed_at_each_step_of_an_upgrade(
    host: Host, process: ModuleProcess, tmp_path: Path, held: Callable[[str], None]
) -> None:
    calls = _calls(host, process, tmp_path)
    assert [_verb(call) for call in calls[:-1]] == UPGRADE
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


def _until(done: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)
