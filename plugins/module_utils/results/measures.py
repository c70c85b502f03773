# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures that every client's output is brought to, with the definitions of C(vllm bench serve).

- TTFT: from sending a request to its first streamed token.
- ITL: the gap between two successive streamed chunks; all gaps of all requests are one population.
- E2EL: from sending a request to its last streamed token.
- TPOT: (E2EL - TTFT) / (output tokens - 1), one value a request.
- Output throughput: output tokens of the completed requests / duration of the benchmark; total token
  throughput adds the input tokens; request throughput counts completed requests.

Percentiles interpolate linearly. Only completed requests count.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

THROUGHPUTS = ("output_throughput", "total_token_throughput", "request_throughput")
LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2el_ms")
STATISTICS = ("mean", "median", "p99")
# Every metric of a repeat and of a document, in the order in which they are shown.
METRICS = (*THROUGHPUTS, *(f"{statistic}_{latency}" for latency in LATENCIES for statistic in STATISTICS))

# Requests a second that kept the limits, where limits were set.
GOODPUT = "request_goodput"


def unit(metric: str) -> str:
    """Return the unit of a metric."""
    if metric in ("request_throughput", GOODPUT):
        return "req/s"
    return "tok/s" if metric in THROUGHPUTS else "ms"


@dataclass(frozen=True)
class RepeatResult:
    """What one run of a client came to.

    C(metrics) maps names of METRICS to numbers: all of them where requests completed, none where none did.
    C(total_input_tokens) are as the server counted them, where the client passes that on. C(duration) is seconds;
    C(errors) holds distinct answers of failed requests, where the client tells them.

    Where the client tells of single requests, C(values) has their latencies, in ms and in the order in which they were
    sent, by the names of LATENCIES, and C(input_lengths) their prompt tokens. C(chunks) is how many parts the answers
    were streamed in, those without text left out.
    """

    completed: int
    failed: int
    total_input_tokens: int
    total_output_tokens: int
    duration: float
    metrics: dict[str, float] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    input_lengths: tuple[int, ...] = ()
    chunks: int | None = None


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile with linear interpolation.

    >>> percentile([1.0, 2.0, 3.0], 50)
    2.0
    """
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def latencies(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return mean, median and p99 of one latency, in the names of a document. No values give zeros, as in vLLM."""
    if not values:
        return {f"{statistic}_{name}": 0.0 for statistic in STATISTICS}
    return {
        f"mean_{name}": statistics.fmean(values),
        f"median_{name}": percentile(values, 50),
        f"p99_{name}": percentile(values, 99),
    }


def throughputs(completed: int, input_tokens: int, output_tokens: int, duration: float) -> dict[str, float]:
    """Return the three throughputs, a second."""
    return {
        "output_throughput": output_tokens / duration,
        "total_token_throughput": (input_tokens + output_tokens) / duration,
        "request_throughput": completed / duration,
    }


def spread(values: Iterable[float]) -> dict[str, object]:
    """Return mean, sample standard deviation, extremes and coefficient of variation of a metric's repeats.

    One value has no spread: stdev and cv are None, not 0.
    """
    listed = list(values)
    mean = statistics.fmean(listed)
    stdev = statistics.stdev(listed) if len(listed) > 1 else None
    return {
        "mean": mean,
        "stdev": stdev,
        "min": min(listed),
        "max": max(listed),
        "cv": stdev / mean if stdev is not None and mean else None,
        "values": listed,
    }
