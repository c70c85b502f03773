# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cause of a failed start, in the very sentence that its reader gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import explain
from ansible_collections.inference.fleet.plugins.module_utils.engines import sglang, vllm

LOGS = Path(__file__).parent / "logs"
VLLM, SGLANG = vllm.log(), sglang.log()
NO_TOOLKIT = (
    "Is the NVIDIA container toolkit installed and configured? Run the host role, and restart Docker Engine, which "
    "looks for the toolkit at its start"
)

CASES = {
    "01-pydantic-model-type": (
        "the image's transformers does not know the model type qwen3_5. Take a newer image of the engine: the model is "
        "newer than it"
    ),
    "02-repo-not-found-401": (
        "the hub has no model Qwen/Qwen3.5-27B-AWQ, or it is private and hf_token may not read it. Check the name"
    ),
    "03-triton-outofresources": (
        "a Triton kernel wants 263168 bytes of the GPU's own shared memory (SMEM), and this GPU has 232448; that is "
        "not /dev/shm. Take a newer image, in which it is tuned for this GPU, or another quantisation of the model"
    ),
    "04-benign-triton-import-line": (
        "its cause is not one that is known here; what failed first in EngineCore was "
        "\"TypeError: 'function' object is not subscriptable\""
    ),
    "08-error-803": (
        "the image's own compatibility libcuda came before the driver's (CUDA error 803). Set LD_LIBRARY_PATH in "
        "environment to where the toolkit puts the driver's, /usr/lib/x86_64-linux-gnu; or take another image; or, "
        "where nvidia-smi fails too, have one driver on the host and reboot"
    ),
    "22-fp8-block": (
        "the tensor parallel size does not fit the model's quantisation: The output_size of gate's and up's weight = "
        "192 is not divisible by weight quantization block_n = 128. Set another tensor_parallel_size, or have whole "
        "experts on each GPU with --enable-expert-parallel in extra_args"
    ),
    "23-no-gpu-in-container": (
        "the container has no GPU: the driver's libcuda is not in it. Is the NVIDIA container toolkit installed and "
        "configured? See which GPUs the engine was given (gpus), and start CUDA in a container: "
        "inference.fleet.gpu_container_check"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_public_cases_of_vllm(case: Callable[[str], str], name: str) -> None:
    assert VLLM.explain(case(name), 1) == CASES[name]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "failed-start",
            "the image lacks the Python package flashinfer. Take the engine's own image, or one that has it",
        ),
        (
            "gpu-taken",
            "somebody else holds GPU memory: 13.46 of 139.8 GiB are free, and the engine takes 125.82. See nvidia-smi "
            "and end what runs there, give the engine other GPUs with gpus, or add a smaller --gpu-memory-utilization "
            "than 0.9 to extra_args",
        ),
        # It did not fail: the warnings of every start are no cause.
        ("start", None),
    ],
)
def test_logs_of_a_real_h200(name: str, told: str | None) -> None:
    assert VLLM.explain((LOGS / f"vllm-0.22.1-h200-{name}.log").read_text(), 1) == told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("args", "the engine does not know --no-such-flag 3. Check extra_args against the engine's version"),
        (
            "hub",
            "the hub could not be reached, and not all of the model is in the cache. Check the host's network, or "
            "HF_ENDPOINT in environment; or bring the weights with prepare.yml",
        ),
        ("length", "--max-model-len 9999999 is more than the model was made for. Take a smaller one"),
        ("parser", "vLLM knows no tool call parser nothere. Set tool_call_parser to one of this version"),
        (
            "type",
            "the image's transformers does not know the model type qwen99. Take a newer image of the engine: the model "
            "is newer than it",
        ),
        # It served, until somebody ended it.
        ("start", None),
    ],
)
def test_logs_of_a_real_vllm_that_was_made_to_fail(name: str, told: str | None) -> None:
    assert VLLM.explain((LOGS / f"vllm-0.32.0-cpu-{name}.log").read_text(), 1) == told


