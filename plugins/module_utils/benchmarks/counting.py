# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked for, what the client got, what the engine counted: is a run the workload's, and nobody else's?

Pure functions. A fault is why a run does not count; a remark is what its reader should know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.load import Totals
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.remarks import NOTE, Remark
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Workload
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import RepeatResult
from ansible_collections.inference.fleet.plugins.module_utils.results.quality import COUNTS, OTHERS

# How far token totals may be from what was asked, as a fraction. Inputs also gain the chat template of each prompt.
OUTPUT_TOLERANCE = 0.01
INPUT_TOLERANCE = 0.1
TEMPLATE_TOKENS = 256
# Of a template all prompts share the beginning, so many tokens of which may come from the prefix cache.
SHARED_TOKENS = 64
# What an engine did for others, as a share of what it did for the benchmark, that disturbs.
STRANGE = 0.01
# How far the engine's count of tokens may be from the client's, which had them from the engine.
AGREED = 0.01
# A share of prompts that are all of one length, shorter than asked for, that tells of a limit.
_CUT = 0.5


def shortfalls(result: RepeatResult, workload: Workload) -> list[str]:
    """Return why a run does not count by what the client tells; nothing when it does."""
    if result.completed != workload.num_prompts or result.failed:
        return [
            f"wanted {workload.num_prompts} completed requests, "
            f"found {result.completed} completed and {result.failed} failed"
        ]
    faults = []
    wanted = workload.num_prompts * workload.output_length
    tolerance = OUTPUT_TOLERANCE + workload.tolerance()
    if abs(result.total_output_tokens - wanted) > wanted * tolerance:
        faults.append(
            f"wanted {wanted} output tokens "
            f"({workload.num_prompts} x {workload.output_length}, within {tolerance:.0%}), "
            f"found {result.total_output_tokens}: does the server honour ignore_eos?"
        )
    faults += _inputs(result.total_input_tokens, result.input_lengths, workload)
    if result.duration <= 0 or result.metrics["mean_ttft_ms"] <= 0:
        faults.append(
            f"wanted times above 0, found a duration of {result.duration:g} s "
            f"and a mean TTFT of {result.metrics['mean_ttft_ms']:g} ms"
        )
    return faults


def _inputs(total: int, lengths: Sequence[int], workload: Workload) -> list[str]:
    """Return what is wrong with the prompts as they were counted, altogether and one by one where that is known."""
    wanted = workload.num_prompts * workload.input_length
    tolerance = INPUT_TOLERANCE + workload.tolerance()
    least = wanted * (1 - tolerance)
    most = wanted * (1 + tolerance) + workload.num_prompts * TEMPLATE_TOKENS
    limit = _limit(lengths, workload)
    told = f"wanted about {wanted} input tokens ({workload.num_prompts} x {workload.input_length}), found {total}"
    if limit:
        return [
            f"{told}: prompts are cut to {limit} tokens. Look for a limit of the server, such as truncate_prompt_tokens"
        ]
    if least <= total <= most:
        return []
    return [f"{told}: does the client use the model's own tokenizer?"]


def _limit(lengths: Sequence[int], workload: Workload) -> int | None:
    """Return the length that prompts were cut to; None where they were not.

    Another tokenizer gives other lengths to other prompts. A limit gives many the same, and none a greater one.
    """
    # As long as asked for, but for what decoding and encoding again may lose.
    if len(lengths) < 2 or workload.random_range_ratio:
        return None
    longest = max(lengths)
    if longest >= workload.input_length * (1 - OUTPUT_TOLERANCE):
        return None
    return longest if Counter(lengths)[longest] >= _CUT * len(lengths) else None


def faults(result: RepeatResult, workload: Workload, counted: Totals, max_prefix_cached: float) -> list[str]:
    """Return why a run does not count by what the engine counted meanwhile; nothing when it does, or is not known.

    *max_prefix_cached* is the share of the prompt tokens, in per cent, that may come from the engine's prefix cache.
    """
    found = []
    # With requests of others among them, no count can be held against the client's.
    alone = counted.requests == result.completed
    own, generated = result.total_output_tokens, counted.generated_tokens
    if alone and generated is not None and abs(generated - own) > AGREED * own:
        found.append(
            f"the client counted {own} output tokens, the engine {generated}: the client's count is not the engine's"
        )
    if alone and counted.prompt_tokens:
        # The client may have counted what it sent. This is what arrived.
        found += _inputs(counted.prompt_tokens, (), workload)
    cached = counted.prefix_cached_tokens or 0
    asked = workload.num_prompts * workload.input_length
    if cached - SHARED_TOKENS * workload.num_prompts > max_prefix_cached / 100 * asked:
        found.append(
            f"{min(1, cached / asked):.0%} of the prompt tokens came from the engine's prefix cache, more than the "
            f"{max_prefix_cached:g} % that were allowed: it had these prompts before. Leave the seed to the run, or "
            "set one that was not used since the engine started"
        )
    return found


def remarks(result: RepeatResult, workload: Workload, counted: Totals, most: int) -> list[Remark]:
    """Return what the engine's counts tell of a run that counts.

    *most* is how many requests were in the engine at once, as far as was seen.
    """
    found = _others(result, workload, counted, most)
    if counted.preemptions:
        found.append(
            Remark(
                NOTE,
                f"the engine put {counted.preemptions} requests back for want of KV cache, and computed them again: "
                f"its cache is too small for {workload.max_concurrency} requests of this length",
            )
        )
    return found


def _others(result: RepeatResult, workload: Workload, counted: Totals, most: int) -> list[Remark]:
    requests, prompts, tokens = (
        None if value is None else value - own
        for value, own in (
            (counted.requests, result.completed),
            (counted.prompt_tokens, result.total_input_tokens),
            (counted.generated_tokens, result.total_output_tokens),
        )
    )
    if requests is not None and requests < 0:
        return [
            Remark(
                COUNTS,
                f"the engine counted {counted.requests} of the {result.completed} requests: others were answered by "
                "something else, such as another replica or a cache before it",
            )
        ]
    shares = [
        extra / own
        for extra, own in ((prompts, result.total_input_tokens), (tokens, result.total_output_tokens))
        if extra is not None
    ]
    disturbs = any(share > STRANGE for share in shares)
    if requests or (requests is None and disturbs):
        parts = [
            f"{count} {name}"
            for count, name in ((requests, "requests"), (prompts, "prompt tokens"), (tokens, "output tokens"))
            if count
        ]
        own = f"{result.completed} requests, {result.total_input_tokens} and {result.total_output_tokens} tokens"
        return [
            Remark(
                OTHERS if disturbs else NOTE,
                f"the engine worked for others meanwhile: {', '.join(parts)}, beside the benchmark's {own}",
            )
        ]
    if most > workload.max_concurrency:
        return [
            Remark(
                OTHERS,
                f"{most} requests were in the engine, and the benchmark sends {workload.max_concurrency} at once: "
                "somebody else used it",
            )
        ]
    return []
