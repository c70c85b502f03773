# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of a folder of documents before, so that reading it again takes no minutes.

A document of 512 requests that AIPerf measured has 5 MB, nearly all of it the client's own record of each request,
which nobody compares. The index keeps the rest, in a database of SQLite in the user's cache folder. Anything that is
wrong with it makes it empty: it can always be made again from the documents. Two that write at once take turns.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results.stored import Row

# Less than this, in bytes, is read as fast without an index.
WORTHWHILE = 4 << 20
# Seconds to wait for another one that writes.
_PATIENCE = 10
_TABLES = """
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, crc INTEGER NOT NULL);
CREATE TABLE files (
    name TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL, inode INTEGER NOT NULL,
    reason TEXT, subject INTEGER, shared INTEGER, head TEXT, body BLOB, crc INTEGER
) WITHOUT ROWID;
CREATE TABLE form (form TEXT NOT NULL);
"""
_READ = "SELECT name, size, mtime, inode, reason, subject, shared, head, body, crc FROM files"


class Index:
    """What is known of the files of one folder, each by its name, size, time and inode.

    *form* is the form of what is kept: an index in another form is empty. What is kept of a file is the row of its
    document, or the reason why it is none.
    """

    def __init__(self, folder: Path, form: str) -> None:
        self._path = _place(folder)
        self._form = form
        self._spoilt = False
        self._known = self._read()
        self._seen: set[str] = set()
        self._new: dict[str, tuple[tuple[int, int, int], Row | str]] = {}
        self._bytes_read = 0

    def find(self, name: str, stat: os.stat_result) -> Row | str | None:
        """Return what is known of a file as it is now; None where nothing is."""
        entry = self._known.get(name)
        if entry is None or entry[0] != _identity(stat):
            return None
        self._seen.add(name)
        return entry[1]

    def keep(self, name: str, stat: os.stat_result, value: Row | str) -> None:
        """Remember what there is to know of a file as it was before it was read."""
        try:
            name.encode()
        except UnicodeEncodeError:
            # SQLite has no place for a name that is no UTF-8: such a file is read each time.
            return
        self._new[name] = (_identity(stat), value)
        self._bytes_read += stat.st_size

    def save(self) -> None:
        """Write what is new for the next time, where that is worth it. What cannot be written is done without."""
        if self._bytes_read < WORTHWHILE:
            return
        for _try in range(2):
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if self._spoilt:
                    self._path.unlink(missing_ok=True)
                with _opened(self._path) as database:
                    self._write(database)
                return
            except sqlite3.OperationalError:
                # Another one has it, or the disk is full.
                return
            except sqlite3.DatabaseError:
                self._spoilt = True
            except OSError:
                return

    def _write(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        if _form(database) != self._form:
            for name in ("files", "texts", "form"):
                database.execute(f"DROP TABLE IF EXISTS {name}")
            for statement in _TABLES.split(";"):
                database.execute(statement)
            database.execute("INSERT INTO form VALUES (?)", (self._form,))
        gone = self._known.keys() - self._seen - self._new.keys()
        database.executemany("DELETE FROM files WHERE name = ?", ((name,) for name in gone))
        texts = {text for _of, value in self._new.values() if isinstance(value, Row) for text in value[:2]}
        database.executemany(
            "INSERT OR IGNORE INTO texts (text, crc) VALUES (?, ?)", ((text, _crc(text)) for text in texts)
        )
        ids = {text: number for number, text in database.execute("SELECT id, text FROM texts")}
        database.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    name,
                    *of,
                    None,
                    ids[value.subject],
                    ids[value.shared],
                    value.head,
                    value.body,
                    _crc(value.head, value.body),
                )
                if isinstance(value, Row)
                else (name, *of, value, None, None, None, None, _crc(value))
                for name, (of, value) in self._new.items()
            ),
        )
        database.execute("COMMIT")

    def _read(self) -> dict[str, tuple[tuple[int, int, int], Row | str]]:
        try:
            if not self._path.exists():
                return {}
            with _opened(self._path) as database:
                if _form(database) != self._form:
                    return {}
                # In one transaction: another one may write meanwhile.
                database.execute("BEGIN")
                texts = {}
                for number, text, crc in database.execute("SELECT id, text, crc FROM texts"):
                    texts[number] = _sound(text, crc, text)
                return {
                    name: (
                        (size, mtime, inode),
                        _sound(reason, crc, reason)
                        if head is None
                        else _sound(Row(texts[subject], texts[shared], head, body), crc, head, body),
                    )
                    for name, size, mtime, inode, reason, subject, shared, head, body, crc in database.execute(_READ)
                }
        except (OSError, sqlite3.Error, KeyError, ValueError, TypeError):
            self._spoilt = True
            return {}


def _sound(value: Any, crc: int, *parts: str | bytes) -> Any:
    """Return *value* where its parts have the checksum that they were written with; SQLite keeps none."""
    if _crc(*parts) != crc:
        raise ValueError("the index is spoilt")
    return value


def _crc(*parts: str | bytes) -> int:
    found = 0
    for part in parts:
        found = zlib.crc32(part.encode() if isinstance(part, str) else part, found)
    return found


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    try:
        yield database
    finally:
        database.close()


def _form(database: sqlite3.Connection) -> str | None:
    """Return the form of an index; None of a database without one."""
    try:
        row = database.execute("SELECT form FROM form").fetchone()
    except sqlite3.OperationalError:
        return None
    return row[0] if row else None


def _identity(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _place(folder: Path) -> Path:
    # As the specification has it, a relative path is none.
    cache = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(cache) if os.path.isabs(cache) else Path(os.path.expanduser("~")) / ".cache"
    name = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]
    return home / "inference.fleet" / "history" / f"{name}.sqlite"
