# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts on one cache whose locks say yes to everybody: one download, no sweep of the other's, no removal either."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.weights import cache, download, hub, leases, tool
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights
from ansible_collections.inference.fleet.tests import patience
from ansible_collections.inference.fleet.tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests/rigs/hub"), str(ROOT / "tests/rigs/shared_cache")]

from hosts import Host, kill, missing, without_locks  # noqa: E402  (the rig's folder is on the path only now)
from hub import Hub, Model, repository  # noqa: E402

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}")
TINY = Weights("org/tiny")
SIZE = 8_000_000
# Each host has looked before the other has begun: nobody finds it complete at the first look.
FETCH = """
import threading
from pathlib import Path
from ansible_collections.inference.fleet.plugins.module_utils.weights import hub, leases, told
hub.TOOL_DIR = Path(FACTS["tool"])
for name, value in FACTS.get("leases", {}).items():
    setattr(leases, name, value)
told.EVERY = FACTS.get("every", 25.0)
hub.fetch(hub.Weights("org/tiny"), FACTS["cache"], token=None, environment={"HF_ENDPOINT": FACTS["hub"]},
          timeout=100, say=print, stop=threading.Event())
print("done")
"""
HOLD = """
from ansible_collections.inference.fleet.plugins.module_utils.weights.leases import Leases
Leases(FACTS["cache"], "models--org--tiny").hold("qwen", "serves org/tiny as qwen")
"""
REMOVE = """
from pathlib import Path
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import caches
try:
    paths = caches.found(FACTS["cache"], ["org/tiny"], None)
    caches.refuse_leased(paths, FACTS.get("ended", []))
    for path in paths:
        caches.remove(path, FACTS.get("ended", []))
    print("removed", len(paths))
except FleetError as error:
    print("refused:", error)
"""


@pytest.fixture
def hosts(tmp_path: Path) -> tuple[Host, Host]:
    library = without_locks(tmp_path)
    return Host("gpu-1", library), Host("gpu-2", library)


@pytest.fixture
def tool_dir(tmp_path: Path) -> str:
    """The program that downloads, as a host without locks has it."""
    there = ROOT / ".build/venvs/huggingface_hub"
    try:
        python = tool.python(there, {}, lambda text: None)
    except tool.ToolError as error:
        pytest.skip(f"needs a Python package index: {error}")
    here = tmp_path / "tool"
    (here / "bin").mkdir(parents=True)
    for marker in there.glob(".huggingface*"):
        (here / marker.name).touch()
    (here / "bin/python").write_text(f'#!/bin/sh\nLD_PRELOAD={tmp_path}/no_locks.so exec {python} "$@"\n')
    (here / "bin/python").chmod(0o755)
    return str(here)


@pytest.fixture
def serve() -> Iterator[Callable[..., Hub]]:
    running: list[Hub] = []

    def start(**options: object) -> Hub:
        running.append(Hub({"org/tiny": Model(repository(SIZE), **options)}).__enter__())  # type: ignore[arg-type]
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


def lease(place: Path) -> Path:
    return place / ".inference.fleet/models--org--tiny/work.json"


