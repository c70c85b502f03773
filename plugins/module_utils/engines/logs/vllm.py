# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vLLM's log. Sources: vLLM 0.32.0 and its CPU build, logs of 0.22.1 on an H200, and vLLM's issues."""

from __future__ import annotations

from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.cause import Cause
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import Log
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.phase import Phases
from ansible_collections.inference.fleet.plugins.module_utils.engines.logs import common

_CAUSES = (
    Cause(
        r"Free memory on device \S+ \((?P<free>[\d.]+)/(?P<all>[\d.]+) GiB\) on startup is less than desired GPU "
        r"memory utilization \((?P<share>[\d.]+), (?P<wanted>[\d.]+) GiB\)",
        "somebody else holds GPU memory: {free} of {all} GiB are free, and the engine takes {wanted}. See "
        "nvidia-smi and end what runs there, give the engine other GPUs with gpus, or add a smaller "
        "--gpu-memory-utilization than {share} to extra_args",
    ),
    Cause(
        r"max seq len \((?P<length>\d+)\), \((?P<needed>[\d.]+) GiB KV cache is needed, which is larger than "
        r"the available KV cache memory \((?P<room>[\d.]+) GiB\).*estimated maximum model length is (?P<fits>\d+)",
        "one request of {length} tokens needs {needed} GiB of KV cache, and {room} GiB are left beside the weights. "
        "Add --max-model-len {fits} to extra_args, or use more GPUs",
    ),
    Cause(
        r"larger than the available KV cache memory|larger than the maximum number of tokens that can be stored in KV",
        "too little GPU memory is left beside the weights for one request of the model's length. Add a smaller "
        "--max-model-len to extra_args, or use more GPUs",
    ),
    Cause(
        r"No available memory for the cache blocks",
        "the weights leave no GPU memory for the KV cache. Use more GPUs, larger ones or a quantised model, or add a "
        "larger --gpu-memory-utilization to extra_args",
    ),
    Cause(
        r"(?i)max_num_seqs \(\d+\) exceeds (?:the )?available mamba cache blocks \((?P<what>\d+)\)",
        "there is not enough GPU memory for so many requests at once. Add --max-num-seqs {what} to extra_args",
    ),
    Cause(
        r"(?i)cuda out of memory|OutOfMemoryError|CUDA error: out of memory",
        "there is not enough GPU memory. Use more GPUs; or add a shorter --max-model-len, a smaller --max-num-seqs or "
        "a smaller --gpu-memory-utilization to extra_args; or see with nvidia-smi who else holds GPU memory",
    ),
    Cause(
        r"User-specified max_model_len \((?P<what>\d+)\) is greater than the derived max_model_len",
        "--max-model-len {what} is more than the model was made for. Take a smaller one",
    ),
    Cause(
        r"invalid tool call parser: (?P<what>[\w-]+)|KeyError: .*tool call parser.*?'(?P<what2>[\w-]+)'",
        "vLLM knows no tool call parser {what}{what2}. Set tool_call_parser to one of this version",
    ),
    Cause(
        r"(?i)bfloat16 is only supported on GPUs with compute capability of at least (?P<what>[\d.]+)",
        "these GPUs have no bfloat16, which wants compute capability {what}. Add --dtype half to extra_args",
    ),
    Cause(
        r"Not enough allowed NUMA nodes",
        "there are fewer NUMA nodes than the tensor parallel size asks for, on a CPU. Set tensor_parallel_size",
    ),
    Cause(
        r"(?i)world size \(\d+\) is larger than|tensor parallel size \S+ .*(?:larger|greater|exceeds)"
        r"|requires \S+ gpus?\b|not enough gpus|invalid device ordinal",
        "there are fewer GPUs than the parallel sizes ask for. Set tensor_parallel_size or gpus",
    ),
    Cause(
        r"illegal memory access",
        "a kernel read memory that is not its own (CUDA: illegal memory access). Add "
        "--compilation_config.cudagraph_mode=PIECEWISE to extra_args, which helped others, or take another image",
    ),
    Cause(
        r"Pipeline parallelism is not supported for this model",
        "vLLM cannot split this model into a pipeline. Leave out --pipeline-parallel-size",
    ),
    *common.parallel("--enable-expert-parallel"),
)

LOG = Log(
    phases=Phases(
        lines=(
            (r"Initializing a V1 LLM engine", "starting the engine"),
            (r"non-default args:", "reading the model's configuration"),
            (r"Starting to load model|Loading model from scratch", "loading the model"),
            (r"Time spent downloading weights for .* ([0-9.]+) seconds", "weights downloaded in {0} s"),
            (r"Loading weights took ([0-9.]+) seconds", "weights loaded in {0} s"),
            (r"Loading drafter model", "loading the draft model"),
            (
                r"Model loading took ([0-9.]+) (?:GiB|GB)(?: memory)? and ([0-9.]+) seconds",
                "model loaded: {0} GiB, {1} s",
            ),
            (r"Dynamo bytecode transform|Compiling a graph|Cache the graph of compile range", "compiling"),
            (r"torch\.compile (?:takes|took) ([0-9.]+) s", "compiled in {0} s"),
            (r"Compile and warming up model for size (\d+)", "compiling for {0} tokens"),
            (r"Warming up model for the compilation", "compiling"),
            (r"Initial profiling/warmup run took ([0-9.]+) s", "profiled in {0} s"),
            (r"Profiling CUDA graph memory", "profiling the memory of CUDA graphs"),
            (r"Available KV cache memory: ([0-9.]+) GiB", "KV cache: {0} GiB"),
            (r"Autotun(?:ing|er).*(?:start|process)|[Ff]lashinfer.*[Aa]utotun", "tuning kernels"),
            (r"Graph capturing finished in ([0-9.]+) secs?", "graphs captured in {0} s"),
            (r"[Cc]apturing (?:the )?(?:model|(?:CUDA )?[Gg]raphs?)", "capturing graphs"),
            (r"init engine \(.*\) took ([0-9.]+)", "engine initialised in {0} s"),
            (r"Starting vLLM (?:API )?server", "starting the server"),
            (r"Application startup complete", "the server is up"),
        ),
        bars=(
            (r"checkpoint shards|loading (?:pt )?shards|Loading safetensors", "loading weights"),
            (r"Capturing .*[Gg]raphs?", "capturing graphs"),
            (r"DeepGEMM warmup", "DeepGEMM warm-up"),
            (r"JIT kernel warmup", "compiling kernels"),
            (r"Compiling CuTeDSL kernels", "compiling CuTeDSL kernels"),
        ),
    ),
    causes=_CAUSES,
    harmless=common.HARMLESS,
    echoes=(
        r"Engine core initialization failed",
        r"EngineDeadError|EngineCore encountered an issue",
        r"WorkerProc initialization failed|WorkerProc hit an exception|Executor failed|Worker proc .* died",
        r"Failed to start engine core|DP Coordinator",
        r"cancelled$",
    ),
)
