# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import doctest
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.results import document as definition
from ansible_collections.inference.fleet.plugins.module_utils.results import load, metrics, subject, words
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

SCHEMA = Path(__file__).resolve().parents[5] / "docs" / "result.schema.json"


def test_made_up_documents_conform_to_the_schema():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for document in (factory.document(), factory.document(simulated=True, num_prompts=64, factors=(1.0, 1.1))):
        jsonschema.validate(document, schema)


def test_documents_come_by_start_time(tmp_path):
    start = datetime(2026, 11, 1, tzinfo=timezone.utc)
    documents = [factory.document(host=host, started=start + timedelta(days=day)) for host, day in (("b", 2), ("a", 1))]
    factory.write(tmp_path, *documents)

    loaded = load.load(tmp_path)

    assert [document["host"] for document in loaded.documents] == ["a", "b"]
    assert loaded.damaged == ()


def test_a_folder_that_is_missing_is_empty(tmp_path):
    assert load.load(tmp_path / "none") == load.Loaded((), ())


def test_other_files_are_no_documents(tmp_path):
    (tmp_path / "report.html").write_text("<p>")
    (tmp_path / ".20261123.json.x7").write_text("{")
    (tmp_path / ".half.json").write_text("{")
    (tmp_path / "folder").mkdir()
    assert load.load(tmp_path) == load.Loaded((), ())


WHOLE = json.dumps(factory.document())


def _without(*path):
    document = factory.document()
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return json.dumps(document)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"no json", "not JSON: line 1 column 1"),
        (b"\xff\xfe", "not JSON: byte 0 is not UTF-8"),
        (WHOLE[:-40].encode(), "truncated"),
        (WHOLE[: WHOLE.index("Qwen3")].encode(), "truncated"),
        (b"[]", "wanted an object, found a list"),
        (b"{}", "not a result document: it has no schema_version and run_id"),
        (b"[" * 100_000, "nested too deeply"),
        (
            WHOLE.replace('"schema_version": 1', '"schema_version": 99').encode(),
            "schema_version is 99, this release reads 1",
        ),
        (WHOLE.replace('"schema_version": 1', '"schema_version": true').encode(), "schema_version is True"),
        (_without("host").encode(), "host is missing"),
        (_without("workload", "num_prompts").encode(), "workload.num_prompts is missing"),
        (_without("repeats", 0, "metrics").encode(), "repeats[0].metrics is missing"),
        (WHOLE.replace('"failed": 0', '"failed": "none"').encode(), "failed is text, wanted a whole number"),
        (WHOLE.replace("951.42", "NaN").encode(), "not JSON: NaN is not a number"),
        (WHOLE.replace("951.42", "1e999").encode(), "is too large a number"),
        (WHOLE.replace("2026-11-23T15:30:00Z", "yesterday").encode(), "started_at is 'yesterday', wanted a time"),
        (json.dumps(factory.document(simulates=["vllm"])).encode(), "simulates is a list, wanted an object"),
    ],
)
def test_a_damaged_document_is_named_and_left_out(tmp_path, content, reason):
    factory.write(tmp_path, factory.document(host="good"))
    broken = tmp_path / "broken.json"
    broken.write_bytes(content)

    loaded = load.load(tmp_path)

    assert [document["host"] for document in loaded.documents] == ["good"]
    assert [item.file for item in loaded.damaged] == ["broken.json"]
    assert reason in loaded.damaged[0].reason
    assert broken.read_bytes() == content


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.json").mkdir()
    assert [(item.file, item.reason[:14]) for item in load.load(tmp_path).damaged] == [
        ("dangling.json", "cannot be read"),
        ("folder.json", "cannot be read"),
    ]


def test_a_copy_of_a_run_counts_once(tmp_path):
    document = factory.document()
    factory.write(tmp_path, document)
    (tmp_path / "copy.json").write_text(json.dumps(document))

    loaded = load.load(tmp_path)

    assert len(loaded.documents) == 1
    assert loaded.damaged[0].reason == "the same run is in " + f"{document['run_id']}.json"


def test_unknown_keys_are_welcome():
    definition.check(factory.document(later={"anything": 1}))


@pytest.mark.parametrize("module", [words, metrics, subject])
def test_examples_hold(module):
    assert doctest.testmod(module).failed == 0


def test_clean_leaves_nothing_that_moves_a_cursor():
    assert (
        words.clean("a\x1b[31mb\u202ec\ud800\nd")
        == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER} d"
    )
    assert words.clean("a\nb", lines=True) == "a\nb"


def test_command_can_be_pasted():
    assert (
        words.command(["vllm", "serve", "--port", "8000", "a b", "--x"])
        == "vllm serve \\\n  --port 8000 'a b' \\\n  --x"
    )
