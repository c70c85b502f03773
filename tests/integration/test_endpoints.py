# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that are not bound to 127.0.0.1, on another Docker daemon than the host's: every role finds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import NAME, forget
from docker_engine import DockerEngine

ROOT = Path(__file__).resolve().parents[2]
AIPERF = ROOT / ".build/venvs/aiperf/bin/aiperf"
Play = Callable[..., dict[str, Any]]


@pytest.fixture
def play(docker_engine: DockerEngine, free_port: int, tmp_path: Path) -> Iterator[Play]:
    """Run a playbook of the collection on this machine, whose engines are on the tests' Docker Engine."""
    base = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "engine_name": "simulator",
        # With a slash, which no container's name may have.
        "engine_served_model_name": f"org/{NAME}",
        "engine_docker_host": docker_engine.url,
        "engine_port": free_port,
        "engine_exposed_without_key": True,
        "engine_cache_dir": str(tmp_path / "cache"),
        "engine_compile_cache_dir": "",
        "host_ignored_checks": ["gpus", "gpu_health", "gpu_fabric", "cuda", "nvidia_container_toolkit", "docker_sdk"],
    }

    def run(playbook: str, **variables: Any) -> dict[str, Any]:
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"here": {**base, **variables}}}}))
        done = subprocess.run(
            ["ansible-playbook", "-i", str(inventory), str(ROOT / f"playbooks/{playbook}.yml")],
            cwd=tmp_path,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PWD": "/nowhere"},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
        return json.loads((tmp_path / f"reports/summary-{playbook}.json").read_text())["hosts"][0]

    forget()
    yield run
    for container in docker_engine.client.containers.list(all=True):
        container.remove(force=True)
    for image in docker_engine.client.images.list():
        docker_engine.client.images.remove(image.id, force=True)
    forget()


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
