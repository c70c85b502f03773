# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Result documents from a folder: what can be read is returned, what cannot is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.document import check
from ansible_collections.inference.fleet.plugins.module_utils.results.index import Index


@dataclass(frozen=True)
class Damaged:
    """A file that is left out, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Loaded:
    """What a folder holds: *documents* by start time, then run id; *damaged* by file name.

    Documents come without their repeats' C(raw): see :func:`without_raw`.
    """

    documents: tuple[dict[str, Any], ...]
    damaged: tuple[Damaged, ...]


def opened(folder: Path) -> Loaded:
    """Read *folder*; FleetError, in words for a user, where it is no folder or cannot be listed."""
    if folder.exists() and not folder.is_dir():
        raise FleetError(f"{folder} is not a folder. results_dir is the folder of the result documents.")
    try:
        return load(folder)
    except OSError as error:
        raise FleetError(f"The results folder {folder} cannot be listed: {error.strerror}.") from error


def load(folder: Path) -> Loaded:
    """Read every ``*.json`` of *folder*; one that is missing is as one that is empty.

    A file that is no result document, or that repeats the run of a file before it, is in
    ``damaged``. Raises OSError where the folder itself cannot be listed.

    What was read once is remembered (see :mod:`..history.index`): only files that are new, or that
    changed, are read again.
    """
    documents: dict[str, dict[str, Any]] = {}
    files: dict[str, str] = {}
    damaged: list[Damaged] = []
    index = Index(folder, _form())
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in paths:
        # A name with a dot in front is a document that is being written.
        if path.suffix != ".json" or path.name.startswith("."):
            continue
        document, reason = _read_once(path, index)
        if document is None:
            damaged.append(Damaged(path.name, reason))
            continue
        run_id = document["run_id"]
        if run_id in documents:
            damaged.append(Damaged(path.name, f"the same run is in {files[run_id]}"))
            continue
        documents[run_id] = document
        files[run_id] = path.name
    index.save()
    ordered = sorted(documents.values(), key=lambda item: (words.parse_time(item["started_at"]), item["run_id"]))
    return Loaded(tuple(ordered), tuple(damaged))


@cache
def _form() -> str:
    """Return what an index depends on: what is asked of a document, and what is kept of it."""
    files = (Path(__file__), Path(__file__).with_name("document.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _read_once(path: Path, index: Index) -> tuple[dict[str, Any] | None, str]:
    """Return a document without its raw output, or why there is none; from the index where the file is as it was."""
    try:
        stat = path.stat()
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    known = index.find(path.name, stat)
    if known is None:
        try:
            known = [without_raw(read(path)), ""]
        except UnreadableError as error:
            # May be another time, without a change to the file.
            return None, str(error)
        except ValueError as error:
            known = [None, str(error)]
        index.keep(path.name, stat, known)
    return known[0], known[1]


def without_raw(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without what its clients wrote, which is most of its size and in no comparison."""

    def lighter(part: Mapping[str, Any]) -> dict[str, Any]:
        repeats = [{key: value for key, value in repeat.items() if key != "raw"} for repeat in part["repeats"]]
        return {**part, "repeats": repeats}

    sweep = document.get("sweep")
    if sweep:
        sweep = {**sweep, "points": [lighter(point) for point in sweep["points"]]}
    return {**lighter(document), "sweep": sweep}


class UnreadableError(ValueError):
    """A file that the system did not let be read, whatever is in it."""


def read(path: Path) -> dict[str, Any]:
    """Return one result document; ValueError with the reason where the file is none."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"not JSON: byte {error.start} is not UTF-8") from error
    if not text.strip():
        raise ValueError("the file is empty")
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        found = "the file ends too early (truncated)" if cut else error.msg
        raise ValueError(f"not JSON: line {error.lineno} column {error.colno}: {found}") from error
    except RecursionError as error:
        raise ValueError("not a result document: nested too deeply") from error
    check(document)
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"not JSON: {name} is not a number")
