# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fails before the old engine stops: images, weights and their room."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from conftest import NAME, Images, make_image
from docker_engine import DockerEngine
from faults_rig import Host
from module_process import ModuleProcess
from registry import Registry

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "rigs/hub"))

from hub import Hub, Model, repository


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
