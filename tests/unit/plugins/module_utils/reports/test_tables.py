# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.reports import series, tables
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

START = datetime(2026, 11, 1, tzinfo=timezone.utc)


def test_runs_of_one_series_differ_only_in_time_and_seed():
    first = factory.document(started=START)
    second = factory.document(started=START + timedelta(days=1))
    second["workload"]["seed"] = 7

    (group,) = series.group([first, second])

    assert [len(item.runs) for item in group.series] == [2]
    assert group.series[0].latest is second


@pytest.mark.parametrize(
    "change",
    [
        {"host": "other"},
        {"engine": "sglang"},
        {"profile": "b200x2"},
        {"model": "another/model"},
        {"num_prompts": 64},
        {"simulated": True},
    ],
)
def test_anything_else_makes_another_series(change):
    groups = series.group([factory.document(), factory.document(**change)])
    assert sum(len(group.series) for group in groups) == 2


def test_measured_stands_before_simulated():
    (group,) = series.group([factory.document(host="a", simulated=True), factory.document(host="z")])
    assert [item.latest["host"] for item in group.series] == ["z", "a"]


def test_text_shows_measured_published_and_ratio_in_80_columns():
    text = tables.text(series.group([factory.document(factors=(0.5,))]), 1)

    lines = text.splitlines()
    assert "  measured     1,072   9,645   1,903   8,622    28.4    30.8    28.4     239" in lines
    assert "  published    2,180  19,617     933   4,268      14      15      14     117" in lines
    assert "  ratio         0.49    0.49    2.04    2.02    2.03    2.05    2.03    2.04" in lines
    assert "SIMULATED" not in text
    assert max(map(len, lines)) <= 80


def test_text_marks_what_is_simulated_in_every_line_of_its_figures():
    text = tables.text(series.group([factory.document(simulated=True, num_prompts=64)]), 1)
    assert "\nSIMULATED gpu1: vLLM on 4\N{MULTIPLICATION SIGN} H100" in text
    assert "\n  simulated    2,144" in text
    assert "measured  " not in text
    assert "64 prompts instead of 512" in " ".join(text.split())


def test_text_without_a_published_row():
    text = tables.text(series.group([factory.document(profile="cpu", published=None)]), 1)
    assert "No published row for vLLM on CPU with this model." in text
    assert "ratio" not in text


def test_text_cannot_be_hijacked():
    text = tables.text(series.group([factory.document(host="\x1b[2Jgpu", model="a\nb\u202e")]), 1)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "a b" in text


def test_text_with_a_missing_metric():
    document = factory.document()
    del document["metrics"]["p99_itl_ms"]
    assert tables.text(series.group([document]), 1)


def test_verdicts_only_where_the_comparison_is_fair():
    def verdicts(**changes):
        document = factory.document(factors=(1.19, 1.2, 1.21), **changes)
        return {cell.verdict for cell in tables.row(document).cells}

    assert verdicts() == {"better"}
    assert verdicts(simulated=True) == {""}
    assert verdicts(num_prompts=64) == {""}
    assert verdicts(cold_baseline=True) == {""}
    assert verdicts(warm=False) == {""}


def test_lower_throughput_and_higher_latency_are_worse():
    assert {cell.verdict for cell in tables.row(factory.document(factors=(0.79, 0.8, 0.81))).cells} == {"worse"}


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({"num_prompts": 64}, "Not the published workload: 64 prompts instead of 512."),
        ({"cold_baseline": True}, "The published row looks cold"),
        ({"factors": (1.0,)}, "One repeat: how much this result varies is not known."),
        ({"simulated": True}, "SIMULATED: a rehearsal that imitates vLLM on 4"),
        (
            {"quality": {"completed": 500, "failed": 12, "warnings": ["Throttled."]}},
            "12 of 512 requests failed.",
        ),
        ({"quality": {"completed": 512, "failed": 0, "warnings": ["Throttled."]}}, "Throttled."),
    ],
)
def test_remarks(changes, remark):
    assert any(text.startswith(remark) for text in series.remarks(factory.document(**changes)))


def test_a_fair_run_with_repeats_needs_no_remark():
    assert series.remarks(factory.document(factors=(1.0, 1.01))) == []


def test_published_tables_keep_their_order_and_take_ours_by_id():
    published = [
        {"id": "lambda/qwen3-coder-next/sglang/b200x2", "engine": "sglang"},
        {"id": "lambda/qwen3-coder-next/vllm/h100x4", "engine": "vllm"},
    ]
    found = tables.published_rows(series.group([factory.document(host="a"), factory.document(host="b")]), published)
    assert list(found) == ["sglang", "vllm"]
    assert found["sglang"][0].ours == ()
    assert [row.document["host"] for row in found["vllm"][0].ours] == ["a", "b"]
