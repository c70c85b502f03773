# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""-e model=NAME and a file of one entry are all that the real vLLM of 'make demo ENGINE=vllm' needs to be described."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CONTAINER = os.environ.get("DEMO_CONTAINER", "qwen3-coder-next")
PORT = os.environ.get("DEMO_PORT", "8000")
MODEL = ROOT / ".build/models/tiny-qwen3"
# What the demo's variables say of the model, said by the catalogue.
ENTRY = {
    "variants": [{"id": str(MODEL), "precision": "BF16", "served_model_name": "qwen3-coder-next"}],
    "engines": {"vllm": {"tool_call_parser": "qwen3_coder"}},
    "settings": [{"engine": "vllm", "arguments": {"--enforce-eager": True, "--max-model-len": 16384}}],
}
NOTHING = {
    "engine_model": "org/other",
    "engine_served_model_name": "",
    "engine_tool_call_parser": "",
    "engine_extra_args": [],
}


@pytest.fixture
def engine() -> Any:
    """The container of the demo's vLLM."""
    try:
        found = docker.from_env().containers.get(CONTAINER)
    except docker.errors.DockerException:
        found = None
    if found is None or found.status != "running" or "vllm" not in found.attrs["Config"]["Image"]:
        pytest.skip(f"no vLLM of the demo in {CONTAINER}: run 'make demo ENGINE=vllm'")
    return found


def test_a_real_engine_is_what_one_file_says(engine: Any, tmp_path: Path) -> None:
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump(ENTRY))
    own = {
        "fleet_dir": str(tmp_path),
        "engine_catalogue": str(tmp_path),
        "engine_container_name": CONTAINER,
        "engine_port": int(PORT),
        # That which new_key gave it; where it has the demo's still, it gets this one, which needs no restart.
        "engine_api_key": "another-key-of-the-rehearsal",
        **NOTHING,
    }

    def play(name: str, *more: str) -> dict[str, Any]:
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "inventories/local"]
        command += [f"playbooks/{name}.yml", "-e", "@tests/rigs/vllm_cpu/vars.yml", "-e", json.dumps(own), *more]
        environment = {**os.environ, "INFERENCE_FLEET_SUMMARY": str(tmp_path / "summary-{playbook}.json")}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads((tmp_path / f"summary-{name}.json").read_text())["hosts"][0]

    play("deploy", "-e", "model=tiny")
    # Every argument is the same, however it came to be, so the engine is the one that was there.
    after = docker.from_env().containers.get(CONTAINER)
    assert (after.id, after.attrs["State"]["StartedAt"]) == (engine.id, engine.attrs["State"]["StartedAt"])
    assert play("deploy", "-e", "model=tiny")["outcome"] == "ok"
    (checks,) = play("verify", "-e", "model=tiny")["checks"]
    assert checks["passed"] == checks["of"] >= 7
    # Of another entry it would be another engine.
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump({**ENTRY, "settings": []}))
    foretold = play("deploy", "--check", "-e", "model=tiny")
    assert foretold["outcome"] == "would change"
