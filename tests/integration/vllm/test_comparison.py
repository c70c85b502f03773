# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""compare.yml with two flag sets of the real vLLM that 'make demo ENGINE=vllm' leaves; it serves again afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import docker
import pytest

ROOT = Path(__file__).resolve().parents[3]
CONTAINER = os.environ.get("DEMO_CONTAINER", "qwen3-coder-next")
PORT = os.environ.get("DEMO_PORT", "8000")
USUAL = ["--enforce-eager", "--max-model-len", "16384"]
VARIANTS = [
    {"name": "one at a time", "extra_args": [*USUAL, "--max-num-seqs", "1"]},
    {"name": "eight at once", "extra_args": [*USUAL, "--max-num-seqs", "8"]},
    {"name": "refused", "extra_args": [*USUAL, "--no-such-option"]},
]


def test_two_flag_sets_of_a_real_engine(tmp_path: Path) -> None:
    try:
        before = docker.from_env().containers.get(CONTAINER)
    except docker.errors.DockerException:
        before = None
    if before is None or before.status != "running" or "vllm" not in before.attrs["Config"]["Image"]:
        pytest.skip(f"no vLLM of the demo in {CONTAINER}: run 'make demo ENGINE=vllm'")
    own = {
        "engine_container_name": CONTAINER,
        "engine_port": int(PORT),
        "fleet_dir": str(tmp_path),
        "compare_variants": VARIANTS,
        "compare_rounds": 1,
        "benchmark_num_prompts": 16,
        "benchmark_input_length": 64,
        "benchmark_output_length": 32,
        "benchmark_repeats": 1,
        "benchmark_client_path": str(ROOT / ".build/venvs/vllm-cpu/bin/vllm"),
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "inventories/local", "playbooks/compare.yml"]
    command += ["-e", "@tests/rigs/vllm_cpu/vars.yml", "-e", json.dumps(own)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    documents = [json.loads(path.read_text()) for path in (tmp_path / "results").glob("*.json")]
    assert {item["comparison"]["variant"] for item in documents} == {"one at a time", "eight at once"}
    words = " ".join(done.stdout.split())
    # Eight at once are much faster, on any machine.
    assert "For throughput choose eight at once" in words
    assert "refused" in words
    assert "--no-such-option" in words
    after = docker.from_env().containers.get(CONTAINER)
    assert (after.id, after.status) == (before.id, "running")
    assert not any(item.name.startswith("compare-") for item in docker.from_env().containers.list(all=True))
