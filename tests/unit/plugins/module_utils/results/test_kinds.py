# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of other kinds: what is none is named with its reason, and loses nothing of the others."""

from __future__ import annotations

import json

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.results import kinds

KIND = kinds.Kind("tried", "a try", ("run_id", "started_at"))
GOOD = {"kind": "tried", "schema_version": 1, "run_id": "b", "started_at": "2026-11-26T00:00:00Z"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "not a document of a try"),
        (json.dumps({**GOOD, "kind": "other"}), "not a document of a try"),
        (json.dumps({**GOOD, "schema_version": 2}), "schema_version is 2, this release reads (1,)"),
        (json.dumps({key: value for key, value in GOOD.items() if key != "run_id"}), "it lacks run_id"),
    ],
)
def test_what_is_none_is_named_with_its_reason(tmp_path, text, reason):
    folder = tmp_path / "tried"
    folder.mkdir()
    earlier = {**GOOD, "run_id": "a", "started_at": "2026-11-25T00:00:00Z"}
    for name, content in (("1", json.dumps(GOOD)), ("2", json.dumps(earlier)), ("bad", text), (".part", "half")):
        (folder / f"{name}.json").write_text(content)
    found = kinds.load(tmp_path, KIND)
    assert [each["run_id"] for each in found.documents] == ["a", "b"]
    ((name, why),) = found.damaged
    assert name == "bad.json"
    assert reason in why


def test_a_folder_that_is_not_there_has_none(tmp_path):
    assert kinds.load(tmp_path, KIND) == kinds.Kept((), ())
