# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which figures give no verdict, and that document, terminal, gates, report and regressions agree on it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jmespath
import pytest

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import remarks, table
from ansible_collections.inference.fleet.plugins.module_utils.history import regressions, textfile
from ansible_collections.inference.fleet.plugins.module_utils.reports import html, markdown, overview, tables
from ansible_collections.inference.fleet.plugins.module_utils.results import (
    comparison,
    quality,
    series,
    verdicts,
    words,
)
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

SCHEMA = json.loads((Path(next(iter(fleet.__path__))) / "docs" / "result.schema.json").read_text(encoding="utf-8"))
START = datetime(2026, 11, 1, tzinfo=timezone.utc)
MARK = "the server sends 3.10 tokens a chunk on average: ITL is the time between chunks, not between tokens"


def chunked(document):
    """Make a document one of a server that streams several tokens a chunk."""
    document["schema_version"] = 2
    document["streaming"] = {"tokens_per_chunk": 3.1, "itl_is_per_token": False, "speculation": None}
    for name, metric in document["metrics"].items():
        if name.endswith("itl_ms"):
            metric["mark"] = MARK
    return document


def run(factors=(0.7, 0.701, 0.699), day=0, **changes):
    """Return a run beside its published row."""
    document = factory.document(factors=factors, started=START + timedelta(days=day), published=None, **changes)
    return beside(document)


def beside(document):
    document["baselines"] = [comparison.with_published(comparison.published_row(document), document)]
    return document


def hot(document):
    text = "benchmark 1/3: GPU 0 was throttled: hw_slowdown for 60 s of 90 s"
    document["schema_version"] = 2
    document["quality"].update(warnings=[text], disturbed=[{"kind": "throttled", "text": text}], notes=[])
    return document


CASES = {
    "simulated": lambda: run(simulated=True),
    "cold": lambda: run(warm=False),
    "cold row": lambda: run(engine="vllm", profile="b200x2"),
    "another workload": lambda: run(num_prompts=64),
    "disturbed": lambda: beside(hot(run())),
}


def gates(document, *conditions):
    listed = [{"condition": condition, "message": "m"} for condition in conditions]
    return verdicts.judge(listed, document, jmespath.search)


@pytest.mark.parametrize("case", CASES)
def test_every_form_agrees_that_there_is_no_verdict(case):
    document = CASES[case]()
    compared = document["baselines"][0]["metrics"]
    assert {figure["verdict"] for figure in compared.values()} == {None}
    assert not any(word in table.summary_table(document) for word in ("% better", "% worse", "% same"))
    by_ratio, by_verdict, own = gates(
        document,
        "baselines[0].metrics.output_throughput.ratio >= `0.95`",
        "length(baselines[].metrics.output_throughput[] | [?verdict == 'worse']) == `0`",
        "metrics.output_throughput.mean >= `1`",
    )
    assert (by_ratio["passed"], by_verdict["passed"], own["passed"]) == (None, True, True)
    assert by_ratio["why"].startswith("lambda/")
    document["gates"] = [by_ratio]
    assert f"Gate not judged ({by_ratio['why']}): m" in table.summary_table(document)
    report = overview.report([document], PUBLISHED)
    assert not any(cell.verdict for cell in tables.row(document).cells)
    page = html.page(report, tables.text(report))
    assert 'class="ratio better"' not in page
    assert 'class="ratio worse"' not in page
    assert "Gates that the latest runs did not meet" not in page
    assert 'outcome="not_judged"} 1' in textfile.text([document])
    # What an older release wrote is not believed.
    for figure in compared.values():
        figure["verdict"] = "worse"
    assert not any(cell.verdict for cell in tables.row(document).cells)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"random_range_ratio": 0.25}, "random_range_ratio 0.25 (there none)"),
        ({"request_rate": 2.0}, "request_rate 2 (there none)"),
    ],
)
def test_what_only_the_run_was_asked_makes_it_another_workload(changed, said):
    document = run()
    document["workload"].update(changed)
    document = beside(document)
    (found,) = document["baselines"]
    assert not found["same_workload"]
    assert all(figure["verdict"] is None for figure in found["metrics"].values())
    assert said in " ".join(found["notes"])
    assert "Not the published workload: " in " ".join(series.remarks(document))
    assert words.workload(document["workload"]) != words.workload(run()["workload"])


def test_what_an_older_release_did_not_write_is_the_same_as_none_of_it():
    older, newer = run(), run(day=1)
    del older["workload"]["request_rate"]
    newer["workload"]["random_range_ratio"] = 0.0
    for one, other in ((older, newer), (newer, older)):
        assert comparison.with_run(one, other)["same_workload"]


def test_a_sound_run_has_verdicts_everywhere():
    document = run()
    assert document["baselines"][0]["metrics"]["output_throughput"]["verdict"] == "worse"
    (gate,) = gates(document, "baselines[0].metrics.output_throughput.ratio >= `0.95`")
    assert gate["passed"] is False
    assert tables.row(document).cells[0].verdict == "worse"


