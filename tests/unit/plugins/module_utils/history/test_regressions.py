# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import math
import random
from datetime import date, datetime, timedelta, timezone
from itertools import chain

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.history import acknowledged, regressions, steps
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.history import synthetic
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

START = datetime(2026, 9, 1, 2, tzinfo=timezone.utc)


def runs(speeds, host="gpu1", seed=0, **changes):
    """Return one run a day of a host, each with the speed of its day and a little noise."""
    chance = random.Random(f"{host}{seed}")
    return [
        factory.document(
            host=host,
            started=START + timedelta(days=day),
            factors=tuple(speed * chance.gauss(1, 0.003) for _repeat in range(3)),
            **changes,
        )
        for day, speed in enumerate(speeds)
    ]


def found(documents, *acknowledgements, **options):
    return regressions.find(documents, acknowledged.parse(list(acknowledgements), "test"), **options)


def throughput(result):
    return [item for item in result.regressions if item.metric == "output_throughput"]


class TestSteps:
    def row(self, *levels, seed=1, noise=0.006):
        chance = random.Random(seed)
        return [math.log(level) + chance.gauss(0, noise) for level, count in levels for _day in range(count)]

    def test_steps_of_both_directions_are_found_where_they_are(self):
        values = self.row((1, 10), (0.95, 10), (1.02, 10))
        one, two = steps.steps(values, 0.005, 0.015)
        assert [steps.place(values, step) for step in (one, two)] == [10, 20]
        assert [one.size, two.size] == [pytest.approx(math.log(0.95), abs=0.008), pytest.approx(0.071, abs=0.008)]
        assert one.seen_at <= 13

    def test_a_single_figure_that_is_far_off_is_none(self):
        values = self.row((1, 12), (0.6, 1), (1, 6), (0.5, 1), (1, 5))
        assert steps.steps(values, 0.005, 0.015) == []
        # Where one is asked to do, it does.
        assert steps.steps(values, 0.005, 0.015, confirm=1)[0].index == 12

    def test_two_of_three_that_are_far_off_are_none(self):
        values = self.row((1, 12), (0.8, 1), (1, 1), (0.8, 1))
        assert steps.steps(values, 0.005, 0.015) == []
        assert steps.steps([*values, math.log(0.8)], 0.005, 0.015)

    def test_the_size_of_a_step_that_counts_is_given(self):
        values = self.row((1, 20), (0.95, 10))
        assert steps.steps(values, 0.005, 0.015)
        assert steps.steps(values, 0.005, 0.08) == []
        assert steps.steps(values, 0.05, 0.015) == []

    def test_a_row_too_short_has_none(self):
        assert steps.steps(self.row((1, 4), (0.5, 2)), 0.005, 0.015) == []
        assert steps.steps([], 0.005, 0.015) == []

    def test_a_slow_slide_is_seen_in_the_end(self):
        values = [-0.001 * day + value for day, value in enumerate(self.row((1, 60)))]
        assert steps.steps(values, 0.005, 0.015)


class TestSteady:
    def test_a_steady_host_is_let_be(self):
        result = found(runs([1.0] * 15))
        assert (result.regressions, result.suspected, result.watched, result.young) == ((), (), 1, 0)

    def test_an_empty_history(self):
        assert found([]) == regressions.Found()

    def test_a_young_series_is_counted(self):
        result = found([*runs([1.0] * 3 + [0.5] * 3), *runs([1] * 9, host="gpu2")])
        assert (result.regressions, result.watched, result.young) == ((), 2, 1)

    def test_better_is_no_regression_but_what_comes_after_is_held_to_it(self):
        up = [1.0] * 8 + [1.1] * 8
        assert found(runs(up)).regressions == ()
        (item,) = throughput(found(runs([*up, 1.0, 1.0, 1.0])))
        assert item.change_percent == pytest.approx(-9.1, abs=0.7)


