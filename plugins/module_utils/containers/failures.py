# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an engine did not come up, in plain words, from its own log. All pure."""

from __future__ import annotations

import re

# In the order of trust: a cause that is named beats one that often follows another.
_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"unrecognized arguments?: (?P<what>.+)|error: (?:argument )?(?P<what2>--?\S+.*)",
        "the engine does not know or accept an argument: {what}. Check extra_args against the engine's version",
    ),
    (
        r"(?i)(?P<what>cannot access gated repo|gated repo|401 Client Error|access to model .* is restricted)",
        "the model is gated or private ({what}). Accept its licence on the hub and give hf_token",
    ),
    (
        r"User-specified max_model_len \((?P<what>\d+)\) is greater than the derived max_model_len",
        "--max-model-len {what} is more than the model was made for. Take a smaller one",
    ),
    # NCCL says of shared memory what others say of a disk: this one comes first.
    (
        r"(?i)bus error|/dev/shm.*(?:no space|too small|insufficient)|insufficient shared memory|out of shared memory"
        r"|while creating shared memory segment|failed to extend /dev/shm|call to posix_fallocate failed",
        "shared memory is too small. Keep ipc_mode at host, or give more with shm_size",
    ),
    (
        r"(?i)no space left on device",
        "the disk is full. Free space where the images and the weights are kept",
    ),
    (
        r"(?i)address already in use|port is already allocated",
        "the port is taken. Choose another port or stop what listens there",
    ),
    (
        r"(?i)cuda (?:driver version is insufficient|error 803)|forward compatibility was attempted"
        r"|driver on your system is too old|unsatisfied condition: cuda",
        "the NVIDIA driver is too old for the image. Update the driver, or take an image built for an older CUDA",
    ),
    (
        r"(?i)cuda error 802|system not yet initialized",
        "the GPUs have not joined their fabric (CUDA error 802). See nvidia-smi -q (Fabric), start "
        "nvidia-fabricmanager, or reboot the host",
    ),
    (
        r"(?i)(?P<what>(?:total )?number of attention heads \(\d+\) must be divisible by "
        r"tensor (?:model )?parallel size \(\d+\))",
        "{what}. Set another tensor_parallel_size",
    ),
    (
        r"(?i)max_num_seqs \(\d+\) exceeds (?:the )?available mamba cache blocks \((?P<what>\d+)\)",
        "there is not enough GPU memory for so many requests at once. Add --max-num-seqs {what} to extra_args",
    ),
    (
        r"(?i)tensor parallel size \S+ .*(?:larger|greater|exceeds)|world size \(\S+\) is larger than"
        r"|requires \S+ gpus?|not enough gpus|invalid device ordinal|not enough allowed numa nodes",
        "there are fewer GPUs (on a CPU: NUMA nodes) than the tensor parallel size asks for. "
        "Set tensor_parallel_size or gpus",
    ),
    (
        r"(?i)cuda out of memory|outofmemoryerror|no available memory for the cache blocks|not enough memory"
        r"|free memory on device .* is less than desired|larger than the available kv cache memory",
        "there is not enough GPU memory. Use more GPUs, a shorter --max-model-len, or see who else holds GPU memory",
    ),
    (
        r"(?i)(?P<what>could not select device driver .*|nvidia-container-cli: .*|failed to inject cdi devices.*)",
        "the container got no GPU: {what}. Is the NVIDIA container toolkit installed and configured?",
    ),
    (
        r"(?i)(?P<what>repository not found|is not a local folder and is not a valid model identifier"
        r"|repo id must be in the form [^.]*|cannot find an appropriate cached snapshot folder"
        r"|no such file or directory: .*config\.json|invalid repository id or local directory specified)",
        "the model was not found ({what}). Check its name, or its directory inside the container",
    ),
)
_FIRST_ERROR = re.compile(r"^.*?\b((?:\w+\.)*\w*(?:Error|Exception): .+)$", re.MULTILINE)
_COMPILED = tuple((re.compile(pattern), text) for pattern, text in _CAUSES)


def explain(log: str, exit_code: int | None = None, oom_killed: bool = False) -> str | None:
    """Return the cause of a failed start in a sentence, or ``None`` where the log does not tell.

    *oom_killed* is the daemon's word that the kernel killed the process for memory.
    """
    if oom_killed:
        return "the host ran out of memory, and the kernel killed the engine"
    for pattern, text in _COMPILED:
        match = pattern.search(log)
        if match:
            groups = [value for value in match.groupdict().values() if value]
            return text.format(what=groups[0].strip() if groups else "")
    if exit_code == 137:
        return "the engine was killed (exit code 137), most often for memory: see dmesg on the host"
    # The last lines often only say that something failed above.
    first = _FIRST_ERROR.search(log)
    return f"its first error was {first.group(1).strip()[:300]!r}" if first else None


def last_lines(log: str, count: int = 20) -> list[str]:
    """Return the last lines of a log that say something."""
    return [line.rstrip() for line in log.splitlines() if line.strip()][-count:]
