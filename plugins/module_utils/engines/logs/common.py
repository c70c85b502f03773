# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines of one root say in the same words: both vLLM and SGLang have these checks."""

from __future__ import annotations

from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.cause import Cause

# Lines of every start, which have words of a failure in them.
HARMLESS = (
    r"Failed to import Triton kernels",
    r"Failed to import from vllm\._\w+ with",
    r"destroy_process_group\(\) was not called",
    r"The hostname of the client socket cannot be retrieved",
    r"resource_tracker: There appear to be \d+ leaked",
    r"Found ulimit of \d+ and failed to automatically increase",
)


def parallel(whole_experts: str) -> tuple[Cause, ...]:
    """Return the causes of parallel sizes that do not fit a model; the flag is that for whole experts on each GPU."""
    return (
        Cause(
            r"(?i)(?P<what>(?:total )?number of attention heads \(\d+\) must be divisible by "
            r"tensor (?:model )?parallel size \(\d+\))",
            "{what}. Set another tensor_parallel_size",
        ),
        Cause(
            r"(?P<what>(?:[\w ']+weight|Weight \w+) = \d+ is not divisible by weight quantization block_[nk] = \d+)",
            "the tensor parallel size does not fit the model's quantisation: {what}. Set another tensor_parallel_size, "
            f"or have whole experts on each GPU with {whole_experts} in extra_args",
        ),
        Cause(
            r"(?i)(?P<what>assert self\.total_num_(?:kv_)?heads % \w*tp_size == 0|\d+ is not divisible by \d+)",
            "the tensor parallel size does not divide the model ({what}). Set another tensor_parallel_size",
        ),
    )
