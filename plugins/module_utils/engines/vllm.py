# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vLLM: image vllm/vllm-openai, whose entry point starts the OpenAI-compatible server.

Source of the flags: Lambda's page of the model and vLLM 0.32.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import guard
from ansible_collections.inference.fleet.plugins.module_utils.engines import common
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import (
    EngineSpec,
    Launch,
    Parallel,
)
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import refuse_managed, value
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import AUTO

if TYPE_CHECKING:
    from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import Log

NAME = "vllm"
DEFAULT_IMAGE = "vllm/vllm-openai:latest"
# What the image takes on disk, about, in GiB: it is not known before it is there.
IMAGE_GIB = 25
VERSION_PATH = "/version"
SIMULATED = False
MANAGED_FLAGS = {
    "--host": "bind_address",
    "--port": "port",
    "--model": "model",
    "--served-model-name": "served_model_name",
    "--enable-auto-tool-choice": "tool_call_parser",
    "--tool-call-parser": "tool_call_parser",
    "--tensor-parallel-size": "tensor_parallel_size",
    "-tp": "tensor_parallel_size",
    "--revision": "revision",
    "--api-key": "api_key",
    "--hf-token": "hf_token",
    # With these vLLM listens on no port.
    "--uds": "port",
    "--headless": "port",
}
# It does not start without room for one request as long.
CONTEXT_FLAG: str | None = "--max-model-len"
# What has several hosts serve one model.
GROUP_FLAGS = dict.fromkeys(("--nnodes", "-n", "--node-rank", "-r", "--master-addr", "--master-port"), "group")
# What spreads a model beside its tensor parallel size, and the option that sets it.
SPREAD_FLAGS = {
    "--pipeline-parallel-size": "pipeline_parallel_size",
    "-pp": "pipeline_parallel_size",
    "--data-parallel-size": "data_parallel_size",
    "-dp": "data_parallel_size",
    "--enable-expert-parallel": "expert_parallel",
    "-ep": "expert_parallel",
}
# Older versions than 0.32 may refuse what this allows, and then say so themselves.
_FINEST_BLOCK = 32
_CACHES = {".cache/vllm": "vllm", ".cache/flashinfer": "flashinfer", ".triton": "triton"}


def launch(spec: EngineSpec) -> Launch:
    """Return how to start vLLM.

    Its own key leaves /invocations and more open to everybody, and is read at its start only: it gets the guard.
    """
    refuse_managed(spec.extra_args, {**MANAGED_FLAGS, **(GROUP_FLAGS if spec.group else {})})
    environment = {**common.group_environment(spec, "VLLM_HOST_IP"), **common.guard_environment(spec)}
    # Where a repository has Mistral's own files too, vLLM takes those.
    return common.launch(spec, _argv, environment, common.guard_files(spec), _CACHES, AUTO)


def _argv(spec: EngineSpec) -> list[str]:
    argv = _place(spec)
    argv += ["--model", spec.model, "--served-model-name", spec.served_model_name, *spec.served_model_aliases]
    if spec.tool_call_parser:
        argv += ["--enable-auto-tool-choice", "--tool-call-parser", spec.tool_call_parser]
    argv += ["--tensor-parallel-size", str(spec.tensor_parallel_size), *common.trust_args(spec)]
    argv += common.revision_args(spec)
    if spec.api_keys:
        argv += ["--middleware", f"{common.GUARD_MODULE}.{guard.Guard.__name__}"]
    return [*argv, *spec.extra_args]


def _place(spec: EngineSpec) -> list[str]:
    """Return where it listens, and which of several hosts it is: no other than the head listens to requests."""
    if spec.group is None:
        return common.listens(spec)
    return [*(["--headless"] if spec.group.follows else common.listens(spec)), *common.nodes_and_master(spec.group)]


def spread(sizes: Mapping[str, Any]) -> list[str]:
    """Return the arguments for parallel sizes, by their options, beside the tensor parallel size."""
    argv = common.sized(sizes, "pipeline_parallel_size", "--pipeline-parallel-size")
    argv += common.sized(sizes, "data_parallel_size", "--data-parallel-size")
    return argv + ["--enable-expert-parallel"] * bool(sizes.get("expert_parallel"))


def parallel(tensor: int, extra_args: Sequence[str]) -> Parallel:
    """Return how vLLM spreads a model. Of several hosts, each may be told its own number of copies."""
    local = common.size(extra_args, "--data-parallel-size-local", "-dpl")
    copies = common.size(extra_args, "--data-parallel-size", "-dp")
    nodes = common.size(extra_args, "--nnodes", "-n")
    apart = value(extra_args, "--data-parallel-rank", "-dpn") is not None
    return Parallel(
        tensor=tensor,
        pipeline=common.size(extra_args, "--pipeline-parallel-size", "-pp"),
        data=1 if apart else local if local > 1 else copies,
        context=common.size(extra_args, "--prefill-context-parallel-size", "-pcp"),
        experts=common.has(extra_args, "--enable-expert-parallel", "-ep"),
        nodes=1 if local > 1 or apart else nodes,
    )


def misfit(config: Mapping[str, Any], spread: Parallel, most: int) -> str | None:
    """Return why a model cannot be spread so, and what fits."""
    from ansible_collections.inference.fleet.plugins.module_utils.engines import fit

    return fit.misfit(config, spread, most, "--enable-expert-parallel", finest=_FINEST_BLOCK)


def log() -> Log:
    """Return how to read vLLM's log. Only what reads one loads it."""
    from ansible_collections.inference.fleet.plugins.module_utils.engines.logs import vllm

    return vllm.LOG


parse_version = common.parse_version
image_build = common.pulled
