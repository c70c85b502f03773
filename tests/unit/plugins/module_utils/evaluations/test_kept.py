# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluations over time: what is compared with what, and when a model got worse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept
from ansible_collections.inference.fleet.plugins.module_utils.history.acknowledged import Acknowledgement

from .made import made, plan


def worse(documents: list[dict]) -> tuple[kept.Worse, ...]:
    return kept.fallen(documents).worse


def write(folder: Path, *documents: dict) -> None:
    (folder / kept.FOLDER).mkdir()
    for each in documents:
        (folder / kept.FOLDER / f"{each['run_id']}.json").write_text(json.dumps(each), encoding="utf-8")


def test_a_folder_is_read_oldest_first_and_what_is_none_is_named(tmp_path: Path) -> None:
    assert kept.load(tmp_path).documents == ()
    write(tmp_path, made(day=2), made(day=1))
    (tmp_path / kept.FOLDER / "x.json").write_text("{}")
    (tmp_path / kept.FOLDER / "x.eval").write_text("a log")
    found = kept.load(tmp_path)
    assert [each["started_at"][8:10] for each in found.documents] == ["01", "02"]
    assert found.damaged == (("x.json", "not a document of an evaluation"),)


def test_a_model_that_fell_far_got_worse_in_one_run() -> None:
    (told,) = worse([made(90, 10, 1), made(91, 9, 2), made(50, 50, 3)])
    assert told.sure
    assert told.sentence == (
        "gpu1, a-model on tau2_retail (user: a-user) got worse: 50.0 % (95 %: 40.4 to 59.6) since 2026-11-03 12:00 UTC "
        "(20261103T120000Z-gpu1-000003), in one run, from 90.5 % (95 %: 85.6 to 93.8) before."
    )


def test_one_that_fell_a_little_did_when_two_runs_say_so() -> None:
    runs = [made(90, 10, 1), made(90, 10, 2), made(80, 20, 3)]
    assert [each.sure for each in worse(runs)] == [False]
    (told,) = worse([*runs, made(80, 20, 4)])
    assert (told.sure, told.runs) == (True, 2)
    assert worse([*runs, made(90, 10, 4)]) == ()


def test_chance_alone_is_no_fall() -> None:
    assert worse([made(8, 2, 1), made(6, 4, 2), made(7, 3, 3)]) == ()
    assert worse([made(5, 0, 1)]) == ()


def accept(since: str, **changes: Any) -> Acknowledgement:
    return Acknowledgement(**{"host": "gpu*", "kind": "worse", "reason": "quantized", "since": since, **changes})


FELL = [made(90, 10, 1), made(90, 10, 2), made(50, 50, 3), made(50, 50, 4)]


@pytest.mark.parametrize(
    "since",
    [
        FELL[2]["run_id"],
        "2026-11-03",
        # A run or two beside it.
        "2026-11-02",
        FELL[3]["run_id"],
    ],
)
def test_what_is_accepted_is_told_no_more_and_a_further_fall_is(since: str) -> None:
    known = [accept(since)]
    found = kept.fallen(FELL, known)
    assert (found.worse, found.unused) == ((), ())
    assert [each.document for each in found.accepted] == [FELL[2]]
    later = [*FELL, *(made(50, 50, day) for day in range(5, 20))]
    assert kept.fallen(later, known).worse == ()
    for before in (FELL, later):
        found = kept.fallen([*before, made(10, 90, 20)], known)
        (told,) = found.worse
        assert (told.before["value"], told.document["run_id"][:8]) == (0.5, "20261120")
        assert len(found.accepted) == 1
    # The second one is known too, and nothing else.
    both = [*known, accept("2026-11-20")]
    found = kept.fallen([*later, made(10, 90, 20)], both)
    assert (found.worse, len(found.accepted), found.unused) == ((), 2, ())


def test_one_that_is_accepted_and_over_may_fall_again() -> None:
    back = [*FELL, *(made(90, 10, day) for day in range(5, 20))]
    found = kept.fallen(back, [accept("2026-11-03")])
    # It was there, and is no more.
    assert (found.worse, found.accepted, found.unused) == ((), (), ())
    assert len(kept.fallen([*back, made(50, 50, 20)], [accept("2026-11-03")]).worse) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "gpu2"},
        {"metric": "human_eval"},
        {"since": "2026-11-12"},
        {"since": "2026-12-03"},
    ],
)
def test_what_accepts_something_else_is_named(wrong: dict[str, str]) -> None:
    known = accept(**{"since": "2026-11-03", **wrong})
    found = kept.fallen([*FELL, *(made(50, 50, day) for day in range(5, 16))], [known])
    assert len(found.worse) == 1
    assert found.unused == (known,)


def test_the_benchmark_may_be_named() -> None:
    assert kept.fallen(FELL, [accept("2026-11-03", metric="tau2_retail")]).worse == ()


def test_each_host_has_its_own_fall() -> None:
    both = [*FELL, *(made(right, 100 - right, day, host="gpu2") for day, right in enumerate((90, 90, 50, 50), 1))]
    assert len(kept.fallen(both, [accept("2026-11-03", host="gpu1")]).worse) == 1
    assert kept.fallen(both, [accept("2026-11-03")]).worse == ()


def test_only_the_same_question_is_compared() -> None:
    asked = [plan(), plan(limit=9), plan(trials=2), plan(args={"shuffle": True}), plan(message_limit=50)]
    documents = [made(plan=each, day=number) for number, each in enumerate(asked, 1)]
    documents += [made(host="gpu2"), made(label="canary"), made(simulated=True)]
    assert len(kept.series(documents)) == 8
    # What changed on the host is what there is to be found.
    other = made(day=2)
    other["engine"] = {**other["engine"], "version": "9"}
    assert len(kept.series([made(), other])) == 1


def test_series_that_nobody_measures_any_more_are_left() -> None:
    old, new = made(90, 10, 1), made(90, 10, 28, host="gpu2")
    assert kept.recent([old, new], None, 20) == [new]
    assert kept.recent([old], "2026-11-28T12:00:00Z", 20) == []
    assert kept.recent([], None, 20) == []


def test_a_table_and_a_sentence_have_the_interval() -> None:
    before, now = made(3, 2, 1), made(4, 1, 2)
    assert kept.sentence(now, before) == (
        "gpu1, a-model on tau2_retail (user: a-user): 80.0 % (95 %: 37.6 to 96.4), 5 of 114 samples, "
        "2026-11-02 12:00 UTC. Before: 60.0 % (2026-11-01)."
    )
    table = kept.table(now)
    assert "80.0 % (95 %: 37.6 to 96.4)" in table
    assert "5000 in, 250 out" in table
    assert "simulated: no model answered" in kept.table({**now, "simulated": True})
