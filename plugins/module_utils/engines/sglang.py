# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SGLang: image lmsysorg/sglang, started as python -m sglang.launch_server.

Source of the flags: Lambda's page of the model and SGLang 0.5.23. Qwen3-Coder-Next needs 0.5.8 or newer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.inference.fleet.plugins.module_utils.addresses import at
from ansible_collections.inference.fleet.plugins.module_utils.endpoint import sglang_guard
from ansible_collections.inference.fleet.plugins.module_utils.engines import common
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import EngineSpec, Launch, Parallel
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import refuse_managed

if TYPE_CHECKING:
    from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import Log

NAME = "sglang"
DEFAULT_IMAGE = "lmsysorg/sglang:latest"
# What the image takes on disk, about, in GiB: it is not known before it is there.
IMAGE_GIB = 25
VERSION_PATH = "/server_info"
SIMULATED = False
MANAGED_FLAGS = {
    "--host": "bind_address",
    "--port": "port",
    "--model-path": "model",
    "--model": "model",
    "--served-model-name": "served_model_name",
    "--tool-call-parser": "tool_call_parser",
    "--tp-size": "tensor_parallel_size",
    "--tp": "tensor_parallel_size",
    "--tensor-parallel-size": "tensor_parallel_size",
    "--revision": "revision",
    "--api-key": "api_key",
    "--config": "api_key",
}
# It starts whatever the longest request is, and refuses what is too long for its room.
CONTEXT_FLAG: str | None = None
# What has several hosts serve one model.
GROUP_FLAGS = dict.fromkeys(("--nnodes", "--node-rank", "--dist-init-addr", "--nccl-init-addr"), "group")
# What spreads a model beside its tensor parallel size, and the option that sets it.
SPREAD_FLAGS = {
    "--pp-size": "pipeline_parallel_size",
    "--pp": "pipeline_parallel_size",
    "--pipeline-parallel-size": "pipeline_parallel_size",
    "--dp-size": "data_parallel_size",
    "--dp": "data_parallel_size",
    "--data-parallel-size": "data_parallel_size",
    "--ep-size": "expert_parallel",
    "--ep": "expert_parallel",
    "--expert-parallel-size": "expert_parallel",
}
# The name of the module that guards it: nobody else's.
_GUARDED = "inference_fleet_sglang"
_MEM_FRACTION = "--mem-fraction-static"
_CACHES = {
    ".cache/sglang": "sglang",
    ".cache/deep_gemm": "deep_gemm",
    ".cache/flashinfer": "flashinfer",
    ".triton": "triton",
}


def launch(spec: EngineSpec) -> Launch:
    """Return how to start SGLang.

    It prints its own key in its log, and reads it at its start only: with a key, a module is started in its place that
    puts the guard before it.
    """
    refuse_managed(spec.extra_args, {**MANAGED_FLAGS, **(GROUP_FLAGS if spec.group else {})})
    common.refuse_aliases(spec, NAME)
    files = common.guard_files(spec)
    if files:
        files += (common.source_file(sglang_guard, f"{_GUARDED}.py", version=1),)
    environment = {**common.group_environment(spec, "SGLANG_HOST_IP"), **common.guard_environment(spec)}
    return common.launch(spec, _argv, environment, files, _CACHES)


def _argv(spec: EngineSpec) -> list[str]:
    program = _GUARDED if spec.api_keys else sglang_guard.LAUNCH
    argv = ["python", "-m", program, *common.listens(spec)]
    if spec.group:
        argv += [*common.nodes(spec.group), "--dist-init-addr", at(spec.group.addresses[0], spec.group.port)]
    argv += ["--model-path", spec.model, "--served-model-name", spec.served_model_name]
    if spec.tool_call_parser:
        argv += ["--tool-call-parser", spec.tool_call_parser]
    argv += ["--tp-size", str(spec.tensor_parallel_size), *common.trust_args(spec)]
    # The page's value; a user who knows better says so in extra_args.
    if not any(argument.split("=", 1)[0] == _MEM_FRACTION for argument in spec.extra_args):
        argv += [_MEM_FRACTION, "0.85"]
    return [*argv, *common.revision_args(spec), *spec.extra_args]


def spread(sizes: Mapping[str, Any]) -> list[str]:
    """Return the arguments for parallel sizes, by their options, beside the tensor parallel size.

    Experts are spread over the GPUs of the tensor parallel group.
    """
    argv = common.sized(sizes, "pipeline_parallel_size", "--pp-size")
    argv += common.sized(sizes, "data_parallel_size", "--dp-size")
    tensor = sizes.get("tensor_parallel_size") or 1
    return argv + (["--ep-size", str(tensor)] if sizes.get("expert_parallel") and tensor > 1 else [])


def parallel(tensor: int, extra_args: Sequence[str]) -> Parallel:
    """Return how SGLang spreads a model. Its data parallel attention shares the GPUs of the tensor parallel group."""
    copies = common.size(extra_args, "--dp-size", "--dp", "--data-parallel-size")
    shared = common.has(extra_args, "--enable-dp-attention")
    groups = common.size(extra_args, "--attn-dp-size", "--attention-data-parallel-size")
    return Parallel(
        tensor=tensor,
        pipeline=common.size(extra_args, "--pp-size", "--pp", "--pipeline-parallel-size"),
        data=1 if shared else copies,
        attention=copies if shared else groups,
        experts=common.size(extra_args, "--ep-size", "--ep", "--expert-parallel-size") > 1,
        nodes=common.size(extra_args, "--nnodes"),
    )


def misfit(config: Mapping[str, Any], spread: Parallel, most: int) -> str | None:
    """Return why a model cannot be spread so, and what fits."""
    from ansible_collections.inference.fleet.plugins.module_utils.engines import fit

    return fit.misfit(config, spread, most, "--ep-size")


def log() -> Log:
    """Return how to read SGLang's log. Only what reads one loads it."""
    from ansible_collections.inference.fleet.plugins.module_utils.engines.logs import sglang

    return sglang.LOG


parse_version = common.parse_version
image_build = common.pulled
