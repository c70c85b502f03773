# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import index, load, spool, store
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import subject
from ansible_collections.inference.fleet.tests.patience import until
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def _sql(path, statement):
    with sqlite3.connect(path) as database:
        found = database.execute(statement).fetchall()
    database.close()
    return found


def _environment():
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[5] / ".build" / "collections")}


class TestStore:
    def test_whole_and_readable(self, tmp_path):
        path = store.add({"run_id": "r", "a": 1}, tmp_path)
        assert path == tmp_path / "r.json"
        assert json.loads(path.read_text(encoding="utf-8")) == {"run_id": "r", "a": 1}
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert names(tmp_path) == ["r.json"]

    def test_never_over_another_one(self, tmp_path):
        store.add({"run_id": "r"}, tmp_path)
        with pytest.raises(store.ExistsError, match="never written over"):
            store.add({"run_id": "r", "a": 1}, tmp_path)
        assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == {"run_id": "r"}
        assert names(tmp_path) == ["r.json"]

    def test_of_many_writers_of_one_name_one_wins(self, tmp_path):
        def write(number):
            try:
                return store.add({"run_id": "r", "by": number, "much": ["x"] * 5000}, tmp_path) and number
            except store.ExistsError:
                return None

        with ThreadPoolExecutor(8) as pool:
            won = [number for number in pool.map(write, range(1, 40)) if number]
        assert len(won) == 1
        assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["by"] == won[0]
        assert names(tmp_path) == ["r.json"]

    def test_what_json_has_not_leaves_no_file(self, tmp_path):
        with pytest.raises(FleetError, match="could not be written"):
            store.add({"run_id": "r", "a": float("nan")}, tmp_path)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("run_id", ["../r", "a/b", "", ".r", "a\nb"])
    def test_a_host_does_not_choose_where_to_write(self, tmp_path, run_id):
        (tmp_path / "in").mkdir()
        with pytest.raises(FleetError, match="no run id that can name a file"):
            store.add({"run_id": run_id}, tmp_path / "in")
        assert names(tmp_path) == ["in"]
        assert names(tmp_path / "in") == []

    def test_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("", encoding="utf-8")
        with pytest.raises(FleetError, match="results_dir"):
            store.prepare(tmp_path / "file" / "results")

    def test_a_file_system_without_links(self, tmp_path, monkeypatch):
        def refuse(*_names):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        store.add({"run_id": "r"}, tmp_path)
        with pytest.raises(store.ExistsError):
            store.add({"run_id": "r"}, tmp_path)
        assert names(tmp_path) == ["r.json"]

    def test_a_writer_that_is_killed_leaves_nothing_that_is_read(self, tmp_path):
        script = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from pathlib import Path\n"
            "from ansible_collections.inference.fleet.plugins.module_utils.results import store\n"
            "store.add({'run_id': 'r', 'much': ['x' * 20] * 5_000_000}, Path(sys.argv[2]))\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(Path(__file__).parents[5] / ".build/collections"), tmp_path]
        )
        until(lambda: any(path.stat().st_size for path in tmp_path.iterdir()))
        process.send_signal(signal.SIGKILL)
        process.wait()
        (left,) = names(tmp_path)
        assert left.startswith(".r.")
        assert load.load(tmp_path) == load.Loaded((), ())


class TestSpool:
    def test_a_host_that_cannot_keep_it_says_so(self, tmp_path):
        (tmp_path / spool.FOLDER).write_text("")
        path, why_not = spool.keep({"run_id": "r"}, [], [], [], tmp_path)
        assert path is None
        assert why_not.startswith("the result could not be kept on the host")


