# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that are not bound to 127.0.0.1, on another Docker daemon than the host's: every role finds them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import NAME, Play
from docker_engine import DockerEngine

ROOT = Path(__file__).resolve().parents[2]
AIPERF = ROOT / ".build/venvs/aiperf/bin/aiperf"


@pytest.fixture
def bridge(docker_engine: DockerEngine) -> str:
    """An address of this machine that is not loopback: as 10.0.0.5 is on a user's host."""
    return docker_engine.client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]


@pytest.mark.parametrize("bound", ["its own", "::"])
def test_deploy_and_verify_ask_where_the_engine_is_bound(play: Play, bridge: str, free_port: int, bound: str) -> None:
    address = bridge if bound == "its own" else bound
    url = f"http://{bridge}:{free_port}" if bound == "its own" else f"http://[::1]:{free_port}"

    deployed = play("deploy", engine_bind_address=address)
    verified = play("verify", engine_bind_address=address)

    assert deployed["outcome"] == "changed"
    (check,) = verified["checks"]
    assert (check["url"], check["passed"], check["of"]) == (url, 7, 7)


@pytest.mark.skipif(not AIPERF.exists(), reason="AIPerf is not installed: the part unit of make test does it")
def test_a_benchmark_knows_each_engine_of_the_host(
    play: Play, bridge: str, free_port: int, tmp_path: Path, docker_engine: DockerEngine
) -> None:
    engines = {
        "engine_bind_address": bridge,
        "engine_instances": [
            {"container_name": f"{NAME}-a"},
            {"served_model_name": f"org/{NAME}-b", "port": free_port + 1, "bind_address": "127.0.0.1"},
        ],
    }
    play("deploy", **engines)

    play(
        "benchmark",
        **engines,
        benchmark_client_path=str(AIPERF),
        benchmark_work_dir=str(tmp_path / "work"),
        benchmark_input_length=64,
        benchmark_output_length=16,
        benchmark_num_prompts=8,
        benchmark_max_concurrency=8,
        benchmark_repeats=1,
        benchmark_warmup=False,
    )

    # Relative to where Ansible ran, whatever PWD says.
    documents = [json.loads(path.read_text()) for path in sorted((tmp_path / "results").glob("*.json"))]
    ids = {container.name: container.image.id for container in docker_engine.client.containers.list()}
    assert {document["engine"]["url"] for document in documents} == {
        f"http://{bridge}:{free_port}",
        f"http://127.0.0.1:{free_port + 1}",
    }
    # The facts are the container's own, of the daemon that the engine is on, its name's slash notwithstanding.
    assert {document["engine"]["image"]["id"] for document in documents} == set(ids.values())
    assert set(ids) == {f"{NAME}-a", f"org-{NAME}-b"}
