# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is told of an engine's start: a real Docker Engine, and a stand-in that prints what a real vLLM did."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import NAME, Module, Run, forget, make_image
from docker_engine import DockerEngine

from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs

LOGS = Path(__file__).resolve().parents[1] / "unit/plugins/module_utils/diagnosis/logs"
# Its bars overwrite themselves, as tqdm's do: Docker keeps them as one line.
STAND_IN = """
import sys
log = open("/start.log", encoding="utf-8").read()
sys.stderr.write(log.replace("]\\nDeepGEMM", "]\\rDeepGEMM") + "\\n")
sys.stderr.flush()
if {fails}:
    sys.exit(1)
port = sys.argv[sys.argv.index("--port") + 1]
sys.path.insert(0, "/opt/inference.fleet")
sys.argv = ["x", "--host", "0.0.0.0", "--port", port, "--model", "m", "--served-model-name", "qwen3-coder-next"]
sys.argv += ["--figures", {figures!r}]
from inference_fleet.simulator.server import main
main()
"""


@pytest.fixture
def start(
    docker_engine: DockerEngine, archive: Path, free_port: int, tmp_path: Path
) -> Iterator[Callable[[str, bool], Run]]:
    """Deploy an engine that prints a log, and then serves or fails."""
    figures = json.dumps({key: PUBLISHED[0][key] for key in ("id", "cold", "workload", "metrics")})
    defaults: dict[str, Any] = {
        "docker_host": docker_engine.url,
        "engine": "vllm",
        "model": "/models/local",
        "served_model_name": "qwen3-coder-next",
        "profile": "cpu",
        "container_name": NAME,
        "port": free_port,
        "cache_dir": str(tmp_path / "cache"),
        "compile_cache_dir": "",
        "ready_timeout": 60,
        "stop_timeout": 5,
        "restart_policy": "no",
    }

    def deploy(log: str, fails: bool) -> Run:
        program = [rootfs.entrypoint()[0], "-c", STAND_IN.format(fails=fails, figures=figures)]
        image = make_image(docker_engine, archive, f"prints-{log}", f"ENTRYPOINT {json.dumps(program)}")
        mounts = [{"source": str(LOGS / f"vllm-0.22.1-h200-{log}.log"), "target": "/start.log"}]
        return Module("inference.fleet.engine", defaults, tmp_path)(image=image, mounts=mounts)

    yield deploy
    for container in docker_engine.client.containers.list(all=True):
        container.remove(force=True)
    forget()


def test_a_start_is_told_phase_by_phase(start: Callable[[str, bool], Run]) -> None:
    run = start("start", False)
    assert run.result["changed"], run.output
    told = [line.partition("] ")[2] for line in run.output.splitlines() if line.startswith("[localhost] ")]
    wanted = [
        "reading the model's configuration",
        "starting the engine",
        "loading the model",
        "model loaded: 74.94 GiB, 8.819746 s",
        "compiling",
        "compiled in 72.49 s",
        "profiled in 22.54 s",
        "KV cache: 48.92 GiB",
        "DeepGEMM warm-up: 299 of 1253",
    ]
    places = [told.index(phase) for phase in wanted]
    assert places == sorted(places), told


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (
            "failed-start",
            "the image lacks the Python package flashinfer. Take the engine's own image, or one that has it. "
            "Its last lines:\n",
        ),
        ("gpu-taken", "somebody else holds GPU memory: 13.46 of 139.8 GiB are free, and the engine takes 125.82. "),
    ],
)
def test_a_failed_start_is_explained(start: Callable[[str, bool], Run], log: str, cause: str) -> None:
    run = start(log, True)
    assert f"the engine in {NAME} ended with exit code 1 before it was ready: {cause}" in run.result["msg"]
    assert "ulimit" not in run.result["msg"]
