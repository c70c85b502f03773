# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three answers of a report's first screen."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept
from ansible_collections.inference.fleet.plugins.module_utils.history import absence, regressions
from ansible_collections.inference.fleet.plugins.module_utils.reports import (
    answers,
    fleet,
    markdown,
    overview,
    rent,
    summary,
)
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

START = datetime(2026, 11, 1, tzinfo=timezone.utc)


def report(*documents, found=None):
    return overview.report(documents, [], found=found)


def health(found):
    return fleet.health(found, fleet.news(found))


def test_hosts_that_are_not_well_are_named_with_cause_and_time():
    documents = factory.fleet(40, 25)
    wanted = absence.Wanted(
        ("gpu00", "gpu41"), datetime(2026, 11, 26, tzinfo=timezone.utc), 26, {"gpu41": "unreachable: no route to host"}
    )
    found = report(*documents, found=regressions.find(documents, wanted=wanted))
    (state,) = health(found)
    assert state.sentence == "38 of 41 hosts well"
    troubles = {host: items[0] for host, items in state.unwell}
    assert list(troubles) == ["gpu03", "gpu07", "gpu41"]
    assert troubles["gpu03"].size == "\N{MINUS SIGN}10.0 %"
    assert troubles["gpu03"].moment == "since 2026-11-17 00:21 UTC"
    assert "With it: driver 570.124.06 to 580.65.06." in troubles["gpu03"].text
    # Always slower: when it began is not known.
    assert troubles["gpu07"].moment.startswith("last seen 2026-11-25")
    assert "no route to host" in troubles["gpu41"].text
    moments = [item.since or "" for item in fleet.news(found)]
    assert moments == sorted(moments, reverse=True)


def test_what_somebody_accepted_makes_no_host_unwell():
    documents = factory.fleet(16, 25)
    open_ = report(*documents)
    found = open_.found
    accepted = report(*documents, found=replace(found, regressions=(), acknowledged=found.regressions))
    assert len(health(open_)[0].unwell) == 2
    assert health(accepted)[0].unwell == ()
    assert {item.tone for item in fleet.news(accepted)} == {fleet.KNOWN}


def test_a_host_that_nobody_measures_any_more_is_not_well():
    old = [factory.document(host="old", started=START - timedelta(days=day)) for day in (90, 91)]
    (state,) = health(report(*reversed(old), factory.document(host="new", started=START)))
    assert state.sentence == "1 of 2 hosts well"
    ((host, (item,)),) = state.unwell
    assert (host, item.size, item.since) == ("old", "no run", "2026-08-03T00:00:00Z")


def test_failed_requests_and_missed_gates_are_told():
    run = factory.document()
    run["quality"]["failed"] = 3
    run["gates"] = [{"passed": False, "message": "too slow"}, {"passed": None, "message": "nothing to rest on"}]
    (item,) = fleet.news(report(run))
    assert "3 of 515 requests failed." in item.text
    assert "A gate was not met: too slow." in item.text
    assert "rest on" not in item.text


def test_rehearsed_hosts_are_counted_apart():
    rehearsal = factory.document(host="rehearsal", simulated=True)
    rehearsal["quality"]["failed"] = 1
    measured, rehearsed = health(report(factory.document(), rehearsal))
    assert (measured.simulated, measured.sentence) == (False, "1 of 1 host well")
    assert (rehearsed.simulated, rehearsed.sentence) == (True, "0 of 1 rehearsed host well")
    assert measured.caveat == "No history is long enough yet to tell a host that becomes slower."
    # What a measured host rehearsed is not its own.
    both = factory.document(simulated=True, started=START)
    both["quality"]["failed"] = 1
    assert health(report(both, factory.document()))[0].unwell == ()


def priced(host, output, tpot=14.0, price=10.0, **changes):
    run = factory.document(host=host, **changes)
    run["metrics"]["output_throughput"] = factory.summary("output_throughput", [output])
    run["metrics"]["mean_tpot_ms"] = factory.summary("mean_tpot_ms", [tpot])
    return factory.costs(run, price, 2200.0)


def choice(*documents):
    return [item.sentence for item in rent.choices(rent.table(report(*documents).every))]


def test_the_cheapest_is_measured_warm_and_undisturbed():
    dear = priced("dear", 2000.0)
    assert choice(dear, priced("cheap", 4000.0, engine="sglang"))[0].startswith(
        "SGLang on 4\N{MULTIPLICATION SIGN} H100"
    )
    for spoilt in (
        priced("cheap", 4000.0, engine="sglang", simulated=True),
        priced("cheap", 4000.0, engine="sglang", warm=False),
        priced("cheap", 4000.0, engine="sglang"),
    ):
        if not spoilt["simulated"] and spoilt["warm"]:
            spoilt["quality"]["failed"] = 1
        (said,) = choice(dear, spoilt)
        assert said.startswith("vLLM on 4\N{MULTIPLICATION SIGN} H100, 0.32.0, 32 at once: 1.39 US$"), said
        assert {row.best.why_not != "" for row in rent.table(report(dear, spoilt).every)} == {True, False}
    assert choice(priced("cheap", 4000.0, simulated=True)) == []