class TestARegression:
    @pytest.fixture
    def documents(self):
        documents = runs([1.0] * 10 + [0.94] * 4)
        for document in documents[10:]:
            document["hardware"]["driver_version"] = "575.57.08"
            document["engine"]["argv"] = ["--enforce-eager", *document["engine"]["argv"]]
            document["engine"]["image"]["digest"] = "sha256:" + "9" * 64
            document["hardware"]["gpus"] = [{**gpu, "power_limit_w": 500.0} for gpu in document["hardware"]["gpus"]]
        for document in documents[:10]:
            document["hardware"]["gpus"] = [{**gpu, "power_limit_w": 700.0} for gpu in document["hardware"]["gpus"]]
        return documents

    def test_says_what_since_when_and_what_changed(self, documents):
        result = found(reversed(documents))
        metrics = [item.metric for item in result.regressions]
        assert metrics == ["output_throughput", "mean_ttft_ms", "mean_tpot_ms", "mean_itl_ms"]
        item = result.regressions[0]
        assert (item.kind, item.host, item.unit, item.runs) == ("step", "gpu1", "tok/s", 4)
        assert item.change_percent == pytest.approx(-6, abs=0.5)
        assert (item.since_run, item.last_good_run) == (documents[10]["run_id"], documents[9]["run_id"])
        assert [part["what"] for part in item.changed] == [
            "image digest",
            "engine arguments",
            "driver",
            "GPU power limit (W)",
        ]
        assert item.sentence.startswith("gpu1, vLLM on 4\N{MULTIPLICATION SIGN} H100: Output 6.")
        assert "since 2026-09-11 02:00 UTC" in item.sentence
        assert "driver 570.124.06 \N{RIGHTWARDS ARROW} 575.57.08" in item.sentence
        assert "engine arguments none \N{RIGHTWARDS ARROW} --enforce-eager" in item.sentence
        slower = result.regressions[2]
        assert slower.change_percent == pytest.approx(6.4, abs=0.6)
        assert "higher" in slower.sentence
        json.dumps(result.as_dict(), allow_nan=False)

    def test_of_one_figure_alone(self):
        documents = runs([1.0] * 14)
        for document in documents[10:]:
            document["metrics"]["mean_ttft_ms"] = factory.summary("mean_ttft_ms", [1200.0, 1210.0, 1190.0])
        (item,) = found(documents).regressions
        assert item.metric == "mean_ttft_ms"
        assert item.change_percent == pytest.approx(26, abs=2)
        assert item.sentence.endswith("Nothing that is recorded changed with it.")
        assert found(documents, least={"mean_ttft_ms": 40}).regressions == ()
        assert found(documents, least={"output_throughput": 1.5}).regressions == ()

    def test_one_bad_run_is_suspected_and_a_second_confirms_it(self):
        result = found(runs([1.0] * 10 + [0.9]))
        assert result.regressions == ()
        (suspected,) = result.suspected
        assert "Output 10." in suspected
        assert "TPOT mean 11." in suspected
        assert suspected.endswith("2 such runs in a row would be a regression.")
        assert throughput(found(runs([1.0] * 10 + [0.9] * 2)))
        assert throughput(found(runs([1.0] * 10 + [0.9]), confirm=1))
        assert found(runs([1.0] * 10 + [0.9, 1.0])).suspected == ()

    @pytest.mark.parametrize(
        "speeds", [[0.9] * 3 + [1.0] * 4, [0.9] * 2 + [1.0] * 4, [0.9] * 10 + [1.0] * 3, [0.9] * 3 + [0.99] * 5]
    )
    def test_one_that_is_over_is_told_no_more(self, speeds):
        assert throughput(found(runs([1.0] * 10 + speeds[:3])))
        assert throughput(found(runs([1.0] * 10 + speeds))) == []

    def test_one_that_grows_is_told_from_its_beginning(self):
        documents = runs([1.0] * 10 + [0.95] * 8 + [0.9] * 4)
        (item,) = throughput(found(documents))
        assert item.since_run == documents[10]["run_id"]
        assert item.change_percent < -5

    def test_one_after_a_false_one_is_told_from_its_own_beginning(self):
        documents = runs([1.0] * 10 + [0.9, 0.9] + [1.0] * 8 + [0.94] * 3)
        (item,) = throughput(found(documents))
        assert item.since_run == documents[20]["run_id"]
        assert item.change_percent == pytest.approx(-6, abs=0.7)

    def test_siblings_that_share_it_are_counted(self):
        hosts = [runs([1.0] * 10 + [0.94 if number < 3 else 1.0] * 3, host=f"gpu{number}") for number in range(5)]
        sentences = [item.sentence for item in throughput(found(chain.from_iterable(hosts)))]
        assert len(sentences) == 3
        assert all(sentence.endswith(" 2 of its 4 siblings became slower too.") for sentence in sentences)

    def test_a_simulated_one_says_so(self):
        (item,) = throughput(found(runs([1.0] * 10 + [0.9] * 3, simulated=True)))
        assert item.simulated
        assert item.sentence.startswith("SIMULATED gpu1")

    def test_a_host_that_is_gone_is_watched_no_more(self):
        gone = runs([1.0] * 10 + [0.9] * 3)
        late = runs([1.0] * 60, host="gpu2")
        assert found([*gone, *late]).regressions == ()
        assert throughput(found([*gone, *late], max_age=60))