class TestSglang:
    """Its users get its own options; its two failures of memory want opposite things."""

    def test_too_small_a_share(self, case: Callable[[str], str]) -> None:
        assert SGLANG.explain(case("06-sglang-increase-mem-fraction"), 1) == (
            "the weights leave no room for the KV cache within the share of GPU memory that SGLang takes. Add a larger "
            "--mem-fraction-static to extra_args (0.85 is set where extra_args says nothing), or use more GPUs"
        )

    def test_too_large_a_share(self) -> None:
        log = (
            "[2026-11-26 10:00:00 TP1] Scheduler hit an exception: Traceback (most recent call last):\n"
            '  File "/sgl-workspace/sglang/python/sglang/srt/model_executor/cuda_graph_runner.py", line 1, in capture\n'
            "    raise Exception(\n"
            "Exception: Capture cuda graph failed: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
            "Possible solutions:\n"
            "1. set --mem-fraction-static to a smaller value (e.g., 0.8 or 0.7)\n"
            "2. set --cuda-graph-max-bs to a smaller value (e.g., 16)\n"
            "[2026-11-26 10:00:02] Rank 0 scheduler is dead. Please check if there are relevant logs.\n"
        )
        assert SGLANG.explain(log, 1) == (
            "there is no GPU memory left to capture CUDA graphs. Add a smaller --mem-fraction-static, such as 0.8, or "
            "a smaller --cuda-graph-max-bs-decode to extra_args (--cuda-graph-max-bs in older versions)"
        )

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            # As SGLang 0.5.23 has it in its source.
            (
                "ValueError: For quantized MoE models, please make sure (moe_intermediate_size=1536 / moe_tp_size=8) % "
                "weight_block_size_n=128 == 0 where moe_tp_size is equal to tp_size (8) divided by ep_size (1).",
                "1536 by 8 is not divisible by its blocks of 128. Set another tensor_parallel_size, or have whole "
                "experts on each GPU with --ep-size",
            ),
            (
                "ValueError: Warning: User-specified context_length (999999) is greater than the derived "
                "context_length (262144). This may lead to incorrect model outputs or CUDA errors.",
                "--context-length 999999 is more than the model was made for, 262144",
            ),
            (
                "RuntimeError: Rank 0 scheduler died during initialization (exit code: -9). If exit code is -9 "
                "(SIGKILL), a common cause is the OS OOM killer. Run `dmesg -T | grep -i oom` to check.",
                "the kernel killed a process of the engine",
            ),
            (
                "RuntimeError: The memory capacity is unbalanced. Some GPUs may be occupied by other processes. "
                "pre_model_load_memory=1, local_gpu_memory=2",
                "somebody else holds memory of some of the GPUs",
            ),
        ],
    )
    def test_words_of_its_source(self, said: str, told: str) -> None:
        assert told in (SGLANG.explain(f"Traceback (most recent call last):\n  x\n{said}\n", 1) or "")

    @pytest.mark.parametrize(
        "warned",
        [
            "Warning: User-specified context_length (9) is greater than the derived context_length (8). This may",
            "The memory capacity is unbalanced. Some GPUs may be occupied by other processes. x=1",
        ],
    )
    def test_a_warning_of_its_own_is_no_cause(self, warned: str) -> None:
        assert SGLANG.explain(f"[2026-11-26 10:00:00 TP0] {warned}\n", 1) is None

    def test_no_word_of_vllm_s(self) -> None:
        told = SGLANG.explain("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", 1) or ""
        assert "--context-length" in told
        assert "--max-model-len" not in told

    def test_its_settings_are_no_error(self) -> None:
        assert SGLANG.explain("[2026-11-26 10:00:00] server_args=ServerArgs(on_error='bus error')\n", 1) is None

    def test_the_main_process_that_misses_another(self) -> None:
        log = (
            "[2026-11-26 10:00:00 TP0] Scheduler hit an exception: Traceback (most recent call last):\n"
            "    raise ValueError(\n"
            "ValueError: unheard of\n"
            "\n"
            "[2026-11-26 10:00:01] Rank 0 scheduler is dead. Please check if there are relevant logs.\n"
            "Traceback (most recent call last):\n"
            "    data = self._recv(1)\n"
            "EOFError\n"
        )
        assert (SGLANG.explain(log, 1) or "").endswith("what failed first in TP0 was 'ValueError: unheard of'")


DOCKER = [
    (
        "could not start container vllm-qwen: failed to discover GPU vendor from CDI: no known GPU vendor found.",
        f"the container got no GPU: failed to discover GPU vendor from CDI: no known GPU vendor found. {NO_TOOLKIT}",
    ),
    (
        'could not select device driver "" with capabilities: [[gpu]]',
        f'the container got no GPU: could not select device driver "" with capabilities: [[gpu]]. {NO_TOOLKIT}',
    ),
    (
        "OCI runtime create failed: nvidia-container-cli: initialization error: nvml error: driver/library version "
        "mismatch: unknown",
        "the driver's library and the kernel module that is loaded are of two versions: the driver was upgraded under "
        "a running host. Reboot it",
    ),
    (
        "nvidia-container-cli: requirement error: unsatisfied condition: brand = tesla: unknown",
        "the image wants another driver, or another kind of GPU (brand = tesla was the last of its conditions). Update "
        "the driver or the NVIDIA container toolkit, take an image for an older CUDA, or set NVIDIA_DISABLE_REQUIRE: 1 "
        "in environment if you know that it runs",
    ),
    (
        "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0, please update your driver to a "
        "newer version, or use an earlier cuda container: unknown",
        "the NVIDIA driver is too old for the image, which wants cuda>=13.0. Update the driver, or take an image built "
        "for an older CUDA",
    ),
    (
        "nvidia-container-cli: device error: 7: unknown device: unknown",
        "the host has no GPU 7. See nvidia-smi -L, and set gpus",
    ),
    (
        "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object "
        "file: no such file or directory: unknown",
        "the container got no GPU, since the host has no NVIDIA driver that answers (load library failed: "
        "libnvidia-ml.so.1: cannot open shared object file: no such file or directory: unknown). Run the host role, or "
        "install the driver",
    ),
    (
        "Error starting userland proxy: listen tcp4 127.0.0.1:8000: bind: address already in use",
        "the port is taken. Choose another port or stop what listens there",
    ),
]


