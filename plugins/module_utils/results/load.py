# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Result documents from a folder: what can be read is returned, what cannot is named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.document import check
from ansible_collections.inference.fleet.plugins.module_utils.results.index import Index
from ansible_collections.inference.fleet.plugins.module_utils.results.stored import Row, Stored, Unpacker, pack


@dataclass(frozen=True)
class Damaged:
    """A file that is left out, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Loaded:
    """What a folder holds: *documents* by start time, then run id; *damaged* by file name.

    Documents come without what their repeats alone have and no reader of many asks for: see :func:`kept`.
    """

    documents: tuple[Mapping[str, Any], ...]
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

    What was read once is remembered (see :mod:`.index`): only files that are new, or that
    changed, are read again.
    """
    documents: dict[str, Stored] = {}
    files: dict[str, str] = {}
    damaged: list[Damaged] = []
    index, unpacker = Index(folder, _form()), Unpacker()
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else []
    for entry in entries:
        # A name with a dot in front is a document that is being written.
        if not entry.name.endswith(".json") or entry.name.startswith("."):
            continue
        known = _known(folder, entry, index)
        if isinstance(known, str):
            damaged.append(Damaged(entry.name, known))
            continue
        document = unpacker.document(known)
        run_id = document["run_id"]
        if run_id in documents:
            damaged.append(Damaged(entry.name, f"the same run is in {files[run_id]}"))
            continue
        documents[run_id] = document
        files[run_id] = entry.name
    index.save()
    ordered = sorted(documents.values(), key=lambda item: (words.parse_time(item["started_at"]), item["run_id"]))
    return Loaded(tuple(ordered), tuple(damaged))


@cache
def _form() -> str:
    """Return what an index depends on: what is asked of a document, and what is kept of it."""
    files = (Path(__file__).with_name(f"{name}.py") for name in ("load", "document", "stored", "subject", "index"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _known(folder: Path, entry: os.DirEntry[str], index: Index) -> Row | str:
    """Return what to keep of a file: its document without raw output, or why it is none."""
    try:
        stat = entry.stat()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    known = index.find(entry.name, stat)
    if known is None:
        try:
            known = pack(kept(read(folder / entry.name)))
        except UnreadableError as error:
            # May be another time, without a change to the file.
            return str(error)
        except ValueError as error:
            known = str(error)
        index.keep(entry.name, stat, known)
    return known


def without_raw(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without what its clients wrote, which is most of its size and in no comparison."""
    return _without(document, {"raw"})


def kept(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document as a history has it: without what was sampled and counted in each repeat, either.

    What that came to is in the document's own efficiency and quality, and reading it takes half of a page's time. The
    first repeat's C(over_time) stays, which tells how the run went.
    """
    return {**_without(document, {"raw", "telemetry", "counted"}), "over_time": over_time(document)}


def over_time(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what was sampled during a run's first repeat, as short series; None where the document has none."""
    if "over_time" in document:
        return document["over_time"]
    found: Mapping[str, Any] | None = None
    for repeat in document["repeats"][:1]:
        found = (repeat.get("telemetry") or {}).get("over_time")
    return found


def _without(document: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    def lighter(part: Mapping[str, Any]) -> dict[str, Any]:
        repeats = [{key: value for key, value in repeat.items() if key not in names} for repeat in part["repeats"]]
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
