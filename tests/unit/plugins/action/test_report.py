# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.plugins.action import regressions
from ansible_collections.inference.fleet.plugins.action import report as action
from ansible_collections.inference.fleet.plugins.doc_fragments import history
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.modules import report as module
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.evaluations.made import made
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

COLLECTION = Path(next(iter(fleet.__path__)))
RULE = {name: option.get("default") for name, option in action.RULE.items()}
PLAYBOOK = COLLECTION / "playbooks" / "report.yml"


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    factory.write(folder, factory.document())
    return folder


def test_first_run_writes_and_the_second_changes_nothing(results, tmp_path):
    path = tmp_path / "new" / "folders" / "index.html"

    first = action.report(results, path)
    before = path.stat()
    second = action.report(results, path)

    assert (first["changed"], second["changed"]) == (True, False)
    assert (first["runs"], first["series"], first["simulated"]) == (1, 1, 0)
    assert first["table"] == second["table"]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [item.name for item in path.parent.iterdir()] == ["index.html"]


def test_a_folder_of_evaluations_alone_is_reported(tmp_path):
    folder = tmp_path / "results" / "evaluation"
    folder.mkdir(parents=True)
    document = made(host="gpu7")
    (folder / f"{document['run_id']}.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "half.json").write_text("", encoding="utf-8")
    paths = {name: tmp_path / name for name in ("markdown_path", "csv_path", "json_path")}
    first = action.report(tmp_path / "results", tmp_path / "index.html", **paths)
    assert (first["changed"], first["runs"], first["evaluations"]) == (True, 0, 1)
    assert [item["file"] for item in first["damaged"]] == ["evaluation/half.json"]
    wanted = "gpu7, a-model on tau2_retail (user: a-user): 80.0 %"
    assert wanted in first["table"]
    for path in (tmp_path / "index.html", paths["markdown_path"]):
        text = path.read_text(encoding="utf-8")
        assert wanted in text.replace("\\_", "_")
        assert "1 evaluation on 1 host, 2026-11-01." in text
    (told,) = json.loads(paths["json_path"].read_text())["evaluations"]
    assert (told["host"], told["score"]) == ("gpu7", 0.8)
    assert not action.report(tmp_path / "results", tmp_path / "index.html", **paths)["changed"]


def test_the_page_has_the_mode_of_any_new_file(results, tmp_path):
    old = os.umask(0o027)
    try:
        action.report(results, tmp_path / "index.html")
    finally:
        os.umask(old)
    assert (tmp_path / "index.html").stat().st_mode & 0o777 == 0o640


def test_check_mode_foretells_and_writes_nothing(results, tmp_path):
    path = tmp_path / "reports" / "index.html"
    assert action.report(results, path, check_mode=True)["changed"] is True
    assert not path.parent.exists()
    action.report(results, path)
    assert action.report(results, path, check_mode=True)["changed"] is False


def test_the_difference_is_that_of_the_printed_tables(results, tmp_path):
    path = tmp_path / "index.html"
    first = action.report(results, path, diff_mode=True)
    assert first["diff"][0]["before"] == ""
    assert first["diff"][0]["after"] == first["table"]

    factory.write(results, factory.document(host="gpu2"))
    second = action.report(results, path, diff_mode=True)
    assert second["diff"][0]["before"] == first["table"]
    assert second["diff"][0]["after"] == second["table"] != first["table"]

    assert "diff" not in action.report(results, path, diff_mode=True)

    path.write_text("<p>mine</p>")
    third = action.report(results, path, diff_mode=True)
    assert third["diff"][0]["before"] == "(not a report of this collection)\n"

    # An older run changes the page, not the table of the latest: the difference still is one.
    path.write_text(path.read_text().replace("</html>", "</html><!-- -->"))
    fourth = action.report(results, path, diff_mode=True)
    assert fourth["changed"]
    assert fourth["diff"][0]["before"] != fourth["diff"][0]["after"]


def test_markdown_and_csv_follow_the_documents_too(results, tmp_path):
    files = {"path": tmp_path / "index.html", "markdown_path": tmp_path / "a" / "pr.md", "csv_path": tmp_path / "b.csv"}
    files["rent_csv_path"] = tmp_path / "rent.csv"
    files["json_path"] = tmp_path / "c.json"

    checked = action.report(results, **files, check_mode=True, diff_mode=True)
    assert checked["changed"]
    assert [item["after_header"] for item in checked["diff"]] == list(map(str, files.values()))
    assert not [file for file in files.values() if file.exists()]

    first = action.report(results, **files)
    assert first["changed"]
    assert {name: first[name] for name in files} == {name: str(file) for name, file in files.items()}
    assert files["markdown_path"].read_text().startswith("# Inference fleet report\n")
    assert "**1 of 1 host well**" in files["markdown_path"].read_text()
    assert json.loads(files["json_path"].read_text())["fleet"][0]["well"] == 1
    assert len(files["csv_path"].read_text().splitlines()) == 2
    assert not action.report(results, **files, diff_mode=True)["changed"]

    # What is stale is brought up to date, and only that.
    files["csv_path"].write_text("run_id\n")
    before = files["path"].stat().st_ino
    third = action.report(results, **files, diff_mode=True)
    assert third["changed"]
    (difference,) = third["diff"]
    assert (difference["before"], difference["after"]) == ("run_id\n", files["csv_path"].read_text())
    assert files["path"].stat().st_ino == before


def test_a_change_that_is_acknowledged_is_shown_as_such(tmp_path):
    folder, start = tmp_path / "results", datetime(2026, 11, 1, tzinfo=timezone.utc)
    for day in range(20):
        level = 1.0 if day < 10 else 0.9
        factory.write(folder, factory.document(started=start + timedelta(days=day), factors=(level, level * 1.001)))
    (folder / "acknowledged.yml").write_text("- {host: gpu1, since: 2026-11-11, reason: a lower power limit}\n")
    page = tmp_path / "index.html"

    assert "Acknowledged" not in action.report(folder, page)["table"]
    result = action.report(folder, page, find=action.finder(folder, RULE))
    assert result["changed"]
    assert "worse, since 2026-11-11" in " ".join(result["table"].split())
    assert "Acknowledged." in result["table"]
    assert "Acknowledged." in page.read_text()
    assert "1 of 1 host well" in page.read_text()


def test_the_report_and_the_regressions_tell_of_the_same(tmp_path):
    """Hosts that were not measured, and the smallest change that counts, in every form."""
    folder, start = tmp_path / "results", datetime(2026, 11, 1, tzinfo=timezone.utc)
    for day in range(20):
        level = 1.0 if day < 10 else 0.9
        factory.write(folder, factory.document(started=start + timedelta(days=day), factors=(level, level * 1.001)))
    files = {"path": tmp_path / "index.html", "markdown_path": tmp_path / "report.md"}
    wanted = {**RULE, "hosts": ["gpu1", "never"]}
    result = action.report(folder, **files, markdown_whole=True, find=action.finder(folder, wanted))
    told = regressions.look(folder, {**wanted, "webhook_url": None, "fail": True})
    assert result["absent"] == list(told["absent"])
    assert [item["host"] for item in result["absent"]] == ["gpu1", "never"]
    for text in (result["table"], files["markdown_path"].read_text()):
        assert "Not measured" in text
        assert "since 2026-11-20" in " ".join(text.split())
        assert "never: never measured" in " ".join(text.split())
        assert "worse, " in " ".join(text.split())
    page = " ".join(re.sub("<[^>]*>", " ", files["path"].read_text()).split())
    assert "0 of 2 hosts well" in page
    assert "Not measured since 2026-11-20" in page
    assert "never. Never measured" in page
    assert f'href="#run-{result["absent"][0]["last_run"]}"' in files["path"].read_text()

    large = {**RULE, "minimum_change": {"output_throughput": 20}}
    assert "worse, " not in " ".join(action.report(folder, **files, find=action.finder(folder, large))["table"].split())
    assert not regressions.look(folder, {**large, "webhook_url": None, "fail": True})["regressions"]


def test_the_roles_follow_one_another():
    """What is set for regression.yml is meant for report.yml too."""
    specs = yaml.safe_load((COLLECTION / "roles" / "report" / "meta" / "argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((COLLECTION / "roles" / "report" / "defaults" / "main.yml").read_text())
    assert {name: option["default"] for name, option in options.items()} == defaults
    regression = yaml.safe_load((COLLECTION / "roles" / "regression" / "defaults" / "main.yml").read_text())
    (task,) = yaml.safe_load((COLLECTION / "roles" / "report" / "tasks" / "main.yml").read_text())
    for name in action.RULE:
        assert f"regression_{name} | default(" in task["inference.fleet.report"][name]
        assert f"regression_{name}" in regression


def test_documentation_is_the_argument_spec():
    # What both modules of the history take is documented once.
    options = {
        **yaml.safe_load(history.ModuleDocFragment.DOCUMENTATION)["options"],
        **yaml.safe_load(module.DOCUMENTATION)["options"],
    }
    assert {name: (option["type"], option.get("default")) for name, option in options.items()} == {
        name: (option["type"], option.get("default")) for name, option in action.ActionModule.ARGUMENTS.items()
    }


def test_two_forms_in_one_file_are_refused(results, tmp_path):
    with pytest.raises(FleetError, match=r"path and csv_path are both .*index\.html"):
        action.report(results, tmp_path / "index.html", csv_path=tmp_path / "x" / ".." / "index.html")


def test_a_damaged_file_is_warned_of_and_kept(results, tmp_path):
    broken = results / "broken.json"
    broken.write_text('{"schema_version": 1, "run_id": "x"')
    result = action.report(results, tmp_path / "index.html")
    assert result["runs"] == 1
    assert result["damaged"] == [{"file": "broken.json", "reason": result["damaged"][0]["reason"]}]
    assert len(result["warnings"]) == 1
    assert str(broken) in result["warnings"][0]
    assert broken.exists()


def test_many_damaged_files_are_all_named_but_not_all_warned_of(results, tmp_path):
    for index in range(30):
        (results / f"{index}.json").write_text("")
    result = action.report(results, tmp_path / "index.html")
    assert len(result["damaged"]) == 30
    assert len(result["warnings"]) == 21
    assert "10 more files" in result["warnings"][-1]


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.mkdir(), "is empty"),
        (lambda folder: (folder.mkdir(), (folder / "notes.txt").touch()), "holds no .json file"),
        (lambda folder: (folder.mkdir(), (folder / "a.json").touch()), "none of the 1 files"),
    ],
)
def test_nothing_to_report_fails_and_says_what_to_run(tmp_path, make, found):
    folder = tmp_path / "results"
    make(folder)
    with pytest.raises(FleetError, match=r"Run the playbook benchmark\.yml") as raised:
        action.report(folder, tmp_path / "index.html")
    assert found in str(raised.value)
    assert str(folder) in str(raised.value)
    assert not (tmp_path / "index.html").exists()
    # The benchmark that would have run before wrote nothing in check mode.
    result = action.report(folder, tmp_path / "index.html", check_mode=True)
    assert (result["changed"], result["msg"]) == (False, str(raised.value))


def test_a_file_for_a_folder_is_said(tmp_path):
    (tmp_path / "results").touch()
    with pytest.raises(FleetError, match="is not a folder"):
        action.report(tmp_path / "results", tmp_path / "index.html")


def test_a_page_that_cannot_be_written_is_said(results, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FleetError, match=r"cannot be written to .*index\.html"):
        action.report(results, tmp_path / "file" / "index.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FleetError, match="cannot be read"):
        action.report(results, tmp_path / "folder")
