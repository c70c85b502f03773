# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The causes of a failed start, read from what engines and the daemon print."""

from __future__ import annotations

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.failures import explain, last_lines

LINES = [
    ("vllm: error: unrecognized arguments: --no-such-flag", "--no-such-flag"),
    # The last lines of vLLM 0.32.0, from runs that were made to fail.
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
        "  Value error, User-specified max_model_len (65536) is greater than the derived max_model_len "
        "(max_position_embeddings=32768.0 or model_max_length=None in model's config.json).",
        "--max-model-len 65536 is more than the model was made for",
    ),
    ("RuntimeError: Not enough allowed NUMA nodes to bind threads of 2 local CPUWorkers.", "fewer GPUs"),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "GPU memory"),
    ("ValueError: No available memory for the cache blocks.", "GPU memory"),
    ("OSError: You are trying to access a gated repo.", "gated"),
    ("OSError: [Errno 28] No space left on device", "disk is full"),
    ("Error starting userland proxy: listen tcp4 127.0.0.1:8000: bind: address already in use", "port is taken"),
    ("CUDA driver version is insufficient for CUDA runtime version", "driver is too old"),
    ("nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0", "driver is too old"),
    ('could not select device driver "" with capabilities: [[gpu]]', "container toolkit"),
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
    ("World size (8) is larger than the number of available GPUs (4) in this node.", "fewer GPUs"),
    ("huggingface_hub.errors.GatedRepoError: 403 Client Error. Access to model x/y is restricted", "give hf_token"),
    ("The NVIDIA driver on your system is too old (found version 11040).", "driver is too old"),
    (
        "ValueError: Free memory on device cuda:0 (3.1/79.2 GiB) on startup is less than desired GPU memory "
        "utilization (0.9, 71.3 GiB).",
        "see who else holds GPU memory",
    ),
]


@pytest.mark.parametrize(("line", "said"), LINES)
def test_known_causes(line: str, said: str) -> None:
    assert said in (explain(f"INFO starting\n{line}\n") or "")


def test_an_unknown_cause_is_the_first_error_and_not_the_last() -> None:
    log = (
        "(EngineCore pid=22) ERROR 11-23 17:12:01 [core.py:900] KeyError: 'invalid tool call parser: x'\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    assert explain(log, 1) == "its first error was \"KeyError: 'invalid tool call parser: x'\""


def test_a_log_that_tells_nothing_has_no_cause() -> None:
    assert explain("INFO 11-23 loading weights\nINFO using shm_broadcast\n", exit_code=1) is None


def test_the_kernel_s_word_comes_first() -> None:
    assert "ran out of memory" in (explain("unrecognized arguments: -x", 137, oom_killed=True) or "")


def test_last_lines_skip_empty_ones() -> None:
    assert last_lines("a\n\nb\n \nc\n", 2) == ["b", "c"]
