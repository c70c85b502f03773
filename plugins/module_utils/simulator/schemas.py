# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values for JSON Schemas: what the simulator calls tools with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# How deep a value goes: schemas may refer to themselves.
_DEEPEST = 24


def example(schema: Any, root: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """Return a value that a JSON Schema accepts, for the keywords that tools use.

    It knows no C(pattern), C(format) or C(not). Optional properties are left out, unless all are.
    """
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    root = schema if root is None else root
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if "default" in schema:
        return schema["default"]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            rest = {name: value for name, value in schema.items() if name != key}
            return example({**rest, **_resolved(schema[key][0], root)}, root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind == "object" or (kind is None and "properties" in schema):
        properties = schema.get("properties") or {}
        names = schema.get("required") or (properties if depth == 0 else ())
        return {name: example(properties.get(name, {}), root, depth + 1) for name in names}
    if kind == "array":
        first = [example(item, root, depth + 1) for item in schema.get("prefixItems") or ()]
        missing = max(0, int(schema.get("minItems") or (not first and depth < 4)) - len(first))
        if schema.get("maxItems") == 0:
            return []
        return first + [example(schema.get("items", {}), root, depth + 1)] * missing
    if kind in ("integer", "number"):
        return _example_number(schema, whole=kind == "integer")
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    return "simulated".ljust(int(schema.get("minLength") or 0), ".")[: schema.get("maxLength")]


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference within the document, and put the parts of allOf together."""
    for _unused in range(_DEEPEST):
        if "$ref" not in schema:
            break
        place: Any = root
        for part in filter(None, str(schema["$ref"]).lstrip("#").split("/")):
            part = part.replace("~1", "/").replace("~0", "~")
            place = place.get(part) if isinstance(place, Mapping) else None
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**rest, **(place if isinstance(place, Mapping) else {})}
    for part in schema.get("allOf") or ():
        part = _resolved(part, root)
        properties = {**schema.get("properties", {}), **part.get("properties", {})}
        required = [*schema.get("required", ()), *part.get("required", ())]
        schema = {**schema, **part, **({"properties": properties, "required": required} if properties else {})}
    return schema


def _example_number(schema: Mapping[str, Any], whole: bool) -> float:
    """Return the number next to 1 that is in range."""
    step = schema.get("multipleOf") or (1 if whole else 0.5)
    value = 1 if step == 0.5 else step
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(schema.get("exclusiveMinimum"), (int, float)):
        low = schema["exclusiveMinimum"] + step
    if isinstance(schema.get("exclusiveMaximum"), (int, float)):
        high = schema["exclusiveMaximum"] - step
    if low is not None and value < low:
        value = math.ceil(low / step) * step
    if high is not None and value > high:
        value = math.floor(high / step) * step
    if low is not None and value < low:
        # A range narrower than a step.
        value = low
    return int(value) if whole else value
