# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether CUDA starts in a container, on a real Docker Engine whose GPU hook puts a stub of libcuda into containers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import docker
import pytest
from docker_engine import HOOK, DockerEngine

from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_container

STUBS = Path(__file__).resolve().parents[1] / "fleet/stubs"


@pytest.fixture
def hook(docker_engine: DockerEngine, tmp_path: Path) -> Path:
    """Give the engine the hook of the test hosts; return where it takes libcuda from."""
    path = docker_engine.directory / "bin" / HOOK
    before = path.read_bytes()
    library = tmp_path / "libcuda.so.1"
    stub = (STUBS / HOOK).read_text().replace("/usr/lib/libcuda.so.1}", f"{library}}}", 1)
    path.write_text(stub)
    yield library
    path.write_bytes(before)


def test_what_cuda_says_in_a_container(docker_engine: DockerEngine, hook: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")

    found = gpu_container.check(docker_engine.url)
    assert (found["ok"], found["remedy"]) == (False, "Install the driver's libcuda.")
    assert found["found"].startswith("libcuda.so.1 cannot be loaded: ")

    for code, ok, words in ((0, True, "it starts, with 4 GPUs"), (802, False, "error 802 CUDA_ERROR_SYSTEM_NOT_READY")):
        flags = [f"-DCODE={code}", "-shared", "-nostdlib", "-fPIC"]
        subprocess.run(["gcc", *flags, "-o", str(hook), str(STUBS / "libcuda.c")], check=True)
        found = gpu_container.check(docker_engine.url)
        assert (found["ok"], found["found"].startswith(words)) == (ok, True), found

    client = docker.DockerClient(base_url=docker_engine.url)
    assert client.containers.list(all=True) == []
    assert client.images.list(gpu_container.IMAGE) == []
