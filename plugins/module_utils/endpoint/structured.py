# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of answers in JSON that have to fit a schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import tools
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import Check, Target, Unmet
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import start
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.said import CHAT, RESPONSES, say

_LEVEL = "structured"
# Nothing in it is without bounds: a model with random weights fills it, too.
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 16},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "sunny": {"type": "boolean"},
    },
    "required": ["city", "unit", "sunny"],
    "additionalProperties": False,
}
_PROMPT = "Describe the weather in Paris as JSON."


def _fits(text: str, finish: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        cut = ", cut off by max_tokens" if finish in ("length", "incomplete") else ""
        raise Unmet(f"text that is no JSON{cut}: {start(text)}") from None
    properties = SCHEMA["properties"]
    if not isinstance(found, dict) or set(found) != set(properties):
        raise Unmet(f"JSON with other keys than {', '.join(properties)}: {start(text)}")
    right = isinstance(found["city"], str) and isinstance(found["sunny"], bool)
    if not right or found["unit"] not in properties["unit"]["enum"] or len(found["city"]) > 16:
        raise Unmet(f"JSON that the schema does not allow: {start(text)}")
    return f"{start(text)} came back"


def _chat(stream: bool, target: Target) -> str:
    form = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA, "strict": True}}
    said = say(target, CHAT, tools.body(CHAT, _PROMPT, response_format=form), stream)
    return _fits(said.text, said.finish)


def _response(target: Target) -> str:
    form = {"format": {"type": "json_schema", "name": "weather", "schema": SCHEMA, "strict": True}}
    said = say(target, RESPONSES, tools.body(RESPONSES, _PROMPT, text=form))
    return _fits(said.text, said.finish)


CHECKS: Mapping[str, Check] = {
    "json_schema": Check(f"JSON from {CHAT} that fits its schema", partial(_chat, False), _LEVEL),
    "streamed_json_schema": Check(f"streamed JSON from {CHAT} that fits its schema", partial(_chat, True), _LEVEL),
    "response_json_schema": Check(f"JSON from {RESPONSES} that fits its schema", _response, _LEVEL),
}