def test_requests_of_another_shape_are_another_question():
    other = priced("other", 9000.0, engine="sglang")
    other["workload"]["output_length"] = 128
    assert len(choice(priced("one", 2000.0), other)) == 2


def test_a_sweeps_loads_are_one_row_in_the_order_of_their_price():
    run = factory.swept(factory.costs(factory.document(), 16.36, 2200.0), factory.SWEEP)
    (row,) = rent.table(report(run).every)
    assert [offer.load for offer in row.offers] == ["8", "32", "64", "128"]
    assert min(row.offers, key=lambda offer: offer.order).load == "128"
    assert row.best.load == "128"
    assert [point.pareto for point in rent.curve(row).points] == [True, True, False, True]


def test_versions_are_rows_of_their_own_and_hosts_are_not():
    newer = factory.document(host="c")
    newer["engine"]["version"] = "0.33.0"
    rows = rent.table(report(factory.document(host="a"), factory.document(host="b"), newer).every)
    assert sorted((row.version, row.best.hosts) for row in rows) == [("0.32.0", 2), ("0.33.0", 1)]


def test_a_disturbed_host_says_nothing_where_another_was_not():
    hot = factory.document(host="hot", factors=(0.5,))
    hot["quality"]["warnings"] = ["GPU 0 was throttled: hw_thermal_slowdown"]
    (row,) = rent.table(report(factory.document(), hot).every)
    assert (row.best.hosts, row.best.why_not) == (1, "")
    assert row.best.figures["tpot_ms"] == pytest.approx(14.21)
    (row,) = rent.table(report(hot).every)
    assert row.best.why_not.startswith("the run was disturbed: GPU 0")


@pytest.mark.parametrize(
    ("argv", "model", "found"),
    [
        (["--dtype=bfloat16", "--kv-cache-dtype", "fp8"], "a/b-FP8", "dtype bfloat16, kv-cache-dtype fp8"),
        (["--dtype", "auto"], "a/b-FP8", "FP8"),
        ([], "fp8/plain", ""),
    ],
)
def test_precision(argv, model, found):
    assert rent.precision({"engine": {"argv": argv}, "model": {"id": model}}) == found


def test_the_page_can_keep_every_limit_that_a_slider_has():
    run = factory.swept(factory.document(), factory.SWEEP)
    data = answers.screen(report(run), str)["data"]
    steps = data["limits"][0]["steps"]
    tpots = [offer["limited"][0] for row in data["rows"] for offer in row["offers"]]
    assert steps == sorted(steps)
    # Each load keeps the limit that is made of it.
    assert all(any(tpot <= step <= tpot * 1.1 + 0.1 for step in steps) for tpot in tpots)


def test_machines_and_chats_get_the_same_answers():
    slow, fast = priced("slow", 2000.0), priced("fast", 4000.0, engine="sglang")
    rehearsal = priced("rehearsal", 9000.0, simulated=True)
    slow["quality"]["failed"] = 1
    found = report(slow, fast, rehearsal)
    told = json.loads(summary.text(found))
    assert [(part["simulated"], part["hosts"], part["well"]) for part in told["fleet"]] == [
        (False, 2, 1),
        (True, 1, 1),
    ]
    assert told["fleet"][0]["unwell"] == ["slow"]
    assert [(item["host"], item["tone"]) for item in told["changed"]] == [("slow", "worse")]
    assert [row["offers"][0]["why_not"] for row in told["rent"]] == [
        None,
        "requests of the run failed",
        "the run is simulated",
    ]
    assert [row["configuration"][:6] for row in told["cheapest"]] == ["SGLang"]

    text = markdown.page(found, whole=False)
    assert "**1 of 2 hosts well**" in text
    assert "- slow: **failed**" in text
    assert told["cheapest"][0]["sentence"].replace("$", "\\$") in text
    assert all("SIMULATED" in line for line in text.splitlines() if "the run is simulated" in line)
    assert len(text) < 2500


def test_a_row_has_the_scores_of_its_own_engine_model_and_host():
    run = factory.document()
    (row,) = rent.table(report(run).every)
    evaluation = {
        **{key: run[key] for key in ("host", "simulated", "engine", "model")},
        "benchmark": {"name": "human_eval"},
        "score": {"value": 0.905},
    }
    others = [
        {**evaluation, "host": "elsewhere"},
        {**evaluation, "simulated": True},
        {**evaluation, "model": {"id": "another"}},
        {**evaluation, "engine": {**run["engine"], "version": "0.31.0"}},
    ]
    told = [kept.Told(document, None, None) for document in (evaluation, *others)]
    assert [score.text for score in rent.scores(row, told)] == ["human_eval 90.5 %"]
    assert rent.scores(row, told[1:]) == ()
