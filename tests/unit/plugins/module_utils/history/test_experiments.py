# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories in which a loss was missed, or one was told that was none."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from itertools import chain

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.history import absence, acknowledged, regressions
from ansible_collections.inference.fleet.plugins.module_utils.reports import overview, tables
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

START = datetime(2026, 9, 1, 2, tzinfo=timezone.utc)
HOT = "benchmark 1/3: GPU 0 was throttled: sw_thermal_slowdown in 64 % of the samples, SM clock 610 MHz on average"


def runs(speeds, host="gpu1", hour=0, first=0, change=None, **options):
    chance, found = random.Random(f"{host}{hour}"), []
    for day, speed in enumerate(speeds):
        document = factory.document(
            host=host,
            started=START + timedelta(days=first + day, hours=hour),
            factors=tuple(speed * chance.gauss(1, 0.003) for _repeat in range(3)),
            **options,
        )
        if change:
            change(document, day)
        found.append(document)
    return found


def found(*histories, **options):
    return regressions.find(list(chain.from_iterable(histories)), **options)


def throughput(result):
    return [item for item in result.regressions if item.metric == "output_throughput"]


class TestSubjects:
    def test_two_engines_of_one_model_on_one_host_are_two(self):
        def second(document, _day):
            document["engine"]["url"] = "http://127.0.0.1:8001"

        (item,) = throughput(found(runs([1.0] * 12), runs([0.9] * 8 + [0.765] * 4, hour=1, change=second)))
        assert item.slot == "8001"
        assert item.change_percent == pytest.approx(-15, abs=1)

    def test_a_host_that_takes_turns_is_two(self):
        def turns(document, day):
            if day % 2:
                document["engine"]["argv"] = [*document["engine"]["argv"], "--enforce-eager"]

        result = found(runs([1.0, 0.8] * 12, change=turns))
        assert (result.regressions, result.suspected, result.watched) == ((), (), 2)

    def test_a_loss_of_one_configuration_is_found_between_the_other_ones_runs(self):
        def turns(document, day):
            if day % 2:
                document["engine"]["argv"] = [*document["engine"]["argv"], "--enforce-eager"]

        (item,) = throughput(found(runs([1.0, 0.8] * 10 + [1.0, 0.7] * 4, change=turns)))
        assert item.change_percent == pytest.approx(-12.5, abs=1)

    def test_a_point_of_a_sweep_is_watched(self):
        def swept(document, day):
            lost = 0.7 if day > 10 else 1 + 0.002 * (day % 3)
            factory.sweep(document, {32: (2143.7, 14.2), 128: (3900.0 * lost, 30.0 / lost)})

        result = found(runs([1.0] * 14, change=swept))
        assert {item.workload for item in result.regressions} == {"8,192 in, 1,024 out, 512 prompts, 128 at once"}
        assert throughput(result)[0].change_percent == pytest.approx(-30, abs=1)

    def test_a_page_names_the_point_and_keeps_its_tables(self):
        def swept(document, day):
            factory.sweep(document, {32: (2143.7, 14.2), 128: (3900.0 * (0.7 if day > 10 else 1), 30.0)})

        report = overview.report(runs([1.0] * 14, change=swept), ())
        assert len(report.groups) == 1
        assert "gpu1, 8,192 in, 1,024 out, 512 prompts, 128 at once: Output throughput" in " ".join(
            tables.text(report).split()
        )


class TestSiblings:
    """One finding: the page, the regressions and the metrics all show it."""

    def told(self, *histories):
        documents = list(chain.from_iterable(histories))
        report = overview.report(sorted(documents, key=lambda run: run["started_at"]), ())
        result = regressions.find(documents)
        slow = [item.subject for item in result.regressions if item.kind == "siblings"]
        assert [item.finding.subject for item in report.slower] == slow
        return [item.host for item in result.regressions if item.kind == "siblings"]

    def test_a_rolling_upgrade_makes_nobody_slow(self):
        def upgraded(document, day):
            if day >= 9:
                document["engine"]["version"] = "0.33.0"
                document["engine"]["image"]["digest"] = "sha256:" + "77" * 32

        fast = [runs([1.0] * 9 + [1.08], host=f"new{number}", change=upgraded) for number in range(5)]
        old = [runs([1.0] * 10, host=f"old{number}") for number in range(5)]
        assert self.told(*fast, *old) == []

    def test_a_host_that_was_last_seen_long_ago_is_nobodys_sibling(self):
        late = [runs([1.0] * 3, host=f"gpu{number}", first=60) for number in range(5)]
        assert self.told(*late, runs([0.8] * 3, host="gone")) == []

    def test_a_slow_one_is_told_everywhere(self):
        fleet = [runs([1.0] * 3, host=f"gpu{number}") for number in range(5)]
        assert self.told(*fleet, runs([0.9] * 3, host="slow")) == ["slow"]