class TestIndex:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch, tmp_path):
        """Make an index worthwhile for any folder, and keep it away from the user's."""
        monkeypatch.setattr(index, "WORTHWHILE", 1)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "results"
        factory.write(folder, factory.document(host="a"), factory.document(host="b", factors=(1, 1.1)))
        (folder / "broken.json").write_text("{")
        return folder

    @pytest.fixture
    def reads(self, monkeypatch):
        """Return the names of the files that were read, as they are."""
        found = []
        read = load.read
        monkeypatch.setattr(load, "read", lambda path: (found.append(path.name), read(path))[1])
        return found

    def stored(self, tmp_path):
        (path,) = (tmp_path / "cache" / "inference.fleet" / "history").iterdir()
        return path

    def test_what_was_read_is_not_read_again(self, folder, reads):
        first = load.load(folder)
        assert len(reads) == 3
        assert [document["host"] for document in first.documents] == ["a", "b"]
        assert [item.file for item in first.damaged] == ["broken.json"]
        assert not any("raw" in repeat for document in first.documents for repeat in document["repeats"])
        assert load.load(folder) == first
        assert len(reads) == 3

    def test_a_file_that_is_new_changed_or_gone(self, folder, reads):
        load.load(folder)
        reads.clear()
        (folder / "broken.json").unlink()
        new = factory.document(host="c")
        factory.write(folder, new)
        (changed,) = folder.glob("*-a-*")
        os.utime(changed, ns=(1, 1))
        again = load.load(folder)
        assert sorted(reads) == sorted([changed.name, f"{new['run_id']}.json"])
        assert ([document["host"] for document in again.documents], again.damaged) == (["a", "b", "c"], ())

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda path: path.write_bytes(b""),
            lambda path: path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2]),
            lambda path: path.write_bytes(path.read_bytes().replace(b"2143", b"9999", 1)),
            lambda path: path.write_bytes(path.read_bytes().replace(b"Xeon", b"Neon", 1)),
            lambda path: _sql(path, "UPDATE form SET form = 'of an older release'"),
            lambda path: _sql(path, "DROP TABLE texts"),
            lambda path: path.write_bytes(b'{"form": "x"}\n{}'),
            lambda path: (path.unlink(), path.mkdir()),
        ],
    )
    def test_an_index_that_is_spoilt_is_made_again(self, folder, reads, tmp_path, spoil):
        first = load.load(folder)
        spoil(self.stored(tmp_path))
        reads.clear()
        assert load.load(folder) == first
        assert len(reads) == 3
        if self.stored(tmp_path).is_file():
            assert load.load(folder) == first
            assert len(reads) == 3

    def test_two_that_write_at_once_take_turns(self, folder, tmp_path):
        script = (
            "from pathlib import Path; import sys\n"
            "from ansible_collections.inference.fleet.plugins.module_utils.results import index, load\n"
            "index.WORTHWHILE = 1\n"
            "print(len(load.load(Path(sys.argv[1])).documents))"
        )
        factory.write(folder, *(factory.document(host=f"h{number}") for number in range(30)))
        command = [sys.executable, "-c", script, str(folder)]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) for _process in range(4)]
        assert [process.communicate()[0].strip() for process in both] == [b"32"] * 4
        assert _sql(self.stored(tmp_path), "PRAGMA integrity_check") == [("ok",)]
        assert _sql(self.stored(tmp_path), "SELECT count(*) FROM files") == [(33,)]

    def test_a_document_is_as_it_was_read(self, folder):
        for _time in range(2):
            for document in load.load(folder).documents:
                whole = load.kept(load.read(folder / f"{document['run_id']}.json"))
                absent = dict.fromkeys(("label", "streaming", "comparison"))
                assert {**document} == {**absent, **whole}
                assert subject(document) == subject(whole)

    def test_what_no_database_takes_is_read_all_the_same(self, folder, reads):
        """A name that is no UTF-8, half a character in a text, repeats that say other than the document's metrics."""
        odd = factory.document(host="odd\ud800", factors=(1.0, 1.1))
        odd["repeats"][1]["metrics"] = {"output_throughput": 7}
        del odd["metrics"]["mean_itl_ms"]["values"]
        whole = json.dumps(odd)
        for name in (b"odd.json", b"\xff.json"):
            (folder / os.fsdecode(name)).write_text(whole.replace(odd["run_id"], f"run-{len(name)}"))
        (folder / os.fsdecode(b"\xfe.json")).write_text("{")
        load.load(folder)
        reads.clear()
        again = load.load(folder)
        assert sorted(map(os.fsencode, reads)) == [b"\xfe.json", b"\xff.json"]
        (kept,) = (document for document in again.documents if document["run_id"] == "run-8")
        assert kept["repeats"][0]["metrics"] == odd["repeats"][0]["metrics"]
        assert kept["repeats"][1]["metrics"] == {"output_throughput": 7}
        assert kept["host"] == "odd\ud800"

    def test_without_a_place_for_it_all_works(self, folder, tmp_path):
        (tmp_path / "cache").write_text("no folder")
        assert load.load(folder) == load.load(folder)

    def test_a_small_folder_has_none(self, folder, monkeypatch, tmp_path):
        monkeypatch.setattr(index, "WORTHWHILE", 1 << 20)
        load.load(folder)
        assert not (tmp_path / "cache").exists()

    def test_what_may_be_readable_later_is_tried_again(self, folder, reads):
        (folder / "folder.json").mkdir()
        load.load(folder)
        reads.clear()
        assert "cannot be read" in next(item for item in load.load(folder).damaged if item.file == "folder.json").reason
        assert reads == ["folder.json"]
