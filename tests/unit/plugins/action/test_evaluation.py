# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluations in the report, and models that got worse among the regressions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.inference.fleet.plugins.action import metrics_textfile, regressions, report
from ansible_collections.inference.fleet.plugins.doc_fragments import history, measured
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept
from ansible_collections.inference.fleet.plugins.module_utils.history import acknowledged
from ansible_collections.inference.fleet.plugins.modules import evaluation as module
from ansible_collections.inference.fleet.plugins.plugin_utils.gates import judge, require_met
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.evaluations.made import made, plan
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

FELL = [made(90, 10, 1), made(91, 9, 2), made(50, 50, 3)]


def written(folder: Path, *documents: dict[str, Any]) -> Path:
    (folder / kept.FOLDER).mkdir(exist_ok=True)
    for each in documents:
        (folder / kept.FOLDER / f"{each['run_id']}.json").write_text(json.dumps(each), encoding="utf-8")
    return folder


def look(folder: Path, **more: Any) -> dict[str, Any]:
    options = {name: option.get("default") for name, option in regressions.ActionModule.ARGUMENTS.items()}
    return regressions.look(folder, {**options, **more})


def test_a_model_that_got_worse_fails_the_play_though_nothing_became_slower(tmp_path: Path) -> None:
    found = look(written(tmp_path, *FELL))
    assert found["failed"] is True
    assert "gpu1, a-model on tau2_retail (user: a-user) got worse: 50.0 %" in found["msg"]
    assert "can be acknowledged: see docs/history.md" in found["msg"]
    assert "  WORSE      gpu1" in found["text"]
    assert [each["run_id"] for each in found["worse"]] == [FELL[2]["run_id"]]


def test_one_that_may_be_chance_is_suspected(tmp_path: Path) -> None:
    found = look(written(tmp_path, made(90, 10, 1), made(90, 10, 2), made(80, 20, 3)))
    assert "failed" not in found
    assert "  Suspected  gpu1" in found["text"]
    assert found["worse"] == []


KNOWN = {"host": "gpu*", "kind": "worse", "since": FELL[2]["run_id"], "reason": "it is quantized now"}


def test_what_is_acknowledged_is_told_no_more_and_a_further_fall_is(tmp_path: Path) -> None:
    found = look(written(tmp_path, *FELL), acknowledged=[KNOWN])
    assert (found.get("failed"), found["worse"], found["unused"]) == (None, [], ())
    assert "  Accepted   gpu1, a-model on tau2_retail (user: a-user) got worse: 50.0 %" in found["text"]
    found = look(written(tmp_path, made(10, 90, 4)), acknowledged=[KNOWN])
    assert found["failed"] is True
    assert "got worse: 10.0 % " in found["msg"]
    assert "from 50.0 % (95 %: 40.4 to 59.6) before" in found["msg"]


def test_what_can_be_acknowledged_is_documented() -> None:
    options = yaml.safe_load(history.ModuleDocFragment.DOCUMENTATION)["options"]
    assert options["acknowledged"]["suboptions"]["kind"]["choices"] == list(acknowledged.KINDS)


def test_an_acknowledgement_of_nothing_is_named_and_one_without_a_beginning_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, *FELL)
    found = look(folder, acknowledged=[{**KNOWN, "metric": "human_eval"}])
    assert (found["failed"], len(found["unused"])) == (True, 1)
    assert "Acknowledged, but not there: gpu*, human_eval, 20261103T120000Z-gpu1-000003" in found["text"]
    # A later fall than the known one would be told to nobody.
    with pytest.raises(FleetError, match="since must be given"):
        look(folder, acknowledged=[{key: value for key, value in KNOWN.items() if key != "since"}])