def until(done: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    patience.until(lambda: done() or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]


def test_the_rig_s_locks_mean_nothing(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    code = """
import fcntl, time
with open(FACTS["path"], "w") as stream:
    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("mine", flush=True)
    time.sleep(FACTS["seconds"])
"""
    holder = hosts[0].start(code, path=str(tmp_path / "lock"), seconds=60)
    assert holder.stdout.readline() == "mine\n"  # type: ignore[union-attr]
    assert hosts[1].run(code, path=str(tmp_path / "lock"), seconds=0) == "mine\n"
    kill(holder)


def test_one_downloads_and_the_other_waits_and_says_so(
    hosts: tuple[Host, Host], tool_dir: str, serve: Callable[..., Hub], tmp_path: Path
) -> None:
    server, place = serve(bytes_per_second=1_500_000), tmp_path / "cache"
    facts = {"tool": tool_dir, "cache": str(place), "hub": server.url, "every": 0.5}
    first = hosts[0].start(FETCH, **facts)
    until(lambda: server.served > 0, first)
    second = hosts[1].run(FETCH, **facts)
    said, _nothing = first.communicate(timeout=PATIENCE)

    assert first.returncode == 0, said
    files = server.models["org/tiny"].files
    assert server.served == sum(len(files[name]) for name in download.wanted(files))
    assert "downloading the weights of org/tiny" in said
    lines = second.splitlines()
    assert lines[0].startswith("waiting for gpu-1, which downloads org/tiny in the same cache: "), second
    assert sum(line.startswith("waiting for gpu-1") for line in lines) > 1
    assert lines[-2:] == ["the weights of org/tiny are there now", "done"]
    assert cache.cached(str(place), TINY)
    assert not (place / ".inference.fleet").exists()


def test_what_the_other_has_half_is_not_swept(
    hosts: tuple[Host, Host], tool_dir: str, serve: Callable[..., Hub], tmp_path: Path
) -> None:
    """An engine that downloads for itself has no lease, and a lock that nobody sees: its half file is young."""
    blobs = tmp_path / "cache/hub/models--org--tiny/blobs"
    blobs.mkdir(parents=True)
    young, old = blobs / f"{'a' * 64}.11111111.incomplete", blobs / f"{'b' * 64}.22222222.incomplete"
    for path in (young, old):
        path.write_bytes(b"half")
        lock = tmp_path / f"cache/hub/.locks/models--org--tiny/{path.name.partition('.')[0]}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    os.utime(old, (time.time() - hub.ABANDONED - 60,) * 2)

    server = serve()
    hosts[1].run(FETCH, tool=tool_dir, cache=str(tmp_path / "cache"), hub=server.url)

    assert young.exists()
    assert not old.exists()


def test_a_host_that_lost_its_power_is_waited_for_until_its_lease_ran_out(
    hosts: tuple[Host, Host], tool_dir: str, serve: Callable[..., Hub], tmp_path: Path
) -> None:
    server, place = serve(stall_after=2_000_000), tmp_path / "cache"
    facts = {"tool": tool_dir, "cache": str(place), "hub": server.url, "every": 0.5, "leases": {"RENEW_EVERY": 0.5}}
    first = hosts[0].start(FETCH, **facts)
    until(lambda: server.served >= 2_000_000, first)
    kill(first)
    assert lease(place).exists()
    server.models["org/tiny"].stall_after = None

    second = hosts[1].start(FETCH, **facts)
    assert second.stdout.readline().startswith("waiting for gpu-1"), second.communicate()  # type: ignore[union-attr]
    past = time.time() - leases.LIFETIME - 1
    os.utime(lease(place), (past, past))
    said, _nothing = second.communicate(timeout=PATIENCE)

    assert second.returncode == 0, said
    assert "downloading the weights of org/tiny" in said
    assert cache.cached(str(place), TINY)


def test_a_host_whose_lease_was_taken_over_stops_and_waits(
    hosts: tuple[Host, Host], tool_dir: str, serve: Callable[..., Hub], tmp_path: Path
) -> None:
    """As when the file system did not answer it for longer than a lease holds."""
    server, place = serve(stall_after=2_000_000), tmp_path / "cache"
    facts = {"tool": tool_dir, "cache": str(place), "hub": server.url, "every": 0.5, "leases": {"RENEW_EVERY": 1.0}}
    first = hosts[0].start(FETCH, **facts)
    until(lambda: server.served >= 2_000_000, first)
    server.models["org/tiny"].stall_after = None

    def taken_over() -> bool:
        with suppress(OSError, ValueError):
            if json.loads(lease(place).read_text())["name"] == "gpu-2":
                return True
            past = time.time() - leases.LIFETIME - 1
            os.utime(lease(place), (past, past))
        return False

    second = hosts[1].start(FETCH, **facts)
    until(taken_over, second)
    for process in (first, second):
        said, _nothing = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
        assert "downloading the weights of org/tiny" in said
        if process is first:
            assert "another host went on with the download" in said
    assert cache.cached(str(place), TINY)
    assert list(place.rglob("*.incomplete")) == []


def test_teardown_refuses_what_another_host_serves(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    place = tmp_path / "cache"
    weights = place / "hub/models--org--tiny/blobs/1"
    weights.parent.mkdir(parents=True)
    weights.write_text("weights")
    hosts[0].run(HOLD, cache=str(place))
    # However long ago: a container runs without anybody who could renew its lease.
    (held,) = (place / ".inference.fleet/models--org--tiny").glob("*.json")
    past = time.time() - 30 * 86400
    os.utime(held, (past, past))

    refused = hosts[1].run(REMOVE, cache=str(place))

    assert "it is used by gpu-1 (serves org/tiny as qwen, 30 d ago)." in refused
    assert "Run teardown.yml there first." in refused
    assert "ended_hosts (-e teardown_ended_hosts=NAME)" in refused
    assert weights.read_text() == "weights"
    assert "it is used by gpu-1" in hosts[1].run(REMOVE, cache=str(place), ended=["gpu-3"])
    assert hosts[1].run(REMOVE, cache=str(place), ended=["gpu-1"]) == "removed 1\n"
    assert list(place.rglob("*")) == [place / "hub"]


def test_teardown_refuses_what_another_host_downloads(
    hosts: tuple[Host, Host], tool_dir: str, serve: Callable[..., Hub], tmp_path: Path
) -> None:
    server, place = serve(stall_after=2_000_000), tmp_path / "cache"
    first = hosts[0].start(FETCH, tool=tool_dir, cache=str(place), hub=server.url)
    until(lambda: server.served >= 2_000_000, first)

    refused = hosts[1].run(REMOVE, cache=str(place))

    kill(first)
    assert "it is used by gpu-1 (downloads org/tiny, " in refused
    assert (place / "hub/models--org--tiny").is_dir()


def test_two_hosts_remove_at_once_and_both_end_well(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    place = tmp_path / "cache"
    for number in range(300):
        path = place / f"hub/models--org--tiny/blobs/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("weights")
    running = [host.start(REMOVE, cache=str(place)) for host in hosts]
    said = [process.communicate(timeout=PATIENCE)[0] for process in running]
    assert all(text.startswith("removed ") for text in said), said
    assert list(place.rglob("*")) == [place / "hub"]
