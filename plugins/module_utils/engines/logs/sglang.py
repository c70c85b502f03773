# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SGLang's log. Sources: SGLang 0.5.23, and SGLang's issues."""

from __future__ import annotations

from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.cause import Cause
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import Log
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.phase import Phases
from ansible_collections.inference.fleet.plugins.module_utils.engines.logs import common

_CAUSES = (
    # Two failures of memory that want opposite things of the same option.
    Cause(
        r"Not enough memory\. Please try to increase --mem-fraction-static"
        r"(?:\. Current value: mem_fraction_static=(?P<share>[\d.]+))?",
        "the weights leave no room for the KV cache within the share of GPU memory that SGLang takes. Add a larger "
        "--mem-fraction-static to extra_args (0.85 is set where extra_args says nothing), or use more GPUs",
    ),
    Cause(
        r"(?i)Capture .*graph failed[\s\S]*out of memory|out of memory[\s\S]*set --mem-fraction-static to a smaller",
        "there is no GPU memory left to capture CUDA graphs. Add a smaller --mem-fraction-static, such as 0.8, or a "
        "smaller --cuda-graph-max-bs-decode to extra_args (--cuda-graph-max-bs in older versions)",
    ),
    Cause(
        r"RuntimeError: The memory capacity is unbalanced",
        "somebody else holds memory of some of the GPUs. See nvidia-smi and end what runs there, or give the engine "
        "other GPUs with gpus",
    ),
    Cause(
        r"(?i)cuda out of memory|OutOfMemoryError|CUDA error: out of memory",
        "there is not enough GPU memory. Where that is while weights are loaded, use more GPUs or a quantised model; "
        "where it is later, add a smaller --mem-fraction-static, such as 0.8, or a shorter --context-length to "
        "extra_args. See with nvidia-smi who else holds GPU memory",
    ),
    Cause(
        r"ValueError: (?:Warning: )?User-specified context_length \((?P<what>\d+)\) is greater than the derived "
        r"context_length \((?P<most>\d+)\)",
        "--context-length {what} is more than the model was made for, {most}. Take a smaller one",
    ),
    Cause(
        r"moe_intermediate_size (?P<size>\d+) must be divisible by moe_tp_size \((?P<parts>\d+)\)",
        "the tensor parallel size does not divide the model's experts ({size} by {parts}). Set another "
        "tensor_parallel_size, or have whole experts on each GPU with --ep-size in extra_args",
    ),
    Cause(
        r"For quantized MoE models, please make sure \(moe_intermediate_size=(?P<size>\d+) / "
        r"moe_tp_size=(?P<parts>\d+)\) % weight_block_size_n=(?P<block>\d+)",
        "the tensor parallel size does not fit the model's quantisation: {size} by {parts} is not divisible by its "
        "blocks of {block}. Set another tensor_parallel_size, or have whole experts on each GPU with --ep-size in "
        "extra_args",
    ),
    Cause(
        r"scheduler died during initialization \(exit code: -9\)",
        "the kernel killed a process of the engine, most often for the host's memory: see dmesg on the host",
    ),
    Cause(
        r"(?P<what>tp_size \d+ must be divisible by (?:ep|dp|attn_dp)_size \d+)",
        "{what}. Set another tensor_parallel_size, or another size in extra_args",
    ),
    Cause(
        r"(?i)invalid device ordinal|not enough gpus|requires \S+ gpus?\b",
        "there are fewer GPUs than the parallel sizes ask for. Set tensor_parallel_size or gpus",
    ),
    *common.parallel("--ep-size"),
)

LOG = Log(
    phases=Phases(
        lines=(
            (r"server_args=", "starting the engine"),
            (r"Init (?:torch distributed|parallel) begin", "joining the GPUs"),
            (r"Load weight begin", "loading the model"),
            (r"Load weight end\. .*?elapsed=([0-9.]+)", "weights loaded in {0} s"),
            (r"Load weight end", "weights loaded"),
            (r"KV Cache is allocated|Memory pool end", "KV cache allocated"),
            (r"Try DeepGEMM JIT Compiling", "compiling DeepGEMM's kernels"),
            (r"Running FlashInfer autotune", "tuning kernels"),
            (r"FlashInfer autotune completed", "kernels tuned"),
            (r"Capture (?:[\w ]+ )?(?:cuda|CUDA) graph begin", "capturing graphs"),
            (
                r"Capture (?:[\w ]+ )?(?:cuda|CUDA) graph end\.(?: Time)? ?elapsed[=:] ?([0-9.]+)",
                "graphs captured in {0} s",
            ),
            (r"Capture (?:[\w ]+ )?(?:cuda|CUDA) graph end", "graphs captured"),
            (r"Application startup complete|Uvicorn running", "warming up"),
            (r"The server is fired up and ready to roll", "server is up"),
        ),
        bars=(
            (r"checkpoint shards|Loading safetensors", "loading weights"),
            (r"Capturing (?:batches|num tokens)", "capturing graphs"),
            (r"Compiling num tokens", "compiling graphs"),
            (r"DeepGEMM warmup", "DeepGEMM warm-up"),
            (r"Warmup prefill shapes", "warming up prefill shapes"),
        ),
    ),
    causes=_CAUSES,
    harmless=(*common.HARMLESS, r"^server_args="),
    echoes=(
        r"(?i)scheduler .*(?:is dead|died)|Rank \d+ scheduler",
        r"(?i)Initialization failed\. Please see the error messages above",
        r"(?i)Received sigquit from a child process|Child process unexpectedly failed",
    ),
)
