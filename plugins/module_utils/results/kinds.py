# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of other kinds than a benchmark's: each kind has a folder of its own under that of the results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import words

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of document: its name, which is its folder's too, what messages call it, and what each document has."""

    name: str
    noun: str
    keys: tuple[str, ...]
    schema_versions: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Kept:
    """What a folder holds: *documents*, oldest first, and of each file that is none its name and the reason."""

    documents: tuple[Document, ...]
    damaged: tuple[tuple[str, str], ...]


def load(results: Path, kind: Kind) -> Kept:
    """Read the documents of a kind that a results folder has; none where there is no such folder."""
    documents, damaged = [], []
    for path in sorted((results / kind.name).glob("[!.]*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            _check(document, kind)
        except (OSError, ValueError) as error:
            damaged.append((path.name, words.shorten(" ".join(str(error).split()), 200)))
        else:
            documents.append(document)
    return Kept(tuple(sorted(documents, key=order)), tuple(damaged))


def order(document: Document) -> tuple[str, str]:
    """What documents are sorted by, oldest first."""
    return document["started_at"], document["run_id"]


def _check(document: Any, kind: Kind) -> None:
    if not isinstance(document, dict) or document.get("kind") != kind.name:
        raise ValueError(f"not a document of {kind.noun}")
    if document.get("schema_version") not in kind.schema_versions:
        raise ValueError(
            f"schema_version is {document.get('schema_version')!r}, this release reads {kind.schema_versions}"
        )
    missing = [key for key in kind.keys if key not in document]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
