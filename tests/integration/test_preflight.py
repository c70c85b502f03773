# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine module on hosts that could not serve: a real Docker Engine, real ports, and a stub of nvidia-smi."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import NAME
from docker_engine import DockerEngine
from module_process import ModuleProcess

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.serving import placement

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/rigs/hub"))

from hub import Hub, Model, repository  # noqa: E402  (the rig's folder is on the path only now)

STUBS = ROOT / "tests/fleet/stubs"


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], object]:
    """Have nvidia-smi play a host's GPUs, by their profile."""
    # A module asks once in its process, and this one runs many.
    placement.query.cache_clear()
    monkeypatch.setenv("STUB_GPUS", str(tmp_path / "gpus"))
    monkeypatch.setenv("PATH", f"{STUBS}:{os.environ['PATH']}")
    return (tmp_path / "gpus").write_text


def started(docker_engine: DockerEngine) -> tuple[str, str, str]:
    container = docker_engine.client.containers.get(NAME)
    return container.id, container.attrs["State"]["StartedAt"], container.status


def test_a_port_that_a_stranger_has_stops_nothing(docker_engine: DockerEngine, process: ModuleProcess) -> None:
    assert process()["changed"]
    before = started(docker_engine)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        predicted = process(check=True, port=port)
        failed = process(port=port)
        assert failed["msg"] == predicted["msg"]
        assert f"{NAME} could not serve on this host, and no engine was touched." in failed["msg"]
        assert f"port: wanted {port} of 127.0.0.1, found that somebody listens there already" in failed["msg"]
        assert started(docker_engine) == before

        # Who knows better finds out what the daemon says, and has the old engine back.
        tried = process(port=port, preflight="warn")
    assert "put back" in tried["msg"]
    assert started(docker_engine)[0] == before[0]
    assert started(docker_engine)[2] == "running"


def test_a_port_of_its_own_is_no_stranger_s(docker_engine: DockerEngine, process: ModuleProcess) -> None:
    assert process()["changed"]
    replaced = process(extra_args=["--max-model-len", "9000"])
    assert replaced["steps"] == [plan.REPLACE, plan.WAIT]


@pytest.mark.parametrize(
    ("profile", "options", "message"),
    [
        # Its memory is that of four A100 of 80 GB; without the size the catalogue refuses it before.
        (
            "a100-40gbx4",
            {"tensor_parallel_size": 4},
            "memory: wanted room for 149 GiB of weights and some KV cache, found 4 GPUs of 40 GiB",
        ),
        ("h100x8", {"gpus": ["6", "9"], "tensor_parallel_size": 2}, "GPUs: wanted 6, 9, found none called 9"),
    ],
)
def test_gpus_that_could_not_hold_the_model(
    docker_engine: DockerEngine,
    process: ModuleProcess,
    fake_vllm: Callable[..., str],
    play: Callable[[str], object],
    profile: str,
    options: dict[str, Any],
    message: str,
) -> None:
    play(profile)
    wanted = {"engine": "vllm", "image": fake_vllm("preflight"), "prefetch": False, **options}
    failed = process(**wanted)
    assert message in failed["msg"]
    assert "If you know better, set preflight to warn." in failed["msg"]
    assert docker_engine.client.containers.list(all=True) == []

    warned = process(check=True, **wanted, preflight="warn")
    assert any(message in warning for warning in warned["warnings"])
    assert plan.CREATE in warned["steps"]
    skipped = process(check=True, **wanted, preflight="skip")["warnings"]
    assert not any(message in warning for warning in skipped)


