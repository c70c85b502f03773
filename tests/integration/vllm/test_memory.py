# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of memory, held against what a real vLLM said of the tiny model on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.models import architecture
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.models.test_memory import log, told

TINY = Path(__file__).resolve().parents[3] / ".build/models/tiny-qwen3"


def test_a_tiny_model_s_own_files_give_the_cache_that_vllm_said() -> None:
    config = json.loads((TINY / "config.json").read_text(encoding="utf-8"))
    text = log("vllm-0.32.0-cpu-start.log")
    gib = told(text, r"Explicitly set \(([\d.]+)/")
    kept = architecture.cache(config)
    assert kept
    assert kept.bytes(2048) / 2048 == 512
    assert gib * 2**30 / kept.bytes(2048) * 2048 == told(text, r"CPU KV cache size: ([\d,]+) tokens")
    assert cache.size_gib(TINY) == (TINY / "model.safetensors").stat().st_size / 2**30
