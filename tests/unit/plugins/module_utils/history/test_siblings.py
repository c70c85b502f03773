# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import doctest
import random
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.history import siblings
from ansible_collections.inference.fleet.plugins.module_utils.results import noise
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

START = datetime(2026, 11, 1, tzinfo=timezone.utc)


def run(host, factors=(1.0, 1.004, 0.996), day=0, **changes):
    return factory.document(host=host, factors=factors, started=START + timedelta(days=day), **changes)


def fleet(count, seed=0, **changes):
    """Return one run of each of *count* hosts, as far apart as hosts are."""
    chance = random.Random(seed)
    speeds = [chance.gauss(1, 0.006) for _host in range(count)]
    return [
        run(f"gpu{index}", tuple(speed * chance.gauss(1, 0.004) for _repeat in range(3)), **changes)
        for index, speed in enumerate(speeds)
    ]


def only(documents):
    (group,) = siblings.rank(documents)
    return {row.host: row for row in group.rows}


def test_examples_hold():
    assert doctest.testmod(noise).failed == 0


def test_a_slow_host_is_named_and_its_siblings_are_not():
    documents = [*fleet(7), run("slow", (0.95, 0.953, 0.947))]

    (group,) = siblings.rank(documents)

    assert [row.rank for row in group.rows] == list(range(1, 9))
    assert [row.value for row in group.rows] == sorted((row.value for row in group.rows), reverse=True)
    assert [row.host for row in group.rows if row.slower] == ["slow"]
    slow = group.rows[-1]
    assert slow.ratio == pytest.approx(0.95, abs=0.01)
    assert slow.sentence.endswith("that chance explains.")
    assert "% below the median of its 7 siblings, more than the" in slow.sentence
    assert "% above the median of its 7 siblings." in group.rows[0].sentence


def test_what_sets_a_slow_host_apart_is_said():
    slow = run("slow", (0.9, 0.9, 0.9))
    slow["hardware"]["kernel"] = "6.2.0"
    others = fleet(5)
    for other in others:
        other["hardware"]["kernel"] = "6.8.0"
    sentence = only([*others, slow])["slow"].sentence
    assert sentence.endswith("Unlike most of them: kernel 6.2.0 (theirs 6.8.0).")


def test_only_the_latest_run_of_a_host_counts():
    better = run("was-slow", (1.0, 1.001, 1.002), day=2)
    worse = run("was-fast", (0.9, 0.9, 0.901), day=2)
    early = [run("was-slow", (0.5, 0.5, 0.5)), run("was-fast", day=1)]
    # The order in which they come does not matter.
    rows = only([better, worse, *fleet(6), *early])
    assert [host for host, row in rows.items() if row.slower] == ["was-fast"]
    assert rows["was-slow"].run_id == better["run_id"]


@pytest.mark.parametrize(("others", "words"), [(0, "No sibling"), (1, "One sibling"), (2, "2 siblings")])
def test_too_few_siblings_say_so(others, words):
    row = only([run("slow", (0.5, 0.5, 0.5)), *fleet(others)])["slow"]
    assert not row.slower
    assert row.margin is None
    assert row.sentence == f"{words}: 3 are needed to say whether a host is slow."


def test_siblings_that_lie_close_together_do_not_make_an_ordinary_host_slow():
    # 3 % lower, with repeats that differ by as much: no more than chance.
    same = [run(f"gpu{index}", (1.03, 1.0, 0.97)) for index in range(4)]
    assert not only([*same, run("noisy", (1.0, 0.97, 0.94))])["noisy"].slower
    steady = [run(f"gpu{index}", (1.0, 1.0, 1.0)) for index in range(4)]
    rows = only([*steady, run("a", (0.995, 0.995, 0.995))])
    assert not rows["a"].slower
    assert siblings.LEAST < rows["a"].margin < 0.04


def test_one_host_that_is_far_off_hides_no_other():
    rows = only([*fleet(6), run("broken", (0.2, 0.2, 0.2)), run("slow", (0.93, 0.93, 0.93))])
    assert {host for host, row in rows.items() if row.slower} == {"broken", "slow"}


def test_what_is_not_alike_is_not_compared():
    others = [
        *fleet(5),
        run("slow", (0.5, 0.5, 0.5), num_prompts=64),
        run("slow", (0.5, 0.5, 0.5), profile="a100x4"),
        run("slow", (0.5, 0.5, 0.5), engine="sglang"),
        run("slow", (0.5, 0.5, 0.5), model="other/model"),
        run("slow", (0.5, 0.5, 0.5), simulated=True),
    ]
    groups = siblings.rank(others)
    assert sorted(len(group.rows) for group in groups) == [1, 1, 1, 1, 1, 5]
    assert not any(row.slower for group in groups for row in group.rows)
    assert [group.simulated for group in groups].count(True) == 1


def test_a_run_without_the_figure_is_passed_over():
    without = run("none")
    del without["metrics"]["output_throughput"]
    assert siblings.rank([without]) == ()
    assert siblings.rank([]) == ()


def test_few_ordinary_hosts_are_called_slow():
    wrong = sum(row.slower for seed in range(150) for row in only(fleet(5, seed)).values())
    assert wrong <= 8  # of 750
