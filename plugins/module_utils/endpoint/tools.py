# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of tool use, in each protocol that agents speak."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import Check, Target, Unmet, told
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.checks import (
    MAX_TOKENS,
    PROMPT,
    TOOL_NAME,
    TOOL_PROMPT,
    TOOL_SCHEMA,
    TOOL_TOKENS,
    no_call,
)
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import start
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.said import (
    CHAT,
    MESSAGES,
    RESPONSES,
    Call,
    Said,
    say,
)

CITIES = ({"city": "Paris", "unit": "celsius"}, {"city": "Rome", "unit": "celsius"})
TWO_CALLS = (
    f"Call {TOOL_NAME} twice, at once, and say nothing else: with {json.dumps(CITIES[0])} and with "
    f"{json.dumps(CITIES[1])}."
)
NO_CALL = "Say hello in one word. You need no tool for that."
CODE = "4711"
_DESCRIPTION = "Tell the weather in a city."


def tools(path: str) -> list[dict[str, Any]]:
    """Return the tool that is offered, as the protocol of *path* has it."""
    about = {"name": TOOL_NAME, "description": _DESCRIPTION}
    if path == MESSAGES:
        return [{**about, "input_schema": TOOL_SCHEMA, "strict": True}]
    function = {**about, "parameters": TOOL_SCHEMA, "strict": True}
    return [{"type": "function", **function} if path == RESPONSES else {"type": "function", "function": function}]


def choice(path: str, kind: str) -> Any:
    """Return tool_choice: C(auto), C(none), C(required) or C(named), as the protocol has it."""
    if path == MESSAGES:
        word = {"required": "any", "named": "tool"}.get(kind, kind)
        return {"type": word, **({"name": TOOL_NAME} if kind == "named" else {})}
    if kind != "named":
        return kind
    return {"type": "function", **({"name": TOOL_NAME} if path == RESPONSES else {"function": {"name": TOOL_NAME}})}