@pytest.mark.parametrize(("said", "told"), DOCKER)
def test_what_docker_says(said: str, told: str) -> None:
    assert explain(said) == told


def test_what_docker_says_without_a_cause() -> None:
    assert explain("could not start container x: context deadline exceeded") is None


def test_the_case_of_docker_29(case: Callable[[str], str]) -> None:
    assert explain(case("05-docker-cdi-vendor")) == DOCKER[0][1]


# Lines of vLLM 0.32.0, from runs that were made to fail, and of its issues.
LINES = [
    ("api_server.py: error: unrecognized arguments: --no-such-flag", "does not know --no-such-flag"),
    (
        "vllm serve: error: argument --dtype: invalid choice: 'x' (choose from auto, half)",
        "argument --dtype: invalid choice",
    ),
    (
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': "
        "'/models/nothing-here'. Use `repo_type` argument if needed.",
        "the model was not found (Repo id must be in the form 'repo_name' or 'namespace/repo_name': "
        "'/models/nothing-here')",
    ),
    (
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the "
        "specified revision on the local disk and outgoing traffic has been disabled.",
        "the model was not found",
    ),
    (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        "  Value error, User-specified max_model_len (65536) is greater than the derived max_model_len "
        "(max_position_embeddings=32768.0 or model_max_length=None in model's config.json).",
        "--max-model-len 65536 is more than the model was made for",
    ),
    ("RuntimeError: Not enough allowed NUMA nodes to bind threads of 2 local CPUWorkers.", "fewer NUMA nodes"),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "not enough GPU memory"),
    (
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
        "the weights leave no GPU memory for the KV cache",
    ),
    (
        "ValueError: To serve at least one request with the model's max seq len (262144), (24.00 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (12.10 GiB). Based on the available memory, the "
        "estimated maximum model length is 131072. Try increasing",
        "Add --max-model-len 131072 to extra_args",
    ),
    ("OSError: You are trying to access a gated repo.", "the model is gated (gated repo)"),
    ("huggingface_hub.errors.GatedRepoError: 403 Client Error. Access to model x/y is restricted", "give hf_token"),
    ("OSError: [Errno 28] No space left on device", "the disk is full"),
    ("RuntimeError: CUDA driver version is insufficient for CUDA runtime version", "driver is too old"),
    ("RuntimeError: The NVIDIA driver on your system is too old (found version 11040).", "driver is too old"),
    ("ERROR: Unexpected bus error encountered in worker.", "shared memory is too small"),
    # NCCL of SGLang and vLLM in a container with the daemon's own 64 MiB.
    (
        "Error while creating shared memory segment /dev/shm/nccl-MUxDwa (size 34210184), error: No space left on "
        "device (28)",
        "shared memory is too small",
    ),
    ("include/shm.h:28 NCCL WARN Call to posix_fallocate failed : No space left on device", "shared memory is too sm"),
    (
        "ValueError: max_num_seqs (1024) exceeds available Mamba cache blocks (312).",
        "Add --max-num-seqs 312 to extra_args",
    ),
    (
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized",
        "have not joined their fabric",
    ),
    (
        "ValueError: Total number of attention heads (40) must be divisible by tensor parallel size (3).",
        "Total number of attention heads (40) must be divisible by tensor parallel size (3). Set another",
    ),
    ("ValueError: World size (8) is larger than the number of available GPUs (4) in this node.", "fewer GPUs"),
    ("KeyError: 'invalid tool call parser: qwen9 (chose from { qwen3_coder })'", "no tool call parser qwen9"),
]


@pytest.mark.parametrize(("line", "said"), LINES)
def test_known_causes(line: str, said: str) -> None:
    assert said in (VLLM.explain(f"INFO starting\n{line}\n", 1) or "")


@pytest.mark.parametrize("log", [VLLM, SGLANG])
def test_a_log_that_tells_nothing_has_no_cause(log: object) -> None:
    assert log.explain("INFO 11-23 loading weights\nINFO using shm_broadcast\n", 1) is None


def test_a_warning_is_no_cause() -> None:
    assert VLLM.explain("(APIServer pid=1) WARNING 11-26 05:31:20 [x.py:1] No space left on device\n", 1) is None


def test_the_kernel_s_word_comes_first() -> None:
    told = VLLM.explain("x.py: error: unrecognized arguments: -x", 137, oom_killed=True) or ""
    assert told == "the host ran out of memory, and the kernel killed the engine"


def test_a_process_that_was_killed() -> None:
    assert "exit code 137" in (VLLM.explain("INFO 11-23 loading\n", 137) or "")
