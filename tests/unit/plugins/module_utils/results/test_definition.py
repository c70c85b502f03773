# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema defines a document. What the loader asks for follows from it: it is never more, and never other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.results import document as definition

SCHEMA = json.loads((Path(__file__).resolve().parents[5] / "docs" / "result.schema.json").read_text(encoding="utf-8"))
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def disagreements(schema: dict[str, Any], shape: Any, required: bool, path: str = "document") -> Iterator[str]:
    """Yield where a document that the schema takes would be refused by the loader's *shape*, or is unknown to it."""
    schema = _resolved(schema)
    maybe = isinstance(shape, definition._Maybe)
    if maybe:
        shape = shape.shape
    elif not required:
        yield f"{path}: the loader requires it, the schema does not"
    types = _types(schema)
    if "null" in types and not maybe:
        yield f"{path}: the schema takes null, the loader does not"
    types -= {"null"}
    if isinstance(shape, dict):
        if types != {"object"}:
            yield f"{path}: {types} in the schema, an object for the loader"
        inner = _object(schema)
        known = inner.get("properties", {})
        for key, part in shape.items():
            if key in known:
                yield from disagreements(known[key], part, key in inner.get("required", ()), f"{path}.{key}")
            elif known:
                yield f"{path}.{key}: the schema does not know it"
    elif isinstance(shape, definition._Each):
        inner = _object(schema)
        parts = [*inner.get("properties", {}).values()]
        parts += [inner["additionalProperties"]] if inner.get("additionalProperties") else []
        for part in parts:
            yield from disagreements(part, shape.shape, True, f"{path}.*")
    elif isinstance(shape, list):
        if types != {"array"}:
            yield f"{path}: {types} in the schema, a list for the loader"
        yield from disagreements(schema.get("items", {}), shape[0], True, f"{path}[]")
    elif shape == "time":
        if "pattern" not in schema:
            yield f"{path}: no time in the schema"
    else:
        wanted = {_TYPES[kind] for kind in (shape if isinstance(shape, tuple) else (shape,))}
        if not types <= wanted:
            yield f"{path}: {types} in the schema, {wanted} for the loader"


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    return SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _object(schema: dict[str, Any]) -> dict[str, Any]:
    return next((part for part in schema.get("oneOf", ()) if part.get("type") == "object"), schema)


def _types(schema: dict[str, Any]) -> set[str]:
    """Return the types that a schema takes."""
    if "oneOf" in schema:
        return {kind for part in schema["oneOf"] for kind in _types(_resolved(part))}
    if "enum" in schema or "const" in schema:
        names = {str: "string", int: "integer", bool: "boolean", type(None): "null"}
        return {names[type(value)] for value in schema.get("enum", [schema.get("const")])}
    kinds = schema.get("type", [])
    return {kinds} if isinstance(kinds, str) else set(kinds)


def test_the_loader_takes_what_the_schema_takes():
    assert list(disagreements(SCHEMA, definition._DOCUMENT, True)) == []
    assert list(disagreements(SCHEMA["properties"]["sweep"], definition._Maybe(definition._SWEEP), True)) == []


def test_the_loader_reads_the_versions_of_the_schema():
    version = SCHEMA["properties"]["schema_version"]
    assert tuple(version.get("enum", [version.get("const")])) == definition.SCHEMA_VERSIONS


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"host": {"type": ["string", "null"]}}, "document.host: the schema takes null"),
        ({"warm": {"type": "string"}}, "document.warm: {'string'} in the schema"),
        ({"quality": {"type": "array"}}, "document.quality: {'array'} in the schema, an object"),
    ],
)
def test_a_schema_that_differs_is_found(change, found):
    other = {**SCHEMA, "properties": {**SCHEMA["properties"], **change}}
    assert any(item.startswith(found) for item in disagreements(other, definition._DOCUMENT, True))
    assert list(disagreements({**SCHEMA, "required": []}, definition._DOCUMENT, True))