def test_gpus_that_another_engine_of_the_same_task_leaves(
    docker_engine: DockerEngine,
    process: ModuleProcess,
    fake_vllm: Callable[..., str],
    play: Callable[[str], object],
) -> None:
    play("h100x4")
    wanted = {"engine": "vllm", "image": fake_vllm("moves"), "model": "/models/small", "tensor_parallel_size": 1}
    port = process.defaults["port"]

    def instances(**gpus: str) -> list[dict[str, Any]]:
        return [
            {"container_name": f"{NAME}-{name}", "gpus": [gpu], "port": port + index}
            for index, (name, gpu) in enumerate(gpus.items())
        ]

    def running() -> dict[str, tuple[str, list[str]]]:
        return {
            container.name.removeprefix(f"{NAME}-"): (
                container.id,
                container.attrs["HostConfig"]["DeviceRequests"][0]["DeviceIDs"],
            )
            for container in docker_engine.client.containers.list()
        }

    assert process(**wanted, instances=instances(a="0", b="1"))["ready"]
    before = running()

    # The look must not take b, which moves away first, for one that c would have to share GPU 1 with.
    moved = process(**wanted, instances=instances(a="0", b="2", c="1"))

    assert moved["ready"], moved
    assert {name: gpus for name, (_id, gpus) in running().items()} == {"a": ["0"], "b": ["2"], "c": ["1"]}
    assert running()["a"] == before["a"]
    assert not process(**wanted, instances=instances(a="0", b="2", c="1"))["changed"]


def test_sizes_that_the_model_or_the_host_does_not_allow_stop_nothing(
    docker_engine: DockerEngine,
    process: ModuleProcess,
    fake_vllm: Callable[..., str],
    play: Callable[[str], object],
    tmp_path: Path,
) -> None:
    play("h100x4")
    model = tmp_path / "cache/hub/models--org--dense"
    (model / "refs").mkdir(parents=True)
    (model / "refs/main").write_text("0" * 40)
    snapshot = model / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"num_attention_heads": 40, "num_key_value_heads": 8}')
    (snapshot / "model.safetensors").write_bytes(b"x")
    wanted = {"engine": "vllm", "image": fake_vllm("sizes"), "model": "org/dense"}
    made = process(**wanted, tensor_parallel_size=2, extra_args=["-pp", "2"])
    assert made["ready"], made
    assert made["engine"]["profile"] == "h100x4"
    before = started(docker_engine)

    failed = process(**wanted, tensor_parallel_size=3)
    assert (
        "tensor parallel size: wanted 3, found that the model's 40 attention heads cannot be divided among 3. Set "
        "tensor_parallel_size to one that fits: 1, 2, 4."
    ) in failed["msg"]
    failed = process(**wanted, tensor_parallel_size=4, extra_args=["--data_parallel_size=2"])
    assert "would take 8 GPUs (tensor parallel 4 by data parallel 2), and it would have 4 (h100x4)" in failed["msg"]
    # Before anything of it is downloaded.
    with Hub({"org/new": Model({**repository(), "config.json": (snapshot / "config.json").read_bytes()})}) as hub:
        there = {**wanted, "model": "org/new", "environment": {"HF_ENDPOINT": hub.url}}
        failed = process(**there, tensor_parallel_size=3)
        assert "the model's 40 attention heads cannot be divided among 3" in failed["msg"]
        assert not any(".safetensors" in path for path in hub.requests)
    # A directory of the host, by its name in the container.
    mounts = [{"source": str(snapshot), "target": "/models/dense"}]
    failed = process(**{**wanted, "model": "/models/dense"}, mounts=mounts, tensor_parallel_size=3)
    assert "the model's 40 attention heads cannot be divided among 3" in failed["msg"]
    assert started(docker_engine) == before


def test_an_image_that_wants_a_newer_driver(
    process: ModuleProcess, fake_vllm: Callable[..., str], play: Callable[[str], object]
) -> None:
    play("h100x4")
    image = fake_vllm("newer", "ENV NVIDIA_REQUIRE_CUDA=cuda>=99.0")
    failed = process(engine="vllm", image=image, prefetch=False)
    assert "driver: the image wants cuda>=99.0, found driver 570.86.15 with CUDA 12.8" in failed["msg"]
    disabled = {"NVIDIA_DISABLE_REQUIRE": "1"}
    looked = process(check=True, engine="vllm", image=image, model="/models/local", environment=disabled)
    assert looked["warnings"] == []
    assert plan.CREATE in looked["steps"]
