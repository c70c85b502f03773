# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.reports import cohorts, overview, tables
from ansible_collections.inference.fleet.plugins.module_utils.results import series
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

START = datetime(2026, 11, 1, tzinfo=timezone.utc)


def text_of(*documents):
    return tables.text(overview.report(documents, []))


def test_runs_of_one_series_differ_only_in_time_and_seed():
    first = factory.document(started=START)
    second = factory.document(started=START + timedelta(days=1))
    second["workload"]["seed"] = 7

    (group,) = series.group(series.all_series([first, second]))

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
    groups = series.group(series.all_series([factory.document(), factory.document(**change)]))
    assert sum(len(group.series) for group in groups) == 2


def test_measured_stands_before_simulated():
    (group,) = series.group(series.all_series([factory.document(host="a", simulated=True), factory.document(host="z")]))
    assert [item.latest["host"] for item in group.series] == ["z", "a"]


def test_text_shows_measured_published_and_ratio_in_80_columns():
    text = text_of(factory.document(factors=(0.5,)))

    lines = text.splitlines()
    assert "  measured     1,072   9,645   1,903    8,622    28.4     30.8    28.4      239" in lines
    assert "  published    2,180  19,617     933    4,268      14       15      14      117" in lines
    assert "  ratio         0.49    0.49    2.04     2.02    2.03     2.05    2.03     2.04" in lines
    assert "SIMULATED" not in text
    assert max(map(len, lines)) <= 80


def test_text_marks_what_is_simulated_in_every_line_of_its_figures():
    text = text_of(factory.document(simulated=True, num_prompts=64))
    assert "\nSIMULATED gpu1: vLLM on 4\N{MULTIPLICATION SIGN} H100" in text
    assert "\n  simulated    2,144" in text
    assert "measured  " not in text
    assert "64 prompts instead of 512" in " ".join(text.split())


def test_text_without_a_published_row():
    text = text_of(factory.document(profile="cpu", published=None))
    assert "No published row for vLLM on CPU with this model." in text
    assert "ratio" not in text


def test_text_cannot_be_hijacked():
    text = text_of(factory.document(host="\x1b[2Jgpu", model="a\nb\u202e"))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "a b" in text


def test_text_with_a_missing_metric():
    document = factory.document()
    del document["metrics"]["p99_itl_ms"]
    assert text_of(document)


def test_verdicts_only_where_the_comparison_is_fair():
    def verdicts(**changes):
        document = factory.document(factors=(1.39, 1.4, 1.41), **changes)
        return {cell.verdict for cell in tables.row(document).cells}

    assert verdicts() == {"better"}
    assert verdicts(simulated=True) == {""}
    assert verdicts(num_prompts=64) == {""}
    assert verdicts(cold_baseline=True) == {""}
    assert verdicts(warm=False) == {""}


def test_lower_throughput_and_higher_latency_are_worse():
    assert {cell.verdict for cell in tables.row(factory.document(factors=(0.69, 0.7, 0.71))).cells} == {"worse"}


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
    (group,) = series.group(series.all_series([factory.document(host="a"), factory.document(host="b")]))
    found = tables.published_rows(cohorts.cohorts(group), published)
    assert list(found) == ["sglang", "vllm"]
    assert found["sglang"][0].ours == ()
    assert [row.document["host"] for row in found["vllm"][0].ours] == ["a", "b"]


def fleet(*factors, **changes):
    """Return one document of each of as many hosts, h0 first."""
    found = [factory.document(host=f"h{place}", factors=each, **changes) for place, each in enumerate(factors)]
    (group,) = series.group(series.all_series(found))
    (cohort,) = cohorts.cohorts(group)
    return cohort


def test_many_hosts_are_told_by_their_median_the_fastest_and_the_slowest():
    cohort = fleet((1.0,), (1.2,), (0.8,), (1.1,), (0.9,))
    rows = tables.rows(cohort)
    assert [(row.name, row.note) for row in rows] == [
        ("5 hosts", "median of their latest runs"),
        ("h1", "the fastest"),
        ("h2", "the slowest"),
    ]
    first = rows[0].cells[0]
    assert (first.value, first.ratio) == (2143.7, pytest.approx(2143.7 / 2180))
    assert [row.name for row in tables.rows(cohort, few=5)] == ["h0", "h1", "h2", "h3", "h4"]


def test_hosts_beat_the_published_row_together_only_where_each_does():
    fast, slow = (1.39, 1.4, 1.41), (0.69, 0.7, 0.71)
    assert {cell.verdict for cell in tables.cohort_row(fleet(fast, fast)).cells} == {"better"}
    assert {cell.verdict for cell in tables.cohort_row(fleet(fast, slow)).cells} == {""}


def test_what_is_said_of_several_hosts_is_said_once():
    remarks = tables.cohort_row(fleet((1.0,), (1.0,), (1.0, 1.0))).remarks
    assert remarks == ("2 of 3 hosts: One repeat: how much this result varies is not known.",)


def test_the_printed_table_of_a_fleet_stays_short():
    documents = [factory.document(host=f"h{place:02}", factors=(1 + place / 100,)) for place in range(40)]
    text = text_of(*documents)
    assert "40 hosts, median of their latest runs: vLLM" in text
    assert "h39, the fastest: vLLM" in text
    assert "h00, the slowest: vLLM" in text
    assert len(text.splitlines()) < 30


def test_a_run_with_a_sweep_is_ranked_by_its_first_point():
    """Its later points are in no rank of this one."""
    report = overview.report([factory.swept(factory.document(), factory.SWEEP), factory.document(host="other")], [])
    ranks = [[item.series.latest["host"] for item in cohort.ranking] for cohort in report.cohorts]
    assert sorted(ranks) == [["gpu1"], ["other"]]
