# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine counted beside what was sent: strangers, cut prompts, another tokenizer, prompts that came before."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import counting
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.load import Totals
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Workload
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import RepeatResult

# The published workload, and its requests as a client with the server's counts has them, 10 tokens of template each.
WORKLOAD = Workload()
SENT, PROMPTS, TOKENS = 512, 512 * 8202, 512 * 1024
MINE = Totals(requests=SENT, prompt_tokens=PROMPTS, generated_tokens=TOKENS)


def result(**changes: Any) -> RepeatResult:
    values = {
        "completed": SENT,
        "failed": 0,
        "total_input_tokens": PROMPTS,
        "total_output_tokens": TOKENS,
        "duration": 240.0,
        "metrics": {"mean_ttft_ms": 1.0},
    }
    return RepeatResult(**{**values, **changes})


def faults(counted: Totals, workload: Workload = WORKLOAD, allowed: float = 5, **changes: Any) -> list[str]:
    return counting.faults(result(**changes), workload, counted, allowed)


def remarks(counted: Totals, most: int = 32) -> list[tuple[str, str]]:
    return [(remark.kind, remark.text) for remark in counting.remarks(result(), WORKLOAD, counted, most)]


class TestOthers:
    def test_an_engine_that_worked_for_the_benchmark_alone(self) -> None:
        assert faults(MINE) == []
        assert remarks(MINE) == []

    def test_an_engine_that_does_not_count(self) -> None:
        assert faults(Totals()) == []
        assert remarks(Totals()) == []

    def test_strangers_with_long_prompts_and_short_answers_disturb(self) -> None:
        """100 requests of 8,192 in and 50 out: less than 1 % of the generated tokens."""
        beside = Totals(SENT + 100, PROMPTS + 100 * 8192, TOKENS + 100 * 50)
        assert remarks(beside) == [
            (
                "others",
                "the engine worked for others meanwhile: 100 requests, 819200 prompt tokens, 5000 output tokens, "
                "beside the benchmark's 512 requests, 4199424 and 524288 tokens",
            )
        ]
        assert faults(beside) == []

    def test_strangers_with_long_answers_disturb(self) -> None:
        assert remarks(Totals(SENT + 1, PROMPTS + 10, TOKENS + 10_000))[0][0] == "others"

    def test_a_probe_now_and_then_is_told_and_disturbs_nothing(self) -> None:
        kind, text = remarks(Totals(SENT + 3, PROMPTS + 30, TOKENS + 3))[0]
        assert kind == "note"
        assert "3 requests, 30 prompt tokens, 3 output tokens" in text

    def test_without_a_count_of_requests_tokens_tell(self) -> None:
        assert remarks(Totals(generated_tokens=TOKENS + 10_000))[0][0] == "others"
        assert remarks(Totals(generated_tokens=TOKENS + 10)) == []

    def test_without_any_count_the_requests_at_once_tell(self) -> None:
        assert remarks(Totals(), most=40)[0][0] == "others"
        assert remarks(Totals(), most=32) == []

    def test_an_engine_that_saw_only_a_part_of_the_requests(self) -> None:
        kind, text = remarks(Totals(SENT // 2, PROMPTS // 2, TOKENS // 2))[0]
        assert kind == "counts"
        assert "counted 256 of the 512 requests" in text

    def test_preemptions_are_told(self) -> None:
        kind, text = remarks(Totals(SENT, PROMPTS, TOKENS, preemptions=7))[0]
        assert kind == "note"
        assert "put 7 requests back for want of KV cache" in text


class TestCountsThatDisagree:
    def test_a_client_that_counts_output_its_own_way(self) -> None:
        found = faults(Totals(SENT, PROMPTS, TOKENS * 9 // 10))
        assert found == [
            "the client counted 524288 output tokens, the engine 471859: the client's count is not the engine's"
        ]

    def test_prompts_that_arrive_shorter_than_the_client_says(self) -> None:
        """As with a client that counts what it sent."""
        (found,) = faults(Totals(SENT, SENT * 4096, TOKENS), total_input_tokens=SENT * 8192)
        assert "found 2097152: does the client use the model's own tokenizer?" in found

    def test_among_strangers_no_count_can_be_held_against_the_clients(self) -> None:
        assert faults(Totals(SENT + 1, SENT * 4096, TOKENS // 2)) == []


class TestPrompts:
    def shortfalls(self, lengths: tuple[int, ...], **changes: Any) -> list[str]:
        workload = Workload(num_prompts=len(lengths), **changes)
        tokens = len(lengths) * 1024
        found = result(
            completed=len(lengths),
            total_input_tokens=sum(lengths),
            total_output_tokens=tokens,
            input_lengths=lengths,
        )
        return counting.shortfalls(found, workload)

    def test_as_asked_with_a_template(self) -> None:
        assert self.shortfalls((8202,) * 8) == []

    def test_cut_prompts_are_told_from_another_tokenizer(self) -> None:
        (cut,) = self.shortfalls((4096,) * 8)
        assert "prompts are cut to 4096 tokens" in cut
        (other,) = self.shortfalls((5120, 6400, 6000, 5500, 6111, 5000, 5790, 6203))
        assert "does the client use the model's own tokenizer?" in other

    def test_prompts_that_are_cut_a_little_are_found(self) -> None:
        """Within the tolerance of a sum, and still not what was asked for."""
        (cut,) = self.shortfalls((7936,) * 8)
        assert "found 63488: prompts are cut to 7936 tokens" in cut

    def test_a_tokenizer_that_loses_a_little_is_none_of_both(self) -> None:
        assert self.shortfalls((8150, 8190, 8170, 8200, 8192, 8101, 8188, 8192)) == []

    def test_lengths_of_a_range_may_differ(self) -> None:
        drawn = tuple(range(4096, 12289, 512))
        assert self.shortfalls(drawn, random_range_ratio=0.5) == []
        assert "does the client use" in self.shortfalls((3000,) * 512, random_range_ratio=0.5)[0]


class TestPrefixCache:
    @pytest.mark.parametrize("share", [0.0, 0.04])
    def test_a_little_is_allowed_beside_a_template(self, share: float) -> None:
        cached = round(share * SENT * 8192) + 48 * SENT
        assert faults(Totals(SENT, PROMPTS, TOKENS, cached)) == []

    def test_prompts_that_came_before_fail_the_run(self) -> None:
        (found,) = faults(Totals(SENT, PROMPTS, TOKENS, SENT * 4096))
        assert found.startswith("50% of the prompt tokens came from the engine's prefix cache, more than the 5 % that")
        assert faults(Totals(SENT, PROMPTS, TOKENS, SENT * 4096), allowed=60) == []
