# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host says that it shares: signed, and taken only in the one form that it can have. All pure.

A manifest is JSON, ``{"model", "commit", "files": [{"name", "blob", "size", "sha256"}]}``. Nothing of it is believed
before its signature was seen to be that of the word which both hosts know, over this copy's own nonce: an answer to
another's question, or to an earlier one, has another. Whoever knows the word is not believed either: a name or a number
that could lead out of the cache is refused.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.weights import share
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import COMMIT, Weights

MOST_BYTES = 16 * 2**20
MOST_FILES = 20_000
LARGEST_FILE = 2**42
_BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A part of a path: no control character, no separator of any system, not only dots.
_PART = re.compile(r"(?!\.{1,2}$)[^\x00-\x1f\x7f/\\]{1,255}")


@dataclass(frozen=True)
class File:
    """A file of a snapshot: its name there, the blob that it is, and what is in it."""

    name: str
    blob: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A model's snapshot."""

    commit: str
    files: tuple[File, ...]


def read(body: bytes, signature: str, token: str, nonce: str, weights: Weights, host: str) -> Manifest:
    """Return what a host shares. Raises :class:`FleetError` where it is not signed, or not of the form."""
    if not hmac.compare_digest(share.signature(token, "manifest", nonce, body).encode(), signature.encode()):
        raise FleetError(
            f"{host} did not sign what it shares with this run's word: another answers there, or between. "
            "Nothing was taken. See that the network between the hosts is yours, and that no other run shares there."
        )
    try:
        facts = json.loads(body)
        found = Manifest(_text(facts, "commit", COMMIT), tuple(map(_file, _list(facts))))
        if facts["model"] != weights.model:
            raise ValueError(f"model {facts['model']!r:.100}, wanted {weights.model}")
        if weights.revision and COMMIT.fullmatch(weights.revision) and weights.revision != found.commit:
            raise ValueError(f"commit {found.commit}, wanted {weights.revision}")
        _refuse_clashes(found)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FleetError(
            f"{host} shares what is none of a hub's cache: {error}. Nothing was taken. "
            "Look into its cache, or have each host download for itself: no prepare_seed_host."
        ) from error
    return found


def _list(facts: Mapping[str, Any]) -> list[Any]:
    files = facts["files"]
    if not isinstance(files, list) or not 0 < len(files) <= MOST_FILES:
        raise ValueError("a list of files that is none, empty, or too long")
    return files


def _file(facts: Mapping[str, Any]) -> File:
    name, size = facts["name"], facts["size"]
    if not isinstance(name, str) or len(name) > 1024 or not all(map(_PART.fullmatch, name.split("/"))):
        raise ValueError(f"a file named {name!r:.100}")
    # A name that is no text has no bytes to be written as.
    name.encode()
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= LARGEST_FILE:
        raise ValueError(f"a size of {size!r:.100} bytes for {name}")
    blob, sha256 = _text(facts, "blob", _BLOB), _text(facts, "sha256", _SHA256)
    if len(blob) == 64 and blob != sha256:
        raise ValueError(f"a blob {blob} whose content is another")
    return File(name, blob, size, sha256)


def _text(facts: Mapping[str, Any], key: str, form: re.Pattern[str]) -> str:
    value = facts[key]
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError(f"a {key} of {value!r:.100}")
    return value


def _refuse_clashes(found: Manifest) -> None:
    """Refuse two files of one name, one that another stands in, and one blob with two contents."""
    names = {file.name for file in found.files}
    folders = {name.rpartition("/")[0] for name in names if "/" in name}
    parents = {"/".join(folder.split("/")[:depth]) for folder in folders for depth in range(1, folder.count("/") + 2)}
    contents = {(file.blob, file.size, file.sha256) for file in found.files}
    if len(names) < len(found.files):
        raise ValueError("two files of one name")
    if names & parents:
        raise ValueError(f"a file {min(names & parents)[:100]!r} that others stand in")
    if len({blob for blob, _size, _sha256 in contents}) < len(contents):
        raise ValueError("one blob with two contents")
