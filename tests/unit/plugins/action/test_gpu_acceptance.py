# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who knows of acceptance tests: doctor, regression and report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.action import doctor, gpu_acceptance, regressions, report
from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept, verdict
from ansible_collections.inference.fleet.plugins.modules import gpu_acceptance as module
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.acceptance.test_kept import document
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.acceptance.test_verdict import gpu
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

OPTIONS = {
    name: option.get("default") for name, option in regressions.ActionModule.ARGUMENTS.items() if name != "results_dir"
}
SICK = verdict.line("GPU 3", "memory bandwidth", 411.6, "GB/s", verdict.SICK, "wanted 2512 or more")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two hosts: one passed, and one did not after it once had."""
    folder = tmp_path / "results"
    factory.write(folder, factory.document())
    (folder / kept.FOLDER).mkdir()
    tests = [
        document("h100-1", 20, gpu(0), lines=(verdict.line("GPU 0", "health", None, "", verdict.SOUND),)),
        document("h100-2", 20, gpu(0)),
        document("h100-2", 21, gpu(0), lines=(SICK,)),
    ]
    for each in tests:
        (folder / kept.FOLDER / f"{each['run_id']}.json").write_text(json.dumps(each))
    return folder


def looked_at(*uuids: str) -> dict:
    return {"host": {"gpus": [{"uuid": uuid} for uuid in uuids]}, "checks": [{"name": "os", "ok": True}]}


def test_doctor_knows_the_last_test_of_the_same_gpus(results: Path) -> None:
    found = doctor.with_acceptance(
        {
            "h100-1": looked_at("GPU-h100-1-0"),
            "h100-2": looked_at("GPU-h100-2-0"),
            "h100-3": looked_at("GPU-new"),
            "cpu": looked_at(),
            "gone": {"unreachable": True},
        },
        results,
    )
    checks = {host: result["checks"][-1] for host, result in found.items() if "checks" in result}
    assert (checks["h100-1"]["ok"], checks["h100-2"]["ok"], checks["h100-3"]["ok"]) == (True, False, True)
    assert checks["h100-2"]["required"]
    assert "GPU 3, memory bandwidth: wanted 2512 or more" in checks["h100-2"]["found"]
    assert checks["h100-3"]["found"] == "not tested yet: accept.yml does"
    assert checks["cpu"]["name"] == "os"
    # The name went to another machine.
    other = doctor.with_acceptance({"h100-2": looked_at("GPU-new")}, results)["h100-2"]["checks"][-1]
    assert (other["ok"], "was of other GPUs" in other["found"]) == (True, True)


def test_regression_fails_until_it_is_passed_or_accepted(results: Path) -> None:
    found = regressions.look(results, OPTIONS)
    assert found["failed"]
    assert [item["host"] for item in found["sick"]] == ["h100-2"]
    assert "h100-2 did not pass its acceptance test" in found["msg"]
    assert "NOT SOUND  h100-2" in found["text"]
    accepted = {"host": "h100-2", "kind": "sick", "reason": "to be replaced on Monday"}
    for more in ({}, {"since": found["sick"][0]["run_id"]}):
        known = regressions.look(results, {**OPTIONS, "acknowledged": [{**accepted, **more}]})
        assert (known["sick"], known.get("failed"), known["unused"]) == ([], None, ())
    other = {**OPTIONS, "acknowledged": [{**accepted, "since": "20261101T000000Z-h100-2-000000"}]}
    assert regressions.look(results, other)["sick"]
    passed = document("h100-2", 22, gpu(0))
    (results / kept.FOLDER / "later.json").write_text(json.dumps(passed))
    assert "failed" not in regressions.look(results, OPTIONS)


def test_the_report_shows_the_last_test_of_each_host(results: Path, tmp_path: Path) -> None:
    report.report(results, tmp_path / "index.html", markdown_path=tmp_path / "index.md", markdown_whole=True)
    page = (tmp_path / "index.html").read_text()
    assert "h100-1 passed its acceptance test of 2026-11-20 12:00 UTC" in page
    assert "h100-2 did not pass its acceptance test of 2026-11-21 12:00 UTC" in page
    text = (tmp_path / "index.md").read_text()
    section = text.partition("## Acceptance tests\n")[2].partition("\n## ")[0]
    assert section.strip().splitlines()[0].startswith("- h100-2 did not pass")


def test_a_report_without_tests_has_no_such_section(tmp_path: Path) -> None:
    factory.write(tmp_path / "results", factory.document())
    report.report(
        tmp_path / "results", tmp_path / "index.html", markdown_path=tmp_path / "index.md", markdown_whole=True
    )
    assert 'id="acceptance"' not in (tmp_path / "index.html").read_text()
    assert "Acceptance" not in (tmp_path / "index.md").read_text()


def test_options_are_documented_with_their_defaults() -> None:
    import yaml

    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert {name: option.get("default") for name, option in options.items()} == {
        name: option.get("default") for name, option in module.SPEC.items()
    }
    assert gpu_acceptance.MODULE.endswith(Path(module.__file__).stem)
