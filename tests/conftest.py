# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection is imported from the checkout, and whatever test leaves a result document leaves a good one."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[1]
COLLECTIONS = ROOT / ".build" / "collections"
SCHEMAS = [ROOT / "docs" / f"{name}.schema.json" for name in ("result", "acceptance", "evaluation")]
# A result document's name is its run id, which begins with its time.
_NAME = re.compile(r"\d{8}T\d{6}Z-.*\.json")

if not (COLLECTIONS / "ansible_collections" / "inference" / "fleet").exists():
    raise RuntimeError(f"{COLLECTIONS} has no link to the checkout: run 'make setup' first")
sys.path.insert(0, str(COLLECTIONS))


def pytest_configure() -> None:
    """Let a run that is told to end tear down what its fixtures made, as one does that is interrupted at a terminal."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def check_document() -> Callable[[dict[str, Any]], None]:
    """Return what holds a result document against the schema."""
    validators = {}
    for path in SCHEMAS:
        schema = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        validators[path.name.partition(".")[0]] = jsonschema.Draft202012Validator(schema)

    def check(document: dict[str, Any]) -> None:
        # As it is in the file: what JSON cannot hold must not be in a document.
        plain = json.loads(json.dumps(document, allow_nan=False))
        faults = [
            f"{'/'.join(map(str, fault.absolute_path))}: {fault.message[:200]}"
            for fault in validators.get(document.get("kind"), validators["result"]).iter_errors(plain)
        ]
        assert not faults, "\n".join(faults)

    return check


@pytest.fixture(autouse=True)
def _documents_meet_the_schema(
    request: pytest.FixtureRequest, check_document: Callable[[dict[str, Any]], None]
) -> Iterator[None]:
    """Hold every document that a test wrote in its own directory against the schema.

    Not those of a test that is marked C(damaged_documents), which writes others on purpose.
    """
    yield
    folder = request.node.funcargs.get("tmp_path")
    if folder is None or request.node.get_closest_marker("damaged_documents"):
        return
    # Other than a glob, a walk does not mind a directory that goes meanwhile.
    for directory, _folders, names in os.walk(folder):
        for name in filter(_NAME.fullmatch, names):
            found = json.loads(Path(directory, name).read_text(encoding="utf-8"))
            # On its way to the control host a document stands beside what is to be added there.
            check_document(found.get("document", found))
