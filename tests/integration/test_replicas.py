# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas of an engine on one host, as one service: a real Docker Engine, simulators, and a stub of nvidia-smi."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import NAME, Play
from docker_engine import DockerEngine
from module_process import ModuleProcess

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.serving import placement

ROOT = Path(__file__).resolve().parents[2]
AIPERF = ROOT / ".build/venvs/aiperf/bin/aiperf"
STUBS = ROOT / "tests/fleet/stubs"
WORKLOAD = {
    "benchmark_input_length": 64,
    "benchmark_output_length": 16,
    "benchmark_num_prompts": 8,
    "benchmark_max_concurrency": 4,
    "benchmark_repeats": 1,
    "benchmark_warmup": False,
}


def containers(docker_engine: DockerEngine) -> dict[str, str]:
    """Return the containers that run, by name, with what tells a start from another."""
    return {item.name: item.id + item.attrs["State"]["StartedAt"] for item in docker_engine.client.containers.list()}


@pytest.mark.skipif(not AIPERF.exists(), reason="AIPerf is not installed: the part unit of make test does it")
def test_replicas_are_deployed_verified_measured_and_taken_down_as_one(
    play: Play, docker_engine: DockerEngine, free_port: int, tmp_path: Path
) -> None:
    first, second = f"org-{NAME}", f"org-{NAME}-2"
    play("deploy")
    alone = containers(docker_engine)

    grown = play("deploy", engine_replicas=2)

    assert [(item["name"], item["url"]) for item in grown["engines"]] == [
        (first, f"http://127.0.0.1:{free_port}"),
        (second, f"http://127.0.0.1:{free_port + 1}"),
    ]
    both = containers(docker_engine)
    # The first is the engine that was there, untouched.
    assert set(both) == {first, second}
    assert both[first] == alone[first]
    assert play("deploy", engine_replicas=2)["outcome"] == "ok"
    assert containers(docker_engine) == both
    checks = play("verify", engine_replicas=2)["checks"]
    assert [(check["url"], check["passed"], check["of"]) for check in checks] == [
        (item["url"], 7, 7) for item in grown["engines"]
    ]

    play("benchmark", engine_replicas=2, benchmark_client_path=str(AIPERF), **WORKLOAD)
    (document,) = [json.loads(path.read_text()) for path in (tmp_path / "results").glob("*.json")]
    assert (document["engine"]["replicas"], document["quality"]["completed"]) == (2, 8)
    assert document["engine"]["url"] == f"http://127.0.0.1:{free_port}"
    # What both engines counted: half of it would be as if one had been left out.
    assert document["repeats"][0]["counted"]["requests"] == 8

    play("teardown", engine_replicas=2)
    assert containers(docker_engine) == {}


def test_replicas_divide_the_gpus(
    docker_engine: DockerEngine,
    process: ModuleProcess,
    fake_vllm: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for asked in (placement.query, placement.near):
        # A module asks once in its process, and this one runs many.
        asked.cache_clear()
    monkeypatch.setenv("STUB_GPUS", str(tmp_path / "gpus"))
    monkeypatch.setenv("PATH", f"{STUBS}:{os.environ['PATH']}")
    (tmp_path / "gpus").write_text("h100x8")
    wanted: dict[str, Any] = {"engine": "vllm", "image": fake_vllm("replicas"), "model": "/models/small"}

    def gpus() -> dict[str, list[str] | None]:
        found = docker_engine.client.containers.list()
        return {item.name: item.attrs["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] for item in found}

    assert process(**wanted)["ready"]
    assert gpus() == {NAME: None}

    # The second wants GPUs that the first has, until it has made room.
    looked = process(check=True, **wanted, replicas=2)
    assert [item["steps"] for item in looked["instances"]] == [[plan.REPLACE, plan.WAIT], [plan.CREATE, plan.WAIT]]
    grown = process(**wanted, replicas=2)
    assert [(item["name"], item["ready"]) for item in grown["instances"]] == [(NAME, True), (f"{NAME}-2", True)]
    # Those of a socket together, as the stub's matrix has them.
    halves = {NAME: ["0", "2", "4", "6"], f"{NAME}-2": ["1", "3", "5", "7"]}
    assert gpus() == halves
    engines = [item["engine"] for item in grown["instances"]]
    assert {(item["profile"], item["tensor_parallel_size"]) for item in engines} == {("h100x4", 4)}
    assert not process(**wanted, replicas=2)["changed"]

    refused = process(**wanted, replicas=3)
    assert "found 8 GPUs, which do not divide: 8 = 3 x 2 + 2" in refused["msg"]
    # All GPUs for one again: those of the other are not taken from it unless it may go.
    kept = process(**wanted)
    assert f"or, if {NAME}-2 is to go, set prune" in kept["msg"]
    assert gpus() == halves
    gone = f"remove {NAME}-2, which is not wanted any more"
    assert gone in process(check=True, **wanted, prune=True)["steps"]
    assert gpus() == halves
    # One that keeps its GPUs is not touched when the other goes.
    alone = {**wanted, "gpus": halves[NAME]}
    assert "are not among those wanted" in process(**alone)["warnings"][-1]
    assert process(**alone, prune=True)["steps"] == [gone]
    assert gpus() == {NAME: halves[NAME]}