def body(path: str, prompt: str, tokens: int = TOOL_TOKENS, **more: Any) -> dict[str, Any]:
    """Return a request with one prompt, as the protocol has it."""
    if path == RESPONSES:
        return {"input": prompt, "max_output_tokens": tokens, **more}
    return {"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, **more}


def in_pieces(path: str, end: str, target: Target) -> str:
    """Ask for a streamed text in a protocol whose streams close with *end*; say how it came."""
    said = say(target, path, body(path, PROMPT, MAX_TOKENS), stream=True)
    if not said.text and not said.output_tokens:
        raise Unmet("a stream without text")
    if said.text and said.pieces < 2:
        raise Unmet(f"all {told(said.output_tokens, said.text)} in {said.pieces} piece")
    return f"{told(said.output_tokens, said.text)} came back in {said.pieces} pieces, then {end}"


def fitting(call: Call, finish: str = "") -> dict[str, Any]:
    """Return a call's arguments; raise Unmet where they do not fit the tool's schema."""
    if call.name != TOOL_NAME:
        raise Unmet(f"a call of {call.name!r}")
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        cut = ", cut off by max_tokens" if finish in ("length", "max_tokens", "incomplete") else ""
        raise Unmet(f"arguments that are no JSON{cut}: {start(call.arguments)}") from None
    texts = isinstance(arguments, dict) and all(isinstance(value, str) for value in arguments.values())
    if not texts or set(arguments) != set(TOOL_SCHEMA["required"]):
        raise Unmet(f"arguments that the schema does not allow: {start(call.arguments)}")
    return arguments


def _named(path: str, stream: bool, target: Target) -> str:
    said = say(target, path, body(path, TOOL_PROMPT, tools=tools(path), tool_choice=choice(path, "named")), stream)
    if not said.calls:
        raise no_call(said.text)
    return f"{TOOL_NAME} was called with {start(fitting(said.calls[0], said.finish))}"


def _parallel(path: str, stream: bool, target: Target) -> str:
    said = say(target, path, body(path, TWO_CALLS, tools=tools(path), tool_choice=choice(path, "auto")), stream)
    return two_calls(said)


def two_calls(said: Said) -> str:
    """Check that exactly the two calls were made that were asked for."""
    if not said.calls:
        raise no_call(said.text)
    found = sorted(start(fitting(call, said.finish)) for call in said.calls)
    if len(found) != len(CITIES):
        raise Unmet(f"{len(found)} call{'' if len(found) == 1 else 's'} instead of 2: {', '.join(found)}")
    if [json.loads(text)["city"] for text in found] != [city["city"] for city in CITIES]:
        raise Unmet(f"other arguments than were asked for: {', '.join(found)}")
    if len({call.id for call in said.calls}) != len(CITIES):
        raise Unmet("two calls of the same id, whose answers cannot be told apart")
    return f"two calls came back: {', '.join(found)}"


def _required(target: Target) -> str:
    asked = body(CHAT, NO_CALL, tools=tools(CHAT), tool_choice="required")
    said = say(target, CHAT, asked)
    if not said.calls:
        raise no_call(said.text)
    return f"{TOOL_NAME} was called with {start(fitting(said.calls[0], said.finish))}"


def _none(target: Target) -> str:
    return _silent(say(target, CHAT, body(CHAT, TOOL_PROMPT, 64, tools=tools(CHAT), tool_choice="none")))


def _unwanted(target: Target) -> str:
    return _silent(say(target, CHAT, body(CHAT, NO_CALL, 64, tools=tools(CHAT), tool_choice="auto")))


def _silent(said: Said) -> str:
    if said.calls:
        raise Unmet(f"a call of {said.calls[0].name} with {start(said.calls[0].arguments)}")
    return "text came back, and no call"


def history(path: str) -> list[dict[str, Any]]:
    """Return a conversation in which the tool was called and has answered, with a code that nobody can guess."""
    told, called = f"21 degrees, station code {CODE}", json.dumps(CITIES[0])
    question = {
        "role": "user",
        "content": f"Call {TOOL_NAME} with {called}. Then tell me the station code that it answers.",
    }
    if path == RESPONSES:
        call = {"type": "function_call", "call_id": "call_a1", "name": TOOL_NAME, "arguments": called}
        return [question, call, {"type": "function_call_output", "call_id": "call_a1", "output": told}]
    if path == MESSAGES:
        use = {"type": "tool_use", "id": "toolu_a1", "name": TOOL_NAME, "input": CITIES[0]}
        result = {"type": "tool_result", "tool_use_id": "toolu_a1", "content": told}
        return [question, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    function = {"name": TOOL_NAME, "arguments": called}
    calls = [{"id": "call_a1", "type": "function", "function": function}]
    return [
        question,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_a1", "content": told},
    ]


def _result(path: str, target: Target) -> str:
    past = {"input" if path == RESPONSES else "messages": history(path)}
    said = say(target, path, {**body(path, "", 256), **past, "tools": tools(path)})
    if said.calls:
        raise Unmet(f"another call instead of an answer: {start(said.calls[0].arguments)}")
    if CODE not in said.text:
        raise Unmet(f"an answer without the code {CODE} that the tool gave: {start(said.text)}")
    return f"the code {CODE} that the tool gave came back"


_FIT = "with arguments that fit its schema"


def in_protocol(path: str, level: str, prefix: str) -> Mapping[str, Check]:
    """Return the checks of tool use in one protocol, but for those of :data:`CHECKS`."""
    make: Callable[..., Check] = partial(Check, level=level)
    return {
        f"{prefix}tool_call": make(f"a call of {TOOL_NAME} in {path} {_FIT}", partial(_named, path, False)),
        f"{prefix}streamed_tool_call": make(
            f"a streamed call of {TOOL_NAME} in {path} {_FIT}", partial(_named, path, True)
        ),
        **_parallels(path, level, prefix),
    }


def _parallels(path: str, level: str, prefix: str = "") -> dict[str, Check]:
    make: Callable[..., Check] = partial(Check, level=level, trained=True)
    return {
        f"{prefix}parallel_tool_calls": make(f"two calls at once in {path}", partial(_parallel, path, False)),
        f"{prefix}streamed_parallel_tool_calls": make(
            f"two streamed calls at once in {path}, each with its own arguments", partial(_parallel, path, True)
        ),
        f"{prefix}tool_result": make(f"an answer in {path} that uses what the tool gave", partial(_result, path)),
    }


CHECKS: Mapping[str, Check] = {
    **_parallels(CHAT, "tools"),
    "tool_choice_required": Check(
        "a call where tool_choice is required, though none is needed", _required, "tools", trained=True
    ),
    "tool_choice_none": Check("text and no call where tool_choice is none", _none, "tools"),
    "no_tool_call": Check("no call where none is needed", _unwanted, "tools"),
}
