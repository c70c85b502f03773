# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verify's levels against the real vLLM that 'make demo ENGINE=vllm' leaves: what random weights can pass."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import requests
import yaml

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import levels
from ansible_collections.inference.fleet.plugins.modules import endpoint_check as module

ROOT = Path(__file__).resolve().parents[3]
URL = f"http://127.0.0.1:{os.environ.get('DEMO_PORT', 8000)}"
SERVED = "qwen3-coder-next"
# That of the demo, and the one that new_key gave after it.
KEYS = [
    yaml.safe_load((ROOT / "tests/rigs/vllm_cpu/vars.yml").read_text())["engine_api_key"],
    "another-key-of-the-rehearsal",
]


@pytest.fixture(scope="module")
def key() -> str:
    """The API key of the engine that is there."""
    try:
        for candidate in KEYS:
            answer = requests.get(f"{URL}/v1/models", headers={"Authorization": f"Bearer {candidate}"}, timeout=60)
            # Another demo's simulator may be there instead.
            if answer.ok and answer.json()["data"][0]["owned_by"] == "vllm":
                return candidate
    except requests.ConnectionError:
        pass
    pytest.skip(f"no vLLM of the demo at {URL}: run 'make demo ENGINE=vllm'")


def test_every_level_passes_but_for_what_random_weights_cannot(key: str) -> None:
    outcome = module.check(
        {
            "url": URL, "served_model_name": SERVED, "api_key": key, "levels": ["all"], "checks": [], "skip": [],
            "task": "chat", "trained": False, "timeout": 300, "wait": 0, "strict": True, "open_paths": ["/health"],
            "container_name": os.environ.get("DEMO_CONTAINER", SERVED), "docker_host": "unix:///var/run/docker.sock",
        },
        check_mode=False,
    )  # fmt: skip
    assert outcome["ok"], outcome["summary"]
    skipped = {check["name"] for check in outcome["checks"] if check["status"] == "skipped"}
    assert skipped == {name for name, check in levels.CHECKS.items() if check.trained}
