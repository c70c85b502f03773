# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model by its name in the catalogue is all that a user types: deployed, verified, swapped and taken down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from conftest import NAME, Play
from docker_engine import DockerEngine


def serving(port: int) -> list[str]:
    return [model["id"] for model in requests.get(f"http://127.0.0.1:{port}/v1/models", timeout=60).json()["data"]]


def test_three_models_by_their_names_and_one_of_the_user_s_own(
    play: Play, docker_engine: DockerEngine, free_port: int, tmp_path: Path
) -> None:
    own = tmp_path / "catalogue"
    own.mkdir()
    (own / "mine.yml").write_text("variants: [{id: org/Mine-8B, precision: BF16, memory_gb: 20}]\n")
    # The inventory has another model, and no name for it.
    variables = {
        "engine_model": "org/other",
        "engine_served_model_name": "",
        "engine_container_name": NAME,
        "engine_catalogue": str(own),
    }
    for name, model in (
        ("gpt-oss-120b", "openai/gpt-oss-120b"),
        ("qwen3-coder-next-fp8", "Qwen/Qwen3-Coder-Next-FP8"),
        ("GLM-4.7-Flash", "zai-org/GLM-4.7-Flash"),
        ("mine", "org/Mine-8B"),
    ):
        asked = ("-e", f"model={name}")
        assert play("deploy", *asked, **variables)["outcome"] == "changed"
        assert serving(free_port) == [name.lower()]
        (container,) = docker_engine.client.containers.list()
        assert container.labels["inference.fleet.model"] == model
        assert play("deploy", *asked, **variables)["outcome"] == "ok"
        (checks,) = play("verify", *asked, **variables)["checks"]
        assert checks["passed"] == checks["of"] >= 7
        assert [container.id] == [item.id for item in docker_engine.client.containers.list()]
    play("teardown", "-e", "model=mine", **variables)
    assert docker_engine.client.containers.list(all=True) == []


def test_a_name_that_is_no_model_touches_nothing(play: Play, docker_engine: DockerEngine, tmp_path: Path) -> None:
    play("deploy")
    (before,) = docker_engine.client.containers.list()
    with pytest.raises(AssertionError, match="Is it gpt-oss-120b or gpt-oss-20b"):
        play("deploy", "-e", "model=gpt-oss-12b")
    (after,) = docker_engine.client.containers.list()
    assert (after.id, after.attrs["State"]["StartedAt"]) == (before.id, before.attrs["State"]["StartedAt"])
    summary = json.loads((tmp_path / "reports/summary-deploy.json").read_text())
    assert summary["hosts"][0]["outcome"] == "failed"
