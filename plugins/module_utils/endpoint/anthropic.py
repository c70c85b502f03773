# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of Anthropic's protocol, down to the request that Claude Code sends, each feature of it by its name.

The request was recorded of Claude Code 2.1.332.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import tools
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import Check, Target, Unmet, told
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.checks import MAX_TOKENS, PROMPT
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import start
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.said import HEADERS, MESSAGES, say

_LEVEL = "anthropic"
_CACHED = {"cache_control": {"type": "ephemeral"}}
_HELLO = [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]
_READ = {
    "name": "Read",
    "description": "Reads a file from the local filesystem.",
    "input_schema": {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]},
}
# What Claude Code's requests have beyond a plain one, each by a name.
FEATURES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "claude_cache_control": (
        "system blocks with cache_control",
        {
            "system": [
                {"type": "text", "text": "You are a coding agent."},
                {"type": "text", "text": "Be brief.", **_CACHED},
            ]
        },
    ),
    "claude_system_turn": (
        "a message of role system between the others",
        {"messages": [{"role": "system", "content": "Today is Thursday."}, *_HELLO]},
    ),
    "claude_trailing_system_turn": (
        "a message of role system at the end",
        {"messages": [*_HELLO, {"role": "system", "content": "Be brief."}]},
    ),
    "claude_adaptive_thinking": ("thinking of type adaptive", {"thinking": {"type": "adaptive"}}),
    "claude_effort": ("output_config with an effort", {"output_config": {"effort": "high"}}),
    "claude_context_management": (
        "context_management",
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
    ),
    "claude_deferred_tools": ("a tool with defer_loading", {"tools": [{**_READ, "defer_loading": True}]}),
}


def _count(target: Target) -> str:
    asked = {"model": target.served_model_name, "messages": _HELLO, "tools": tools.tools(MESSAGES)}
    answer = target.client.post_json(f"{MESSAGES}/count_tokens", asked, headers=HEADERS[MESSAGES])
    count = answer.get("input_tokens")
    if not isinstance(count, int) or count < 1:
        raise Unmet(f"no input_tokens: {start(answer)}")
    return f"{count} tokens were counted"


def _feature(name: str, target: Target) -> str:
    about, more = FEATURES[name]
    said = say(target, MESSAGES, {"messages": _HELLO, "max_tokens": MAX_TOKENS, **more})
    return f"{about} was taken, and {told(said.output_tokens, said.text)} came back"


def request() -> dict[str, Any]:
    """Return a request as Claude Code sends it, that asks for two calls at once."""
    features: dict[str, Any] = {}
    for name, (_unused, more) in FEATURES.items():
        if name not in ("claude_system_turn", "claude_trailing_system_turn"):
            features.update(more)
    reminder = {"type": "text", "text": "<system-reminder>\nUse tools where they help.\n</system-reminder>"}
    asked = {"type": "text", "text": tools.TWO_CALLS, **_CACHED}
    return {
        **features,
        "max_tokens": 2048,
        "metadata": {"user_id": "fleet"},
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Today is Thursday."}]},
            {"role": "user", "content": [reminder, asked]},
            {"role": "system", "content": "Be brief."},
        ],
        "tools": [*tools.tools(MESSAGES), {**_READ, "defer_loading": True}],
    }


def _claude_code(target: Target) -> str:
    return tools.two_calls(say(target, MESSAGES, request(), stream=True))


def _accepted(target: Target) -> str:
    """Send the whole request, whatever the model makes of it."""
    said = say(target, MESSAGES, {**request(), "max_tokens": MAX_TOKENS}, stream=True)
    return f"it was taken as it is, and {told(said.output_tokens, said.text)} came back"


def _x_api_key(target: Target) -> str:
    if target.anonymous is None or not target.key:
        raise ValueError("there is no key to send")
    asked = {"model": target.served_model_name, **tools.body(MESSAGES, PROMPT, 1)}
    headers = {**HEADERS[MESSAGES], "x-api-key": target.key}
    answer = target.anonymous.ask("POST", MESSAGES, json=asked, headers=headers)
    if answer.status != 200:
        raise Unmet(f"POST {MESSAGES} with the key in x-api-key answered {answer.status}")
    return "the key was taken in x-api-key"


CHECKS: Mapping[str, Check] = {
    "messages_stream": Check(
        f"a streamed answer from {MESSAGES} in several pieces, then message_stop",
        partial(tools.in_pieces, MESSAGES, "message_stop"),
        _LEVEL,
    ),
    **tools.in_protocol(MESSAGES, _LEVEL, "messages_"),
    "count_tokens": Check(f"a number of tokens from {MESSAGES}/count_tokens", _count, _LEVEL),
    **{
        name: Check(f"an answer to a request with {about}, as Claude Code sends it", partial(_feature, name), _LEVEL)
        for name, (about, _unused) in FEATURES.items()
    },
    "claude_request": Check("an answer to a whole request of Claude Code", _accepted, _LEVEL),
    "claude_parallel_tool_calls": Check(
        "two streamed calls at once in answer to a whole request of Claude Code", _claude_code, _LEVEL, trained=True
    ),
    "x_api_key": Check(
        "the API key taken in x-api-key, as Anthropic's clients send it", _x_api_key, _LEVEL, keyed=True
    ),
}
