# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run went within its time: waves, chunks and histograms, of numbers that can be counted by hand."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import shape
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.load import Totals
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Workload
from ansible_collections.inference.fleet.plugins.module_utils.results.histogram import bounds, histogram
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import RepeatResult

# Four waves of two.
WORKLOAD = Workload(num_prompts=8, max_concurrency=2)
CALM = {"tokens_per_chunk": 1.0, "itl_is_per_token": True, "speculation": None}


def result(ttfts: list[float], e2el: float = 1000.0, duration: float = 4.0, **more: Any) -> RepeatResult:
    return RepeatResult(8, 0, 800, 80, duration, {"mean_e2el_ms": e2el}, values={"ttft_ms": ttfts}, **more)


class TestWaves:
    def test_an_engine_that_was_full_all_the_time(self) -> None:
        found = shape.waves([result([100.0] * 8)], WORKLOAD)
        assert (found["mean_in_flight"], found["occupancy"]) == (2.0, 1.0)
        assert found["first_wave_ttft_share"] == 0.25
        assert shape.notes(CALM, found, WORKLOAD) == []

    def test_a_start_that_makes_most_of_the_mean_is_told(self) -> None:
        found = shape.waves([result([1600.0, 1600.0] + [100.0] * 6)] * 2, WORKLOAD)
        assert (found["first_wave_mean_ttft_ms"], found["later_mean_ttft_ms"]) == (1600.0, 100.0)
        (said,) = shape.notes(CALM, found, WORKLOAD)
        assert "the first 2 requests of a repeat, sent at once, waited 1,600 ms" in said
        assert "84% of the mean TTFT is the start" in said

    def test_a_tail_is_told(self) -> None:
        found = shape.waves([result([100.0] * 8, duration=6.0)], WORKLOAD)
        (said,) = shape.notes(CALM, found, WORKLOAD)
        assert said.startswith("1.3 of 2 requests were in flight on average")

    @pytest.mark.parametrize("workload", [Workload(num_prompts=8, max_concurrency=8), Workload(request_rate=2.0)])
    def test_one_wave_and_a_rate_have_no_first_wave(self, workload: Workload) -> None:
        assert shape.waves([result([100.0] * 8)], workload)["first_wave_mean_ttft_ms"] is None


class TestStreaming:
    def streaming(self, chunks: int | None, *counted: Totals, lengths: tuple[float, ...] = ()) -> dict[str, Any]:
        return shape.streaming([result([1.0] * 8, chunks=chunks)], counted, lengths)

    def test_a_token_a_chunk(self) -> None:
        assert self.streaming(80) == CALM

    def test_several_tokens_a_chunk_are_told_with_what_the_engine_accepted(self) -> None:
        found = self.streaming(40, Totals(drafts=40, draft_tokens=80, accepted_tokens=60))
        assert found["tokens_per_chunk"] == 2.0
        assert found["itl_is_per_token"] is False
        assert found["speculation"]["acceptance_rate"] == 0.75
        assert found["speculation"]["tokens_per_step"] == 2.5
        waves = shape.waves([result([100.0] * 8)], WORKLOAD)
        assert shape.notes(found, waves, WORKLOAD) == [
            "the server sends 2.00 tokens a chunk on average: ITL is the time between chunks, not between tokens",
            "the engine decodes speculatively: 2.50 tokens a step, 75% of the drafted tokens were accepted",
        ]

    def test_sglang_tells_the_tokens_of_a_step_now_and_then(self) -> None:
        found = self.streaming(40, Totals(), lengths=(0.0, 2.0, 3.0))
        assert found["speculation"] == {
            "draft_tokens": None,
            "accepted_tokens": None,
            "acceptance_rate": None,
            "tokens_per_step": 2.5,
        }

    def test_a_client_that_does_not_tell(self) -> None:
        assert self.streaming(None) == {"tokens_per_chunk": None, "itl_is_per_token": None, "speculation": None}


class TestHistogram:
    @pytest.mark.parametrize("seed", range(20))
    def test_every_value_is_in_a_bucket_that_holds_it(self, seed: int) -> None:
        drawn = random.Random(seed)
        values = [10 ** drawn.uniform(-2, 7) for _value in range(drawn.randint(1, 50))] + [1.0, 10.0, 1000.0]
        kept = histogram(values)
        assert kept is not None
        assert sum(kept["counts"]) == len(values)
        rows = bounds(kept)
        assert rows[0][0] <= min(values) * (1 + 1e-6)
        assert max(values) <= rows[-1][1] * (1 + 1e-6)

    def test_nothing_is_no_histogram(self) -> None:
        assert histogram([]) is None
        assert shape.histograms([result([])]) == {}

    def test_zero_has_a_bucket(self) -> None:
        assert histogram([0.0]) == histogram([0.001])

    def test_histograms_of_all_repeats_are_one(self) -> None:
        assert shape.histograms([result([10.0]), result([10.5, 100.0])])["ttft_ms"]["counts"][0] == 2