class TestDisturbed:
    def hot(self, from_day, until=99):
        def change(document, day):
            if from_day <= day < until:
                document["quality"]["warnings"].append(HOT)

        return change

    def test_one_hot_run_is_left_out_and_quoted(self):
        result = found(runs([1.0] * 12 + [0.36], change=self.hot(12)))
        assert result.regressions == ()
        (suspected,) = result.suspected
        assert "64.0 % lower in a run that is left out (\u201cGPU 0 was throttled: sw_thermal" in suspected

    def test_a_host_that_stays_hot_is_told_of_with_its_reason(self):
        (item,) = throughput(found(runs([1.0] * 12 + [0.36] * 4, change=self.hot(12))))
        assert (item.kind, item.runs) == ("disturbed", 4)
        assert item.sentence.endswith("SM clock 610 MHz on average\u201d.")
        assert "Nothing that is recorded" not in item.sentence

    def test_what_was_left_out_is_no_part_of_a_level(self):
        assert found(runs([1.0] * 8 + [0.36] * 4 + [1.0] * 6, change=self.hot(8, 12))).regressions == ()

    def test_a_step_beside_them_quotes_them(self):
        (item,) = throughput(found(runs([1.0] * 10 + [0.9] * 4 + [0.3], change=self.hot(14))))
        assert item.kind == "step"
        assert "1 run since is left out: \u201cGPU 0 was throttled" in item.sentence

    def test_a_document_of_version_2_says_it_by_kind(self):
        def hot(document, day):
            if day > 11:
                document["quality"]["disturbed"] = [
                    {"kind": "client", "text": "short"},
                    {"kind": "throttled", "text": "hot"},
                ]

        (item,) = throughput(found(runs([1.0] * 12 + [0.36] * 2, change=hot)))
        assert (item.kind, item.sentence[-6:]) == ("disturbed", "\u201chot\u201d.")

    def test_a_power_cap_is_how_a_gpu_works(self):
        def capped(document, _day):
            document["quality"]["warnings"].append("GPU 0 was throttled: sw_power_cap in 90% of the samples")

        assert throughput(found(runs([1.0] * 12 + [0.9] * 3, change=capped)))[0].kind == "step"

    def test_accepted(self):
        known = acknowledged.parse([{"host": "gpu1", "kind": "disturbed", "reason": "a fan is on its way"}], "here")
        result = found(runs([1.0] * 12 + [0.36] * 4, change=self.hot(12)), acknowledgements=known)
        assert (result.regressions, result.unused) == ((), ())


class TestAbsence:
    NOW = START + timedelta(days=12, hours=8)

    def wanted(self, *hosts, reasons=None):
        return absence.Wanted(hosts, self.NOW, 26, reasons or {})

    def test_a_host_without_a_run_says_since_when_and_why(self):
        reasons = absence.reasons(
            [
                {
                    "started_at": "2026-09-13T02:00:00Z",
                    "hosts": [
                        {"host": "gpu2", "outcome": "unreachable", "reason": "ssh: connect to host gpu2 port 22: no"},
                        {"host": "gpu1", "outcome": "ok", "reason": None},
                    ],
                },
                {"started_at": "2026-09-12T02:00:00Z", "hosts": [{"host": "gpu1", "outcome": "failed", "reason": "x"}]},
            ]
        )
        assert list(reasons) == ["gpu2"]
        result = found(runs([1.0] * 13), runs([1.0] * 9, host="gpu2"), wanted=self.wanted("gpu1", "gpu2", "gpu3"))
        with_reasons = found(runs([1.0] * 9, host="gpu2"), wanted=self.wanted("gpu2", reasons=reasons)).absent
        assert [item.host for item in result.absent] == ["gpu2", "gpu3"]
        assert with_reasons[0].sentence.startswith("gpu2: not measured since 2026-09-09 02:00 UTC (")
        assert with_reasons[0].sentence.endswith(": Unreachable: ssh: connect to host gpu2 port 22: no.")
        assert result.absent[1].sentence.startswith("gpu3: never measured, and no failed benchmark of it is known")

    def test_of_several_engines_the_one_without_a_run_is_named(self):
        def of(port, count, **more):
            def change(document, _day):
                document["engine"]["url"] = f"http://127.0.0.1:{port}"
                document.update(more)

            return runs([1.0] * count, change=change)

        wanted = absence.Wanted(("gpu1",), self.NOW, 26, engines={"gpu1": [8000, 8001, 8002]})
        compared = {"comparison": {"id": "x", "variant": "a", "round": 1, "rounds": 1, "fingerprint": "f"}}
        late = found(of(8000, 13), of(8001, 9), of(8002, 13, label="compare a", **compared), wanted=wanted).absent
        assert [(item.host, item.port) for item in late] == [("gpu1", 8001), ("gpu1", 8002)]
        assert late[0].sentence.startswith("gpu1, its engine at port 8001: not measured since 2026-09-09 02:00 UTC (")
        assert late[1].sentence.startswith("gpu1, its engine at port 8002: never measured, ")
        # One finding where the whole host has none.
        (whole,) = found(of(8000, 8), of(8001, 9), wanted=wanted).absent
        assert (whole.port, whole.since) == (None, "2026-09-09T02:00:00Z")

    def test_accepted(self):
        known = acknowledged.parse([{"host": "gpu2", "kind": "absent", "reason": "in repair"}], "here")
        result = found(runs([1.0] * 9, host="gpu2"), wanted=self.wanted("gpu2"), acknowledgements=known)
        assert (result.absent, result.unused) == ((), ())
