# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks and actions by each ansible-core, on hosts that are this machine. The engine is the simulator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker_engine import DockerEngine

from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights
from ansible_collections.inference.fleet.tests.integration.test_prepare import seeded
from ansible_collections.inference.fleet.tests.unit.plugins.modules import test_benchmark as unit

ROOT = Path(__file__).resolve().parents[3]
UNIT = ROOT / "tests/unit/plugins"
client = unit.client


class Controller:
    """A control host with two hosts that are this machine, and one ansible-core."""

    def __init__(self, core: Path, folder: Path, port: int, docker_host: str, client: str) -> None:
        self._core, self.folder, self.port = core, folder, port
        variables = {
            "ansible_connection": "local",
            "ansible_become": False,
            # A host's Python is not the controller's.
            "ansible_python_interpreter": sys.executable,
            "engine_name": "simulator",
            "engine_docker_host": docker_host,
            "engine_ready_timeout": 300,
            "host_ignored_checks": ["os", "python", "privileges", "docker_sdk", "docker_config"],
            "benchmark_client": "vllm",
            "benchmark_client_path": client,
            "benchmark_work_dir": str(folder / "work"),
            "benchmark_input_length": 64,
            "benchmark_output_length": 8,
            "benchmark_num_prompts": 4,
            "benchmark_max_concurrency": 2,
            "benchmark_repeats": 1,
        }
        names = {"engine_container_name": f"core-{port}", "engine_port": port}
        caches = {name: {"engine_cache_dir": str(folder / name)} for name in "ab"}
        hosts = {"a": {**caches["a"], **names}, "b": caches["b"]}
        (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))

    def __call__(self, playbook: str, *options: str, **variables: Any) -> str:
        """Run a playbook and return what it printed; it must go well, and warn of nothing that is deprecated."""
        command = [self._core / "ansible-playbook", "-i", "hosts.json", ROOT / f"playbooks/{playbook}.yml", *options]
        done = subprocess.run(
            [*command, "-e", json.dumps(variables)],
            cwd=self.folder,
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
                "PATH": f"{self._core}:{os.environ['PATH']}",
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_HOME": str(self.folder / "home"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_DEPRECATION_WARNINGS": "true",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        assert "DEPRECATION" not in output, output
        return output

    def summary(self, playbook: str) -> dict[str, Any]:
        """Return what the last run's summary says of host a."""
        document = json.loads((self.folder / f"reports/summary-{playbook}.json").read_text())
        return next(host for host in document["hosts"] if host["host"] == "a")


@pytest.fixture
def controller(core: Path, docker_engine: DockerEngine, free_port: int, client: str, tmp_path: Path) -> Controller:
    return Controller(core, tmp_path, free_port, docker_engine.url, client)


def test_story(controller: Controller, docker_engine: DockerEngine, check_document: Callable[..., None]) -> None:
    url = f"http://127.0.0.1:{controller.port}"
    controller("doctor", "-l", "a")

    controller("deploy", "-l", "a")
    told = controller.summary("deploy")
    assert told["outcome"] == "changed"
    assert [engine["url"] for engine in told["engines"]] == [url]
    assert [check["url"] for check in told["checks"]] == [url]
    (made,) = docker_engine.client.containers.list()

    assert "changed=0 " in controller("deploy", "-l", "a")
    assert [container.id for container in docker_engine.client.containers.list()] == [made.id]

    controller("verify", "-l", "a")
    assert controller.summary("verify")["checks"][0]["url"] == url

    controller("benchmark", "-l", "a")
    (result,) = (controller.folder / "results").glob("*.json")
    check_document(json.loads(result.read_text()))
    controller("report", "-l", "a")
    assert result.stem in (controller.folder / "reports/index.html").read_text()
    controller("regression", "-l", "a")

    controller("teardown", "-l", "a")
    assert docker_engine.client.containers.list(all=True) == []


def test_weights(controller: Controller, free_port: int) -> None:
    weights = Weights(f"org/tiny-{controller.port}")
    seeded(controller.folder / "a", weights)

    output = controller(
        "prepare",
        engine_model=weights.model,
        prepare_seed_host="a",
        prepare_seed_address="127.0.0.1",
        prepare_seed_port=free_port,
    )

    assert re.search(r"^\[b\] weights: 5 MiB of 5 MiB$", output, re.MULTILINE)


def test_plugins(core: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    tests = [str(UNIT / name) for name in ("action", "callback", "filter", "lookup", "plugin_utils")]
    folder = tmp_path_factory.mktemp("unit")
    command = [core / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", folder]
    done = subprocess.run(
        [*command, *(name for name in tests if Path(name).exists())],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{core}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
