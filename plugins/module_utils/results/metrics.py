# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures a report compares, in the order it shows them."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.results import measures

_OF_RUN = {"p99": "mean p99"}


@dataclass(frozen=True)
class Metric:
    """One figure of a run: *key* is its name in result documents, *unit* that of its values.

    *part* is what it is of one repeat. A run has the mean of its repeats' figures, which :attr:`of_run` calls so where
    it is not all the requests' own: the mean of p99s is no p99.
    """

    key: str
    name: str
    part: str
    unit: str
    higher_is_better: bool

    @property
    def label(self) -> str:
        """What a run's figure is called."""
        return f"{self.name} {self.of_run}".rstrip()

    @property
    def of_run(self) -> str:
        return _OF_RUN.get(self.part, self.part)

    @property
    def label_of_repeat(self) -> str:
        """What a single repeat's figure is called."""
        return f"{self.name} {self.part}".rstrip()


COMPARED = (
    Metric("output_throughput", "Output", "", "tok/s", True),
    Metric("total_token_throughput", "Total", "", "tok/s", True),
    Metric("mean_ttft_ms", "TTFT", "mean", "ms", False),
    Metric("p99_ttft_ms", "TTFT", "p99", "ms", False),
    Metric("mean_tpot_ms", "TPOT", "mean", "ms", False),
    Metric("p99_tpot_ms", "TPOT", "p99", "ms", False),
    Metric("mean_itl_ms", "ITL", "mean", "ms", False),
    Metric("p99_itl_ms", "ITL", "p99", "ms", False),
)

_LONG = {
    "output_throughput": "Output throughput",
    "total_token_throughput": "Total token throughput",
    "request_throughput": "Request throughput",
    measures.GOODPUT: "Goodput",
    "ttft_ms": "Time to first token (TTFT)",
    "tpot_ms": "Time per output token (TPOT)",
    "itl_ms": "Inter-token latency (ITL)",
    "e2el_ms": "End-to-end latency (E2EL)",
}


def long_name(key: str) -> str:
    """Return a metric's name in full; that of an unknown one is its key.

    >>> long_name("p99_ttft_ms")
    'Time to first token (TTFT), mean p99'
    """
    if key in _LONG:
        return _LONG[key]
    statistic, _mark, measure = key.partition("_")
    return f"{_LONG[measure]}, {_OF_RUN.get(statistic, statistic)}" if measure in _LONG else key


# What a run's details list, in this order.
NAMES = {key: long_name(key) for key in (*measures.METRICS, measures.GOODPUT)}
