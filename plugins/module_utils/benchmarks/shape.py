# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run went within its time: its waves, the chunks of its answers, how its latencies are spread. Pure functions.

All are of the repeats of one workload together, for the result document.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.load import Totals
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Workload
from ansible_collections.inference.fleet.plugins.module_utils.results.histogram import histogram
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import LATENCIES, RepeatResult

# So many tokens a chunk are more than what a chunk without text, or one with half a character, may make of one.
SEVERAL = 1.25
# A share of the mean TTFT that is the first wave's, and how much longer that waited, that are worth a word.
FIRST_WAVE, LONGER = 0.25, 1.5
# A share of the requests at once that were in flight on average, below which it is worth a word.
OCCUPIED = 0.9


def histograms(results: Sequence[RepeatResult]) -> dict[str, Any]:
    """Return the histogram of each latency over all requests; nothing of what the client does not tell."""
    found = {
        name: histogram(value for result in results for value in result.values.get(name, ())) for name in LATENCIES
    }
    return {name: kept for name, kept in found.items() if kept}


def streaming(
    results: Sequence[RepeatResult], counted: Sequence[Totals], accept_lengths: Sequence[float]
) -> dict[str, Any]:
    """Return how answers were streamed: how many tokens a chunk, and what speculative decoding had to do with it.

    *accept_lengths* are what an engine told of the tokens of a step now and then, where it does not count them.
    """
    chunks = None if any(result.chunks is None for result in results) else sum(result.chunks or 0 for result in results)
    per_chunk = sum(result.total_output_tokens for result in results) / chunks if chunks else None
    return {
        "tokens_per_chunk": round(per_chunk, 3) if per_chunk else None,
        "itl_is_per_token": per_chunk < SEVERAL if per_chunk else None,
        "speculation": _speculation(counted, accept_lengths),
    }


def _speculation(counted: Sequence[Totals], accept_lengths: Sequence[float]) -> dict[str, Any] | None:
    drafts, drafted, accepted = (
        sum(getattr(totals, name) or 0 for totals in counted) for name in ("drafts", "draft_tokens", "accepted_tokens")
    )
    if drafts and drafted:
        return {
            "draft_tokens": drafted,
            "accepted_tokens": accepted,
            "acceptance_rate": round(accepted / drafted, 4),
            # Each step gives a token of the model's own besides.
            "tokens_per_step": round(1 + accepted / drafts, 3),
        }
    steps = [length for length in accept_lengths if length > 1]
    if not steps:
        return None
    return {
        "draft_tokens": None,
        "accepted_tokens": None,
        "acceptance_rate": None,
        "tokens_per_step": round(statistics.fmean(steps), 3),
    }


def waves(results: Sequence[RepeatResult], workload: Workload) -> dict[str, Any]:
    """Return how full the engine was, and what the first requests, which are sent at once, waited.

    By Little's law the mean number of requests in flight is their rate times their mean E2EL. The first wave are as
    many requests as are sent at once; of one wave alone, and where a rate spreads them, nothing is told.
    """
    seconds = sum(result.duration for result in results)
    in_flight = sum(result.completed * result.metrics["mean_e2el_ms"] for result in results) / 1000 / seconds
    at_once = min(workload.max_concurrency, workload.num_prompts)
    first: list[float] = []
    later: list[float] = []
    if workload.request_rate is None and workload.num_prompts >= 2 * at_once:
        for result in results:
            waited = result.values.get("ttft_ms", ())
            first += waited[:at_once]
            later += waited[at_once:]
    return {
        "mean_in_flight": round(in_flight, 2),
        "occupancy": round(in_flight / at_once, 4),
        "first_wave_mean_ttft_ms": round(statistics.fmean(first), 3) if first else None,
        "later_mean_ttft_ms": round(statistics.fmean(later), 3) if later else None,
        "first_wave_ttft_share": round(sum(first) / (sum(first) + sum(later)), 4) if first and later else None,
    }


def notes(streamed: Mapping[str, Any], found: Mapping[str, Any], workload: Workload) -> list[str]:
    """Return what a reader should know of these, in words."""
    said = []
    at_once = min(workload.max_concurrency, workload.num_prompts)
    if workload.request_rate is None and found["occupancy"] < OCCUPIED:
        said.append(
            f"{found['mean_in_flight']:.1f} of {at_once} requests were in flight on average: the start and the end of "
            f"a repeat, when fewer are, weigh in its throughput. More prompts than {workload.num_prompts} make it less"
        )
    share = found["first_wave_ttft_share"]
    if share and share >= FIRST_WAVE and found["first_wave_mean_ttft_ms"] > LONGER * found["later_mean_ttft_ms"]:
        said.append(
            f"the first {at_once} requests of a repeat, sent at once, waited "
            f"{found['first_wave_mean_ttft_ms']:,.0f} ms for their first token, "
            f"the others {found['later_mean_ttft_ms']:,.0f} ms: "
            f"{share:.0%} of the mean TTFT is the start"
        )
    if streamed["itl_is_per_token"] is False:
        said.append(mark(streamed))
    speculation = streamed["speculation"]
    if speculation:
        rate = speculation["acceptance_rate"]
        accepted = f", {rate:.0%} of the drafted tokens were accepted" if rate is not None else ""
        said.append(f"the engine decodes speculatively: {speculation['tokens_per_step']:.2f} tokens a step{accepted}")
    return said


def mark(streamed: Mapping[str, Any]) -> str:
    """Return what stands beside ITL where a chunk has several tokens."""
    return (
        f"the server sends {streamed['tokens_per_chunk']:.2f} tokens a chunk on average: "
        "ITL is the time between chunks, not between tokens"
    )
