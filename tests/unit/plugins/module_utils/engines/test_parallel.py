# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many GPUs an engine takes, however its sizes are spelt, and which sizes a model allows."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.engines import sglang, vllm
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import Parallel
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

VLLM = [
    ([], Parallel(tensor=4)),
    (["--pipeline-parallel-size", "2"], Parallel(tensor=4, pipeline=2)),
    (["--pipeline-parallel-size=2"], Parallel(tensor=4, pipeline=2)),
    (["--pipeline_parallel_size", "2"], Parallel(tensor=4, pipeline=2)),
    (["--pipeline_parallel_size=2"], Parallel(tensor=4, pipeline=2)),
    (["-pp", "2"], Parallel(tensor=4, pipeline=2)),
    (["-pp=2"], Parallel(tensor=4, pipeline=2)),
    (["-dp", "2"], Parallel(tensor=4, data=2)),
    (["--data_parallel_size=2", "--enable_expert_parallel"], Parallel(tensor=4, data=2, experts=True)),
    (["-dp", "8", "-dp", "2"], Parallel(tensor=4, data=2)),
    (["-pp", "2", "-dp", "2"], Parallel(tensor=4, pipeline=2, data=2)),
    (["--prefill-context-parallel-size", "2"], Parallel(tensor=4, context=2)),
    # Of several hosts: the copies of this one, or this one's part of a copy.
    (["-dp", "16", "--data-parallel-size-local", "2"], Parallel(tensor=4, data=2)),
    (["-pp", "2", "--nnodes", "2", "--node-rank", "1"], Parallel(tensor=4, pipeline=2, nodes=2)),
    # These share the GPUs of the tensor parallel group.
    (["--decode-context-parallel-size", "2"], Parallel(tensor=4)),
]
SGLANG = [
    (["--pp-size", "2"], Parallel(tensor=4, pipeline=2)),
    (["--pipeline-parallel-size=2"], Parallel(tensor=4, pipeline=2)),
    (["--dp", "2"], Parallel(tensor=4, data=2)),
    (["--dp-size=2"], Parallel(tensor=4, data=2)),
    (["--data_parallel_size", "2"], Parallel(tensor=4, data=2)),
    (["--dp-size", "4", "--enable-dp-attention"], Parallel(tensor=4, attention=4)),
    (["--attn-dp-size", "2"], Parallel(tensor=4, attention=2)),
    (["--ep-size", "4"], Parallel(tensor=4, experts=True)),
    (["--nnodes", "2"], Parallel(tensor=4, nodes=2)),
]


@pytest.mark.parametrize(("arguments", "spread"), VLLM)
def test_vllm(arguments: list[str], spread: Parallel) -> None:
    assert vllm.parallel(4, arguments) == spread


@pytest.mark.parametrize(("arguments", "spread"), SGLANG)
def test_sglang(arguments: list[str], spread: Parallel) -> None:
    assert sglang.parallel(4, arguments) == spread


@pytest.mark.parametrize(
    ("spread", "gpus", "told"),
    [
        (Parallel(tensor=4, pipeline=2), 8, "tensor parallel 4 by pipeline parallel 2"),
        (Parallel(tensor=1, data=8), 8, "tensor parallel 1 by data parallel 8"),
        (Parallel(tensor=4, attention=4), 4, "tensor parallel 4"),
        (Parallel(tensor=8, pipeline=2, nodes=2), 8, "tensor parallel 8 by pipeline parallel 2 over 2 hosts"),
    ],
)
def test_gpus_of_a_host(spread: Parallel, gpus: int, told: str) -> None:
    assert (spread.gpus, str(spread)) == (gpus, told)


@pytest.mark.parametrize("given", ["two", "0", "-1", "1.5"])
def test_a_size_that_is_none(given: str) -> None:
    with pytest.raises(FleetError, match=r"extra_args gives --pipeline-parallel-size .* Wanted a whole number"):
        vllm.parallel(4, [f"-pp={given}"])


# The sizes of models on the hub, from their config.json.
QWEN3_CODER_NEXT: dict[str, Any] = {
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "moe_intermediate_size": 512,
}
FP8 = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
# As MiniMax-M2 and Qwen3-Coder-480B: 1536 and 2560 among 8 leave no whole blocks.
M2: dict[str, Any] = {"num_attention_heads": 48, "num_key_value_heads": 8, "moe_intermediate_size": 1536, **FP8}
DENSE = {"num_attention_heads": 40, "num_key_value_heads": 8}
DEEPSEEK = {"num_attention_heads": 128, "num_key_value_heads": 128, "kv_lora_rank": 512}


@pytest.mark.parametrize(
    ("module", "config", "spread"),
    [
        (vllm, QWEN3_CODER_NEXT, Parallel(tensor=8)),
        (vllm, {**QWEN3_CODER_NEXT, **FP8}, Parallel(tensor=4)),
        (sglang, {**QWEN3_CODER_NEXT, **FP8}, Parallel(tensor=4)),
        # vLLM stores the weights anew in blocks of 64.
        (vllm, M2, Parallel(tensor=8)),
        (sglang, M2, Parallel(tensor=8, experts=True)),
        (sglang, {"text_config": DENSE}, Parallel(tensor=8)),
        # Each group of attention has one GPU, whatever the heads.
        (sglang, {"num_attention_heads": 7}, Parallel(tensor=8, attention=8)),
        (vllm, DEEPSEEK, Parallel(tensor=16)),
        (vllm, {}, Parallel(tensor=7)),
        (vllm, {"num_attention_heads": "x", "quantization_config": 3, "text_config": None}, Parallel(tensor=7)),
    ],
)
def test_what_fits(module: Any, config: dict[str, Any], spread: Parallel) -> None:
    assert module.misfit(config, spread, 8) is None


@pytest.mark.parametrize(
    ("module", "config", "spread", "told"),
    [
        (
            vllm,
            DENSE,
            Parallel(tensor=3),
            "tensor parallel size: wanted 3, found that the model's 40 attention heads cannot be divided among 3. Set "
            "tensor_parallel_size to one that fits: 1, 2, 4, 8.",
        ),
        (
            vllm,
            {"num_attention_heads": 12, "num_key_value_heads": 4},
            Parallel(tensor=6),
            "tensor parallel size: wanted 6, found that the model's 4 key-value heads can neither be divided among 6 "
            "nor repeated on them. Set tensor_parallel_size to one that fits: 1, 2, 4.",
        ),
        (
            vllm,
            {"text_config": DENSE},
            Parallel(tensor=3, data=2),
            "tensor parallel size: wanted 3, found that the model's 40 attention heads cannot be divided among 3. Set "
            "tensor_parallel_size to one that fits: 1, 2, 4.",
        ),
        (
            sglang,
            M2,
            Parallel(tensor=8),
            "tensor parallel size: wanted 8, found that each GPU would have 192 of an expert's 1536 columns, which are "
            "quantised in blocks of 128. Set tensor_parallel_size to one that fits: 1, 2, 4; or add --ep-size to "
            "extra_args, which has whole experts on each GPU.",
        ),
        (
            vllm,
            {**M2, "moe_intermediate_size": 1544},
            Parallel(tensor=8),
            "tensor parallel size: wanted 8, found that each GPU would have 193 of an expert's 1544 columns, which are "
            "quantised in blocks of 128. Set tensor_parallel_size to one that fits: 1; or add --enable-expert-parallel "
            "to extra_args, which has whole experts on each GPU.",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_what_does(
    module: Any, config: dict[str, Any], spread: Parallel, told: str
) -> None:
    assert module.misfit(config, spread, 8) == told
