# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container on 2x B200, 4x H100 and 4x A100 is what the model's page runs, for both engines."""

from __future__ import annotations

import shlex

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    ALL_GPUS,
    Mount,
    Port,
    create_config,
)
from ansible_collections.inference.fleet.plugins.module_utils.models.model import Model
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue

PAGE = Model.of(catalogue.facts("Qwen/Qwen3-Coder-Next") or {})
HARDWARE = {
    "b200x2": [{"name": "NVIDIA B200", "memory_mib": 183359}] * 2,
    "h100x4": [{"name": "NVIDIA H100 80GB HBM3", "memory_mib": 81559}] * 4,
    "a100x4": [{"name": "NVIDIA A100-SXM4-80GB", "memory_mib": 81920}] * 4,
}

COMMANDS = {
    ("vllm", "b200x2"): (
        "--host 0.0.0.0 --port 8000 --model Qwen/Qwen3-Coder-Next --served-model-name qwen3-coder-next "
        "--enable-auto-tool-choice --tool-call-parser qwen3_coder --tensor-parallel-size 2 --trust-remote-code"
    ),
    ("vllm", "h100x4"): (
        "--host 0.0.0.0 --port 8000 --model Qwen/Qwen3-Coder-Next --served-model-name qwen3-coder-next "
        "--enable-auto-tool-choice --tool-call-parser qwen3_coder --tensor-parallel-size 4 --trust-remote-code"
    ),
    ("vllm", "a100x4"): (
        "--host 0.0.0.0 --port 8000 --model Qwen/Qwen3-Coder-Next --served-model-name qwen3-coder-next "
        "--enable-auto-tool-choice --tool-call-parser qwen3_coder --tensor-parallel-size 4 --trust-remote-code"
    ),
    ("sglang", "b200x2"): (
        "python -m sglang.launch_server --host 0.0.0.0 --port 8000 --model-path Qwen/Qwen3-Coder-Next "
        "--served-model-name qwen3-coder-next --tool-call-parser qwen3_coder --tp-size 2 --trust-remote-code "
        "--mem-fraction-static 0.85"
    ),
    ("sglang", "h100x4"): (
        "python -m sglang.launch_server --host 0.0.0.0 --port 8000 --model-path Qwen/Qwen3-Coder-Next "
        "--served-model-name qwen3-coder-next --tool-call-parser qwen3_coder --tp-size 4 --trust-remote-code "
        "--mem-fraction-static 0.85"
    ),
    ("sglang", "a100x4"): (
        "python -m sglang.launch_server --host 0.0.0.0 --port 8000 --model-path Qwen/Qwen3-Coder-Next "
        "--served-model-name qwen3-coder-next --tool-call-parser qwen3_coder --tp-size 4 --trust-remote-code "
        "--mem-fraction-static 0.85"
    ),
}
IMAGES = {"vllm": "vllm/vllm-openai:latest", "sglang": "lmsysorg/sglang:latest"}


@pytest.mark.parametrize(("engine", "profile"), COMMANDS)
def test_container_is_what_the_page_runs(engine: str, profile: str) -> None:
    request = Request(
        engine=engine,
        model="Qwen/Qwen3-Coder-Next",
        served_model_name="qwen3-coder-next",
        cache_dir="/home/ubuntu/.cache/huggingface",
        known=PAGE,
    )

    result = deployment(request, placement(request, HARDWARE[profile]))

    assert result.placement.profile == profile
    container = result.container
    assert list(container.command) == shlex.split(COMMANDS[engine, profile])
    assert container.image == IMAGES[engine]
    assert container.entrypoint is None
    assert container.gpus == ALL_GPUS
    assert container.ipc_mode == "host"
    assert container.environment == {"HF_HOME": "/root/.cache/huggingface"}
    assert container.mounts == (Mount("/root/.cache/huggingface", "/home/ubuntu/.cache/huggingface"),)
    assert container.ports == (Port(8000, "127.0.0.1", 8000),)


def test_the_daemon_is_asked_for_what_gpus_all_asks() -> None:
    request = Request("vllm", "Qwen/Qwen3-Coder-Next", "qwen3-coder-next", "/cache", known=PAGE)

    config = create_config(deployment(request, placement(request, HARDWARE["h100x4"])).container)

    assert config["HostConfig"]["DeviceRequests"] == [
        {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}
    ]
    assert config["HostConfig"]["PortBindings"] == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]}
