# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tools are called with: values that their schemas accept."""

from __future__ import annotations

import jsonschema
import pytest

from ansible_collections.inference.fleet.plugins.module_utils.simulator.schemas import example

SCHEMAS = {
    "a city": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "no required": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}},
    "nothing": {"type": "object", "properties": {}},
    "enum": {"enum": ["celsius", "fahrenheit"]},
    "const": {"const": {"a": [1]}},
    "default": {"type": "integer", "default": 7, "minimum": 5},
    "null": {"type": "null"},
    "several types": {"type": ["integer", "null"]},
    "short text": {"type": "string", "maxLength": 3},
    "long text": {"type": "string", "minLength": 40},
    "integer from": {"type": "integer", "minimum": 18},
    "integer to": {"type": "integer", "maximum": -3},
    "integer above": {"type": "integer", "exclusiveMinimum": 1},
    "even": {"type": "integer", "multipleOf": 2, "minimum": 5},
    "between": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "narrow": {"type": "number", "minimum": 0.1, "maximum": 0.2},
    "array": {"type": "array", "items": {"type": "string", "enum": ["x"]}, "minItems": 3},
    "empty array": {"type": "array", "maxItems": 0},
    "tuple": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2},
    "any of": {"anyOf": [{"type": "null"}, {"type": "string"}]},
    "one of, with more beside": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "reference": {
        "type": "object",
        "properties": {"place": {"$ref": "#/$defs/place"}},
        "required": ["place"],
        "$defs": {"place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]}},
    },
    "a tree": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["name", "children"],
    },
    "deep": {
        "type": "object",
        "properties": {
            "todos": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {"content": {"type": "string", "minLength": 1}, "status": {"enum": ["done"]}},
                    "required": ["content", "status"],
                    "additionalProperties": False,
                },
            }
        },
        "required": ["todos"],
        "additionalProperties": False,
    },
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_the_schema_accepts_its_example(schema):
    jsonschema.Draft202012Validator(schema).validate(example(schema))


@pytest.mark.parametrize("schema", [{}, {"$ref": "#/nowhere"}, {"$ref": "#"}, {"type": []}])
def test_an_odd_schema_ends(schema):
    example(schema)
