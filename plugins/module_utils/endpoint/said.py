# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an endpoint said, whole or streamed, in one form for OpenAI's chat and responses and Anthropic's messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import (
    Target,
    Unmet,
    choice_of,
    events,
    mapping,
    mappings,
    text_of,
)
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import start
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import ANTHROPIC_VERSION

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
HEADERS = {MESSAGES: {"anthropic-version": ANTHROPIC_VERSION}}


@dataclass
class Call:
    """A call of a tool: its arguments are what came, as text."""

    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass
class Said:
    """An answer. *finish* is the protocol's own word for why it ended; *pieces* is how many came with text."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    pieces: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


def say(target: Target, path: str, body: Mapping[str, Any], stream: bool = False) -> Said:
    """Send a request in the protocol of *path*, and return what is said. Raises Unmet for what is no such answer."""
    asked = {"model": target.served_model_name, **body}
    if stream:
        more = {"stream_options": {"include_usage": True}} if path == CHAT else {}
        sent = target.client.post_events(path, {**asked, "stream": True, **more}, headers=HEADERS.get(path))
        return _STREAMS[path](sent)
    return _WHOLES[path](target.client.post_json(path, asked, headers=HEADERS.get(path)))


def _counted(said: Said, usage: Any) -> Said:
    usage = mapping(usage)
    for name, kind in (("prompt", "input"), ("completion", "output")):
        count = usage.get(f"{name}_tokens", usage.get(f"{kind}_tokens"))
        if isinstance(count, int) and count:
            setattr(said, f"{kind}_tokens", count)
    return said


# OpenAI's chat


def _chat(answer: Mapping[str, Any]) -> Said:
    choice = choice_of(answer)
    message = mapping(choice.get("message"))
    calls = []
    for call in mappings(message.get("tool_calls")):
        function = mapping(call.get("function"))
        calls.append(Call(str(call.get("id")), str(function.get("name")), _as_text(function.get("arguments"))))
    return _counted(Said(text_of(message), calls, str(choice.get("finish_reason"))), answer.get("usage"))


def _chat_stream(sent: Iterable[str]) -> Said:
    said, calls = Said(), {}
    for event in events(sent):
        for choice in mappings(event.get("choices")):
            delta = mapping(choice.get("delta"))
            said.finish = choice.get("finish_reason") or said.finish
            said.text += text_of(delta)
            said.pieces += bool(text_of(delta))
            for part in mappings(delta.get("tool_calls")):
                function = mapping(part.get("function"))
                call = calls.setdefault(str(part.get("index")), Call())
                call.id += str(part.get("id") or "")
                call.name += str(function.get("name") or "")
                call.arguments += str(function.get("arguments") or "")
        _counted(said, event.get("usage"))
    said.calls = list(calls.values())
    return said


# Anthropic's messages


def _message(answer: Mapping[str, Any]) -> Said:
    if answer.get("type") != "message":
        raise Unmet(f"no answer of type message: {start(answer)}")
    said = Said(finish=str(answer.get("stop_reason")))
    for block in mappings(answer.get("content")):
        if block.get("type") == "tool_use":
            said.calls.append(Call(str(block.get("id")), str(block.get("name")), json.dumps(block.get("input"))))
        else:
            said.text += str(block.get("text") or block.get("thinking") or "")
    return _counted(said, answer.get("usage"))


def _message_stream(sent: Iterable[str]) -> Said:
    said = Said()
    blocks: dict[Any, Call | None] = {}
    for event in events(sent, "message_stop"):
        kind, index = event.get("type"), event.get("index")
        if kind == "message_start":
            _counted(said, mapping(event.get("message")).get("usage"))
        elif kind == "content_block_start":
            block = mapping(event.get("content_block"))
            is_call = block.get("type") == "tool_use"
            blocks[index] = Call(str(block.get("id")), str(block.get("name"))) if is_call else None
            said.text += str(block.get("text") or "")
        elif kind == "content_block_delta":
            if index not in blocks:
                raise Unmet(f"a delta of a content block that was not opened: {start(event)}")
            delta = mapping(event.get("delta"))
            call = blocks[index]
            if call:
                call.arguments += str(delta.get("partial_json") or "")
            text = str(delta.get("text") or delta.get("thinking") or "")
            said.text += text
            said.pieces += bool(text)
        elif kind == "message_delta":
            said.finish = str(mapping(event.get("delta")).get("stop_reason"))
            _counted(said, event.get("usage"))
    said.calls = [call for call in blocks.values() if call]
    return said


# OpenAI's responses


def _response(answer: Mapping[str, Any]) -> Said:
    if answer.get("object") != "response":
        raise Unmet(f"no object of kind response: {start(answer)}")
    said = Said(finish=str(answer.get("status")))
    for item in mappings(answer.get("output")):
        if item.get("type") == "function_call":
            said.calls.append(Call(str(item.get("call_id")), str(item.get("name")), _as_text(item.get("arguments"))))
        for part in mappings(item.get("content")):
            said.text += str(part.get("text") or "")
    return _counted(said, answer.get("usage"))


def _response_stream(sent: Iterable[str]) -> Said:
    pieces, told, calls = 0, "", {}
    for event in events(sent, "response.completed", "response.incomplete", "response.failed"):
        kind = str(event.get("type"))
        if kind == "response.output_item.added" and mapping(event.get("item")).get("type") == "function_call":
            calls[event.get("output_index")] = ""
        elif kind == "response.function_call_arguments.delta":
            calls[event.get("output_index")] = calls.get(event.get("output_index"), "") + str(event.get("delta"))
        elif kind in ("response.output_text.delta", "response.reasoning_text.delta"):
            told += str(event.get("delta"))
            pieces += 1
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            said = _response(mapping(event.get("response")))
            if [call.arguments for call in said.calls] != list(calls.values()):
                raise Unmet(f"streamed arguments {start(list(calls.values()))}, and others at the end: {start(event)}")
            said.pieces = pieces
            return said
    raise Unmet("a stream without response.completed")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_WHOLES = {CHAT: _chat, MESSAGES: _message, RESPONSES: _response}
_STREAMS = {CHAT: _chat_stream, MESSAGES: _message_stream, RESPONSES: _response_stream}
