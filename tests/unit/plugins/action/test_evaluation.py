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

from ansible_collections.inference.fleet.plugins.action import regressions, report
from ansible_collections.inference.fleet.plugins.doc_fragments import measured
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept
from ansible_collections.inference.fleet.plugins.modules import evaluation as module
from ansible_collections.inference.fleet.plugins.plugin_utils.gates import judge, require_met
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.evaluations.made import made
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
    assert "  WORSE      gpu1" in found["text"]
    assert [each["run_id"] for each in found["worse"]] == [FELL[2]["run_id"]]


def test_one_that_may_be_chance_is_suspected(tmp_path: Path) -> None:
    found = look(written(tmp_path, made(90, 10, 1), made(90, 10, 2), made(80, 20, 3)))
    assert "failed" not in found
    assert "  Suspected  gpu1" in found["text"]
    assert found["worse"] == []


@pytest.mark.parametrize("more", [{}, {"since": FELL[2]["run_id"]}])
def test_what_is_acknowledged_is_told_no_more(tmp_path: Path, more: dict[str, str]) -> None:
    known = {"host": "gpu*", "kind": "worse", "reason": "it is quantized now", **more}
    found = look(written(tmp_path, *FELL), acknowledged=[known])
    assert (found.get("failed"), found["worse"], found["unused"]) == (None, [], ())


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


def test_a_gate_asks_the_document_of_an_evaluation() -> None:
    gates = [{"condition": "score.low >= `0.5`", "message": "too few"}]
    assert [each["passed"] for each in judge(gates, made(90, 10))] == [True]
    missed = judge(gates, made(3, 2))
    with pytest.raises(FleetError, match="1 of 1 gates not met: too few"):
        require_met(missed, "x.json")