class TestSlowerThanSiblings:
    def fleet(self, slow, **changes):
        hosts = [*(runs([1.0] * len(slow), host=f"gpu{number}") for number in range(5)), runs(slow, "slow", **changes)]
        return list(chain.from_iterable(hosts))

    def test_in_each_of_the_last_runs(self):
        (item,) = found(self.fleet([0.9] * 3)).regressions
        assert (item.kind, item.host, item.runs) == ("siblings", "slow", 2)
        assert item.change_percent == pytest.approx(-10, abs=1)
        assert "below the median of its 5 siblings" in item.sentence
        assert found(self.fleet([1.0, 1.0, 0.9])).regressions == ()
        assert found(self.fleet([0.9])).regressions == ()

    def test_only_of_the_same_versions(self):
        documents = self.fleet([0.9] * 3)
        for document in documents:
            if document["host"] == "slow":
                document["engine"]["version"] = "0.1"
        assert found(documents).regressions == ()

    def test_what_is_told_as_a_step_is_not_told_twice(self):
        result = found(self.fleet([1.0] * 8 + [0.9] * 3))
        assert [(item.kind, item.host) for item in throughput(result)] == [("step", "slow")]

    def test_acknowledged(self):
        accepted = {"host": "slow", "kind": "siblings", "reason": "an older board"}
        result = found(self.fleet([0.9] * 3), accepted)
        assert (result.regressions, len(result.acknowledged), result.unused) == ((), 1, ())


class TestAcknowledged:
    @pytest.mark.parametrize("since", ["run", "2026-09-11", date(2026, 9, 11), "2026-09-10"])
    @pytest.mark.parametrize("host", ["gpu1", "gpu*"])
    def test_is_told_no_more_and_is_what_later_runs_are_held_to(self, since, host):
        documents = runs([1.0] * 10 + [0.94] * 8)
        since = documents[10]["run_id"] if since == "run" else since
        accepted = {"host": host, "since": since, "reason": "power limit lowered"}
        result = found(documents, accepted)
        assert result.regressions == ()
        assert {item.metric for item in result.acknowledged} == {
            "output_throughput",
            "mean_ttft_ms",
            "mean_tpot_ms",
            "mean_itl_ms",
        }
        assert result.unused == ()
        (further,) = throughput(found(runs([1.0] * 10 + [0.94] * 8 + [0.9] * 3), accepted))
        assert further.change_percent == pytest.approx(-4.3, abs=0.7)

    @pytest.mark.parametrize(
        "other",
        [
            {"host": "gpu2"},
            {"metric": "p99_ttft_ms"},
            {"since": "2026-09-02"},
            {"since": "20260911T020000Z-gpu1-ffffff"},
            {"kind": "siblings"},
        ],
    )
    def test_another_one_is_not(self, other):
        accepted = {"host": "gpu1", "since": "2026-09-11", "reason": "why", **other}
        result = found(runs([1.0] * 10 + [0.94] * 8), accepted)
        assert throughput(result)
        assert len(result.unused) == 1

    def test_one_metric(self):
        accepted = {"host": "gpu1", "since": "2026-09-11", "reason": "why", "metric": "output_throughput"}
        result = found(runs([1.0] * 10 + [0.94] * 8), accepted)
        assert [item.metric for item in result.regressions] == ["mean_ttft_ms", "mean_tpot_ms", "mean_itl_ms"]

    def test_an_accepted_step_is_not_slower_than_the_siblings(self):
        hosts = [*(runs([1.0] * 14, host=f"gpu{number}") for number in range(5)), runs([1.0] * 10 + [0.9] * 4, "slow")]
        accepted = {"host": "slow", "since": "2026-09-11", "reason": "power limit lowered"}
        assert throughput(found(chain.from_iterable(hosts))) != []
        assert found(chain.from_iterable(hosts), accepted).regressions == ()

    @pytest.mark.parametrize(
        ("items", "message"),
        [
            ({"host": "a"}, "wanted a list"),
            (["gpu1"], "here, number 1: wanted host, since and reason"),
            ([{"host": "gpu1", "reason": "x"}], "number 1: since must be given"),
            ([{"host": "gpu1", "since": "2026-09-11"}], "reason must be given"),
            ([{"host": "a", "since": "yesterday", "reason": "x"}], "since is 'yesterday', wanted a run id or a day"),
            ([{"host": "a", "since": "2026-09-11", "reason": "x", "metrics": 1}], "metrics means nothing here"),
            (
                [{"host": "a", "reason": "x", "kind": "both"}],
                "kind is 'both', wanted step, siblings, disturbed, absent, sick or worse",
            ),
        ],
    )
    def test_what_is_none_is_said(self, items, message):
        with pytest.raises(FleetError, match=message):
            acknowledged.parse(items, "here")


def test_the_rates_that_are_documented():
    rates = synthetic.replay(seed=3)
    assert rates.within(0.10, 3) == 1
    assert rates.within(0.05, 4) >= 0.8
    # Of hosts that lost nothing, a night's word is wrong in less than 1 of 200.
    assert rates.nights > 500
    assert rates.told / rates.nights < 0.005
    # When it began is known to the run.
    assert set(rates.off[0.10]) == {0}
    assert {abs(runs) for runs in rates.off[0.05]} <= {0, 1}