def test_prometheus_is_given_the_last_score_and_whether_it_fell(tmp_path: Path) -> None:
    folder, path = tmp_path / "results", tmp_path / "a.prom"
    folder.mkdir()
    written(folder, *FELL, made(9, 1, 2, host="gpu0", plan=plan("human_eval")))
    assert metrics_textfile.write(folder, path, worse=look(folder)["worse"])["changed"]
    lines = path.read_text().splitlines()
    (gpu0, gpu1) = (line for line in lines if line.startswith("inference_fleet_evaluation_score_ratio{"))
    assert gpu1.startswith(
        'inference_fleet_evaluation_score_ratio{host="gpu1",engine="unknown",model="a-model",benchmark="tau2_retail",'
        'user="a-user",label="",simulated="false",subject="'
    )
    assert gpu1.endswith("} 0.5")
    assert 'benchmark="human_eval",user=""' in gpu0
    assert gpu0.endswith("} 0.9")
    told = [line.rpartition("} ")[2] for line in lines if line.startswith("inference_fleet_evaluation_worse{")]
    assert told == ["0", "1"]
    # What is known is worse no more.
    assert metrics_textfile.write(folder, path, worse=look(folder, acknowledged=[KNOWN])["worse"])["changed"]
    assert [line[-1] for line in path.read_text().splitlines() if "evaluation_worse{" in line] == ["0", "0"]


def test_the_report_marks_no_fall_that_is_known(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    factory.write(folder, factory.document())
    written(folder, *FELL)
    known = acknowledged.parse([KNOWN], "here")
    report.report(folder, tmp_path / "index.html", known=known)
    assert "got worse" not in (tmp_path / "index.html").read_text()


def test_the_report_shows_the_last_evaluation_of_each_model_the_worse_first(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    factory.write(folder, factory.document())
    written(folder, *FELL, made(90, 10, 2, host="gpu0", simulated=True))
    report.report(folder, tmp_path / "index.html", markdown_path=tmp_path / "index.md", markdown_whole=True)
    section = (tmp_path / "index.md").read_text().partition("## Evaluations\n")[2].partition("\n## ")[0]
    lines = section.strip().splitlines()
    assert lines[0].startswith("- **worse** gpu1, a-model on tau2\\_retail (user: a-user): 50.0 % (95 %: 40.4 to 59.6)")
    assert "Before: 91.0 % (2026-11-02)." in lines[0]
    assert lines[1].startswith("- **SIMULATED** gpu0")
    page = (tmp_path / "index.html").read_text()
    assert 'id="evaluations"' in page
    # On the first screen, too: the model is not what it was.
    assert "A-model on tau2_retail (user: a-user) got worse" in page
    assert "got worse: 50.0 % (95 %: 40.4 to 59.6)" in page


def test_a_report_without_evaluations_has_no_such_section(tmp_path: Path) -> None:
    factory.write(tmp_path / "results", factory.document())
    report.report(
        tmp_path / "results", tmp_path / "index.html", markdown_path=tmp_path / "index.md", markdown_whole=True
    )
    assert 'id="evaluations"' not in (tmp_path / "index.html").read_text()
    assert "Evaluations" not in (tmp_path / "index.md").read_text()


def test_options_are_documented_with_their_defaults() -> None:
    options = yaml.safe_load(measured.ModuleDocFragment.DOCUMENTATION)["options"]
    options |= yaml.safe_load(module.DOCUMENTATION)["options"]
    assert {name: option.get("default") for name, option in options.items()} == {
        name: option.get("default") for name, option in module.SPEC.items()
    }


@pytest.mark.parametrize(
    ("given", "user"),
    [
        ({}, ("http://gpu1:8000", "a-model", "its-key")),
        ({"user_model": "other"}, ("http://gpu1:8000", "other", "its-key")),
        ({"user_model": "other", "user_url": "http://gpu1:8000/v1"}, ("http://gpu1:8000", "other", "its-key")),
        ({"user_model": "other", "user_url": "https://hosted.example/"}, ("https://hosted.example", "other", None)),
        (
            {"user_url": "https://hosted.example", "user_model": "other", "user_api_key": "another"},
            ("https://hosted.example", "other", "another"),
        ),
    ],
)
def test_a_key_goes_to_no_other_endpoint_than_its_own(given: dict[str, str], user: tuple[str, str, str | None]) -> None:
    params = {name: option.get("default") for name, option in module.SPEC.items()}
    params |= {"url": "http://gpu1:8000", "served_model_name": "a-model", "api_key": "its-key", **given}
    found = module.plan_of(params).user
    assert (found.url, found.served_model_name, found.api_key) == user


def test_a_gate_asks_the_document_of_an_evaluation() -> None:
    gates = [{"condition": "score.low >= `0.5`", "message": "too few"}]
    assert [each["passed"] for each in judge(gates, made(90, 10))] == [True]
    missed = judge(gates, made(3, 2))
    with pytest.raises(FleetError, match="1 of 1 gates not met: too few"):
        require_met(missed, "x.json")
