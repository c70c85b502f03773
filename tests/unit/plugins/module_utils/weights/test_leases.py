# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases: who may work on a thing, on file systems of every kind and with clocks that disagree."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.weights import leases
from ansible_collections.inference.fleet.plugins.module_utils.weights.leases import Lease, Leases

THING = "models--org--tiny"


@pytest.fixture
def thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Leases:
    monkeypatch.setattr(leases, "LOOK_EVERY", 0.01)
    return Leases(tmp_path, THING)


def refuse(lease: Lease) -> None:
    raise InterruptedError(lease.what)


def as_host(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(leases, "host_id", lambda: f"{name}-id")
    monkeypatch.setattr(leases.socket, "gethostname", lambda: name)
    monkeypatch.setattr(leases, "_place", lambda: name)


def age(thing: Leases, seconds: float, name: str = "work.json") -> None:
    then = time.time() - seconds
    os.utime(thing.directory / name, (then, then))


def test_only_one_works_and_the_next_comes_after_it(thing: Leases) -> None:
    with thing.work("downloads it", refuse), pytest.raises(InterruptedError, match="downloads it"):  # noqa: SIM117
        with thing.work("removes it", refuse):
            pytest.fail("two at once")
    with thing.work("removes it", refuse):
        pass
    assert not thing.directory.exists()


def _links(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(leases.os, "link", link)


def _lost_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS made the link, and its answer was lost: the second try finds it there."""
    real = os.link

    def link(source: Path, target: Path) -> None:
        real(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(leases.os, "link", link)


@pytest.mark.parametrize(
    "kind",
    [
        lambda monkeypatch: None,
        lambda monkeypatch: _links(monkeypatch, errno.EPERM),
        lambda monkeypatch: _links(monkeypatch, errno.ENOTSUP),
        _lost_answer,
    ],
    ids=["links", "no links, EPERM", "no links, ENOTSUP", "an answer that was lost"],
)
def test_of_many_one_works_at_a_time_on_every_kind_of_file_system(
    kind: Callable[[pytest.MonkeyPatch], None], thing: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind(monkeypatch)
    inside, most, done = [0], [0], [0]
    guard = threading.Lock()

    def work(_number: int) -> None:
        with Leases(thing.directory.parents[1], THING).work("works", lambda lease: None):
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            with guard:
                inside[0] -= 1
                done[0] += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    assert (most, done) == ([1], [24])


def test_a_lease_that_ran_out_is_taken_over(thing: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = threading.Event()
    monkeypatch.setattr(leases, "RENEW_EVERY", 0.05)
    as_host(monkeypatch, "gpu-1")
    with thing.work("downloads it", refuse, lost.set):
        as_host(monkeypatch, "gpu-2")
        with pytest.raises(InterruptedError), thing.work("removes it", refuse):
            pytest.fail("it has not run out")
        # The other's clock does not matter: the file system says how old it is.
        monkeypatch.setattr(Leases, "_now", lambda self: time.time() + leases.LIFETIME + 1)
        with thing.work("removes it", refuse):
            assert lost.wait(60)
        assert thing.all() == []


def test_a_renewed_lease_does_not_run_out(thing: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_EVERY", 0.02)
    with thing.work("downloads it", refuse):
        age(thing, 1000)
        until = time.monotonic() + 60
        while time.time() - (thing.directory / "work.json").stat().st_mtime > 500:
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.mark.parametrize("skew", [-86400, 86400])
def test_a_host_whose_clock_is_wrong_judges_as_every_other(
    thing: Leases, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    as_host(monkeypatch, "gpu-1")
    thing.hold("share", "hands it on", lifetime=leases.LIFETIME)
    as_host(monkeypatch, "gpu-2")
    real = time.time
    monkeypatch.setattr(leases.time, "time", lambda: real() + skew)
    assert [lease.what for lease in thing.others()] == ["hands it on"]
    (path,) = thing.directory.glob("*.json")
    os.utime(path, (real() - leases.LIFETIME + 30,) * 2)
    assert len(thing.others()) == 1
    os.utime(path, (real() - leases.LIFETIME - 30,) * 2)
    assert thing.others() == []


def test_a_process_of_this_host_that_ended_holds_nothing(thing: Leases) -> None:
    code = (
        "import sys; from ansible_collections.inference.fleet.plugins.module_utils.weights.leases import Leases\n"
        f"with Leases({str(thing.directory.parents[1])!r}, {THING!r}).work('downloads it', print): "
        "print('has it', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    assert child.stdout.readline() == "has it\n"  # type: ignore[union-attr]
    assert [lease.what for lease in thing.others()] == ["downloads it"]
    child.kill()
    child.wait()
    assert thing.others() == []
    with thing.work("downloads it", refuse):
        pass


def test_a_lease_that_another_made_meanwhile_is_not_put_aside(thing: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = leases._lease("downloads it", 180.0, None)
    alive = leases._lease("downloads it too", 180.0, None)
    thing.now()
    path = thing.directory / "work.json"
    path.write_text(leases._text(alive))
    thing._put_aside(path, dead)
    assert thing.all()[0].holder == alive.holder
    # Also where it came between the look and the rename.
    seen = [leases._read(path)]
    monkeypatch.setattr(leases, "_read", lambda place, real=leases._read: dead if seen and seen.pop() else real(place))
    thing._put_aside(path, dead)
    assert leases._read(path).holder == alive.holder  # type: ignore[union-attr]
    assert list(thing.directory.glob("aside-*")) == []


def test_readers_are_beside_each_other_and_come_and_go(thing: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("gpu-1", "gpu-2"):
        as_host(monkeypatch, host)
        thing.hold("a/b", "serves it as a")
        thing.hold("c", "serves it as c")
    assert len(thing.all()) == 4
    assert [lease.name for lease in thing.others()] == ["gpu-1", "gpu-1"]
    assert thing.others(["gpu-1"]) == thing.others(["gpu-[0-9]"]) == []
    thing.release("a/b")
    thing.release("never held")
    assert len(thing.all()) == 3
    thing.forget(["gpu-1"])
    assert not thing.directory.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", json.dumps({"host": "a"}), "\udcff", "name"])
def test_what_is_no_lease_is_none(thing: Leases, content: str) -> None:
    thing.now()
    (thing.directory / "x.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert thing.all() == []
    thing.forget([])


def test_scrap_in_the_place_of_the_work_s_lease_goes_when_it_is_old(thing: Leases) -> None:
    thing.now()
    (thing.directory / "work.json").write_text("{")
    age(thing, leases.LIFETIME + 60)
    with thing.work("downloads it", refuse):
        pass


def test_a_cache_where_nobody_was_is_left_alone(tmp_path: Path) -> None:
    assert Leases(tmp_path, THING).all() == []
    Leases(tmp_path, THING).release("engine")
    Leases(tmp_path, THING).forget([])
    assert list(tmp_path.iterdir()) == []


def test_two_hosts_of_one_image_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    for name in ("gpu-1", "gpu-2", "gpu-1"):
        monkeypatch.setattr(leases.socket, "gethostname", lambda name=name: name)
        leases.host_id.cache_clear()
        found.append(leases.host_id())
    leases.host_id.cache_clear()
    assert found[0] == found[2] != found[1]