class TestChunks:
    def test_itl_gets_no_verdict_and_all_else_does(self):
        document = beside(chunked(run()))
        found = document["baselines"][0]
        for name, figure in found["metrics"].items():
            assert (figure["verdict"] is None) == name.endswith("itl_ms"), name
        assert "ITL is the time between chunks of several tokens: no verdict" in " ".join(found["notes"])
        printed = table.summary_table(document)
        assert [line.split("  ")[1] for line in printed.splitlines() if "*" in line] == [
            "ITL mean*, ms",
            "ITL mean p99*, ms",
        ]

    def test_nor_beside_an_earlier_run_of_which_it_is_so(self):
        found = comparison.with_run(chunked(run()), run(day=1))
        assert found["metrics"]["mean_itl_ms"]["verdict"] is None
        assert found["metrics"]["mean_tpot_ms"]["verdict"] == "same"

    def test_a_gate_on_it_is_not_judged(self):
        document = beside(chunked(run()))
        on_itl, on_tpot, on_verdict = gates(
            document,
            "metrics.mean_itl_ms.mean <= `1`",
            "metrics.mean_tpot_ms.mean <= `1`",
            "baselines[0].metrics.mean_itl_ms.ratio <= `1`",
        )
        assert (on_itl["passed"], on_tpot["passed"], on_verdict["passed"]) == (None, False, None)
        assert on_itl["why"] == MARK

    def test_the_report_marks_it(self):
        document = beside(chunked(run()))
        for figure in document["baselines"][0]["metrics"].values():
            figure["verdict"] = "worse"
        marked = [cell.metric.key for cell in tables.row(document).cells if cell.marked]
        assert marked == ["mean_itl_ms", "p99_itl_ms"]
        assert [cell.verdict for cell in tables.row(document).cells] == ["worse"] * 6 + ["", ""]
        report = overview.report([document], PUBLISHED)
        text = tables.text(report)
        number = tables.row(document).cells[-2].text
        assert number.endswith("*")
        for form in (text, html.page(report, text), markdown.page(report).replace("\\", "")):
            assert number in form
            assert "* the server sends 3.10 tokens a chunk" in " ".join(form.split()).replace("* The", "* the")

    def test_it_is_not_watched(self):
        """A draft model that comes makes the gaps three times as long, and nobody slower."""
        runs = [run((1.0, 1.001), day) for day in range(10)]
        for day in range(10, 14):
            document = chunked(run((1.0, 1.001), day))
            for name in ("mean_itl_ms", "p99_itl_ms"):
                document["metrics"][name] = {**factory.summary(name, [43.0]), "mark": MARK}
            runs.append(document)
        assert regressions.find(runs).regressions == ()
        assert 'metric="mean_itl_ms"' not in textfile.text(runs)
        assert 'measure="chunk_gap",statistic="mean"} 0.043' in textfile.text(runs)
        assert 'measure="itl"' not in textfile.text(runs)
        for document in runs[10:]:
            document["streaming"]["itl_is_per_token"] = True
        assert {item.metric for item in regressions.find(runs).regressions} == {"mean_itl_ms"}


class TestDisturbances:
    def test_what_is_written_is_what_is_read(self):
        kinds = SCHEMA["$defs"]["quality"]["properties"]["disturbed"]["items"]["properties"]["kind"]["enum"]
        assert set(kinds) == set(quality.KINDS)
        written = {
            kind for kind in (*quality.KINDS, remarks.NOTE, remarks.DOUBT) if remarks.Remark(kind, "x").disturbing
        }
        assert written == set(quality.KINDS)

    @pytest.mark.parametrize(("kind", "left_out"), quality.KINDS.items())
    def test_each_is_left_out_or_is_not(self, kind, left_out):
        document = run()
        document["quality"] = {"failed": 0, "completed": 1, **remarks.told([remarks.Remark(kind, "why it was")])}
        assert quality.disturbed(document) == ("why it was" if left_out else None)
        assert (beside(document)["baselines"][0]["metrics"]["output_throughput"]["verdict"] is None) == left_out

    def test_an_earlier_run_that_was_disturbed_is_no_measure(self):
        found = comparison.with_run(hot(run()), run(day=1))
        assert {figure["verdict"] for figure in found["metrics"].values()} == {None}
        assert "was disturbed, no verdict on it: GPU 0 was throttled" in " ".join(found["notes"])


class TestLimits:
    def test_goodput_under_others_gets_none_and_they_are_named(self):
        pair = [run(slo={"ttft_ms": limit}) for limit in (2000.0, 500.0)]
        for document, goodput in zip(pair, (1.8, 0.4), strict=True):
            document["metrics"]["request_goodput"] = {
                **factory.summary("output_throughput", [goodput]),
                "unit": "req/s",
            }
        found = comparison.with_run(*pair)
        assert found["metrics"]["request_goodput"]["verdict"] is None
        assert f"ttft 500 ms here, ttft 2000 ms in {pair[0]['run_id']}" in " ".join(found["notes"])

    def test_a_run_of_another_subject_is_named_and_not_compared(self):
        other, mine = run(slo={"ttft_ms": 2000.0}), run(slo={"ttft_ms": 500.0}, day=1)
        mine["engine"]["argv"] = [*mine["engine"]["argv"], "--enforce-eager"]
        found = comparison.not_compared(other, mine)
        assert found["metrics"] == {}
        assert found["notes"] == [
            f"Not compared with {other['run_id']}, the newest run before this one: configuration --enforce-eager "
            "(there none of these); limits ttft 500 ms (there ttft 2000 ms)."
        ]
        mine["baselines"] = [found]
        assert "Not compared with" in table.summary_table(mine)
        html.page(overview.report([mine], PUBLISHED), "")
