# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a log to a document: what is a score, and what is none."""

from __future__ import annotations

import json

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import document, scores

from .made import KEY, USER_KEY, made, plan, read, sample


def test_a_document_meets_the_schema_and_has_no_key(check_document) -> None:
    found = made(args={"x": KEY})
    check_document({key: value for key, value in found.items() if key != "args"})
    assert found["score"]["value"] == pytest.approx(0.8)
    assert (found["asked"], found["done"], found["tokens"]["model"]["input"]) == (5, 5, 5000)
    assert found["tokens"]["user"]["output"] == 25
    assert found["user"] == {"model": "a-user", "url": "http://gpu2:8000", "itself": False}


def test_keys_are_in_no_document() -> None:
    found = json.dumps(made(plan=plan(extra_args=("--x", KEY), args={"y": USER_KEY})))
    assert KEY not in found
    assert USER_KEY not in found


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            read(sample("1", "C"), sample("2", "C", error="Connection\nrefused")),
            "1 of 2 samples failed: 2: Connection refused",
        ),
        (read(sample("1", "C"), asked=5, status="cancelled"), "1 of 5 samples are done"),
        (read(sample("1", "C"), status="error", error="no dataset"), "the run ended as error: no dataset"),
        (read(status="error", error="no dataset"), "0 of 0 samples are done"),
    ],
)
def test_a_run_that_is_not_whole_is_no_score(found: dict, told: str) -> None:
    assert told in "; ".join(document.faults(found))
    assert document.faults(read(sample("1", "C"))) == []


def test_scores_are_shares() -> None:
    assert document.score(read(sample("1", "P"), sample("2", 1.0), sample("3", True)))[1].value == pytest.approx(
        2.5 / 3
    )
    two = {"scores": {"words": {"a": 1}, "grade": 0.5}}
    assert document.score(read(sample("1", None, **two)))[0] == "grade"
    with pytest.raises(FleetError, match=r"no score between 0 and 1.*retail_scorer accuracy 0\.5"):
        document.score(read(sample("1", 17.0)))


def test_a_limit_and_a_model_that_plays_its_own_user_are_told() -> None:
    alone = plan(user=plan().endpoint)
    found = document.build(
        plan=alone, read=read(sample("1", "I", limit="message")), run_id="r", host="h", client_host="h",
        started_at="", finished_at="", argv=[], simulated={"model": True},
    )  # fmt: skip
    assert found["simulated"] is True
    assert found["user"]["itself"] is True
    assert found["quality"]["warnings"][1] == "1 of 1 samples were cut off by a limit (message)."


def test_ten_tasks_tell_to_about_thirty_points() -> None:
    ten = scores.score((str(number), float(number < 5)) for number in range(10))
    assert (ten.low, ten.high) == (pytest.approx(0.2366, abs=1e-3), pytest.approx(0.7634, abs=1e-3))
    all_right = scores.score([("1", 1.0), ("2", 1.0)])
    assert all_right.high == 1.0
    assert all_right.low == pytest.approx(0.342, abs=1e-3)


def test_trials_of_one_task_are_not_worth_as_many_tasks() -> None:
    alike = scores.score((str(task), float(task < 5)) for task in range(10) for _trial in range(4))
    assert (alike.tasks, alike.runs) == (10, 40)
    assert alike.worth == pytest.approx(10, abs=1)
    mixed = scores.score((str(task), float((task + trial) % 2)) for task in range(10) for trial in range(4))
    assert mixed.worth == 10
    some = scores.score((str(task), float(trial < 1 + task % 3)) for task in range(9) for trial in range(4))
    assert 9 < some.worth <= 36


@pytest.mark.parametrize("values", [[], [("1", 1.5)], [("1", -0.1)]])
def test_what_is_no_share_is_no_score(values: list) -> None:
    with pytest.raises(ValueError, match=r"no sample|wanted 0 to 1"):
        scores.score(values)
