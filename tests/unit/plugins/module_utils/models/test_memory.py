# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of memory, held against what engines said of models on an H200 and on a CPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.models import architecture, memory
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue

LOGS = Path(__file__).resolve().parents[1] / "diagnosis/logs"
# Of Qwen3-Coder-Next's config.json, and of others', what counts here.
PAGE: dict[str, Any] = {
    "num_hidden_layers": 48, "full_attention_interval": 4, "num_attention_heads": 16, "num_key_value_heads": 2,
    "head_dim": 256, "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_key_head_dim": 128,
    "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4, "max_position_embeddings": 262144, "dtype": "bfloat16",
}  # fmt: skip
GPT_OSS: dict[str, Any] = {
    "num_hidden_layers": 36, "layer_types": ["sliding_attention", "full_attention"] * 18, "sliding_window": 128,
    "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131072,
}  # fmt: skip
DEEPSEEK: dict[str, Any] = {
    "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "kv_lora_rank": 512,
    "qk_rope_head_dim": 64, "max_position_embeddings": 163840, "torch_dtype": "bfloat16",
}  # fmt: skip
NEMOTRON: dict[str, Any] = {
    "hybrid_override_pattern": "MEME*E-", "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128,
    "mamba_num_heads": 128, "mamba_head_dim": 64, "ssm_state_size": 128, "n_groups": 8, "conv_kernel": 4,
    "max_position_embeddings": 262144,
}  # fmt: skip


def log(name: str) -> str:
    return (LOGS / name).read_text(encoding="utf-8")


def told(text: str, pattern: str) -> float:
    found = re.search(pattern, text)
    assert found, pattern
    return float(found.group(1).replace(",", ""))


def test_the_page_s_model_on_an_h200_has_the_cache_that_vllm_said() -> None:
    text = log("vllm-0.22.1-h200-start.log")
    weights = told(text, r"Model loading took ([\d.]+) GiB")
    available = told(text, r"Available KV cache memory: ([\d.]+) GiB")
    tokens = told(text, r"GPU KV cache size: ([\d,]+) tokens")
    kept = architecture.cache(PAGE)
    assert kept
    assert kept.block() == told(text, r"Setting attention block size to (\d+) tokens")
    assert available * 2**30 / kept.bytes(32768) * 32768 == pytest.approx(tokens, rel=0.001)
    # And before it starts, from the size of its files and what nvidia-smi tells of the GPU.
    entry = catalogue.facts("qwen3-coder-next-fp8") or {}
    assert entry["weights_gib"] == pytest.approx(weights, abs=0.1)
    fit = memory.fit(PAGE, entry["weights_gib"], profiles.MEMORY_MIB["h200"] / 1024, 1, context=32768)
    assert fit.fits
    assert fit.cache_gib == pytest.approx(available, rel=0.02)
    assert fit.tokens == pytest.approx(tokens, rel=0.02)
    assert fit.longest == 262144


@pytest.mark.parametrize(
    ("config", "tensor", "dtype", "context", "expected"),
    [
        # 12 layers, one of two heads, 512 numbers of 2 bytes; three groups of states, a block each.
        (PAGE, 2, "auto", 544 * 10, 12 * 1024 * (10 * 544 + 3 * 544)),
        (PAGE, 4, "fp8", 544 * 10, 12 * 512 * (10 * 544 + 3 * 544)),
        # Half of the layers see 128 tokens.
        (GPT_OSS, 1, "auto", 16384, 18 * 2 * 8 * 64 * 2 * (16384 + 128)),
        (GPT_OSS, 16, "auto", 16384, 18 * 2 * 1 * 64 * 2 * (16384 + 128)),
        # A latent vector that no GPU has a part of, and with sparse attention its index.
        (DEEPSEEK, 8, "auto", 1600, 61 * 576 * 2 * 1600),
        ({**DEEPSEEK, "index_head_dim": 128}, 8, "fp8", 1600, 61 * (576 + 132) * 1600),
    ],
)
def test_what_a_request_takes_on_each_gpu(
    config: dict[str, Any], tensor: int, dtype: str, context: int, expected: int
) -> None:
    kept = architecture.cache(config, dtype)
    assert kept
    if config is PAGE:
        # A state is divided as the heads are; at 4 there is one head still, and 8 bits a number halve it.
        assert kept.block(tensor) == 544
    assert kept.bytes(context, tensor) == expected
    longest = kept.longest(expected, tensor)
    assert kept.bytes(longest, tensor) <= expected < kept.bytes(longest + kept.block(tensor), tensor)


def test_layers_that_keep_nothing_do_not_count() -> None:
    kept = architecture.cache(NEMOTRON)
    assert kept
    assert (kept.full, kept.linear, kept.sliding) == (1, 2, 0)
    assert kept.state == (128 * 64 + 2 * 8 * 128) * 3 * 2 + 128 * 64 * 128 * 2


@pytest.mark.parametrize(
    "config",
    [{}, {"num_hidden_layers": 2}, {**GPT_OSS, "layer_types": ["of tomorrow"] * 36}, {**PAGE, "compress_ratios": [4]}],
)
def test_what_a_config_does_not_tell_is_not_guessed(config: dict[str, Any]) -> None:
    assert architecture.cache(config) is None
    fit = memory.fit(config, 10, 80, 1)
    assert (fit.fits, fit.tokens, fit.longest) == (True, None, None)


def test_a_context_that_has_no_room_and_the_longest_that_has() -> None:
    fit = memory.fit(GPT_OSS, 60.8, 79.6, 1, context=131072)
    assert fit.request_gib == pytest.approx(4.5, abs=0.1)
    assert fit.fits
    narrow = memory.fit(GPT_OSS, 66, 79.6, 1, context=131072)
    assert not narrow.fits
    assert narrow.longest
    assert narrow.longest < 131072
    assert memory.fit(GPT_OSS, 66, 79.6, 1, context=narrow.longest).fits
    assert not memory.fit(GPT_OSS, 66, 79.6, 1, context=narrow.longest + 16).fits
    assert not memory.fit(GPT_OSS, 90, 79.6, 1).fits


def test_how_many_gpus_hold_weights() -> None:
    assert [memory.needed(gib, 79.6) for gib in (10, 67, 149, 149 * 8, 10**6)] == [1, 2, 4, 32, None]
