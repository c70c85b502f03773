# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the simulator says: text, tool calls, and the shapes of OpenAI's and Anthropic's answers. All pure.

A token is one byte of UTF-8 of a prompt, and one ASCII character of an answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from .schemas import example

_SENTENCE = "This text is simulated. No model wrote it. "
# An answer's length where the client leaves it to the model.
NATURAL_LENGTH = 128


class Refused(Exception):
    """A request that gets an error: HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Tool:
    """A function that may be called, and the JSON Schema of its arguments."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What is generated: one token a character. With ``tool``, the text is the call's arguments."""

    prompt_tokens: int
    text: str
    finish: str
    tool: str | None = None


def count_tokens(value: Any) -> int:
    """Return the tokens of a prompt: text, a message's content with its parts, or a list of either."""
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode(errors="surrogatepass"))
    if isinstance(value, Mapping):
        return count_tokens(value.get("content") if "content" in value else value.get("text"))
    if isinstance(value, Sequence):
        # A completion's prompt may be a list of token ids.
        return sum(1 if isinstance(item, int) else count_tokens(item) for item in value)
    raise Refused(400, "the prompt is neither text nor messages")


def chat_answer(body: Mapping[str, Any], max_model_len: int) -> Answer:
    """Answer /v1/chat/completions."""
    messages = _messages(body)
    tools = [_openai_tool(item) for item in _listed(body, "tools")]
    choice = body.get("tool_choice")
    named = None
    if isinstance(choice, Mapping):
        named = str(_mapping(choice.get("function"), "tool_choice.function").get("name"))
    elif choice not in (None, "auto", "none", "required"):
        raise Refused(400, "tool_choice must be auto, none, required or a function")
    answered = messages[-1].get("role") == "tool"
    tool = _chosen(tools, named, forced=choice == "required", free=choice == "none" or answered)
    return _answer(body, count_tokens(messages), tool, max_model_len)


def completion_answer(body: Mapping[str, Any], max_model_len: int) -> Answer:
    """Answer /v1/completions."""
    if "prompt" not in body:
        raise Refused(400, "prompt is missing")
    return _answer(body, count_tokens(body["prompt"]), None, max_model_len)


def message_answer(body: Mapping[str, Any], max_model_len: int) -> Answer:
    """Answer /v1/messages."""
    if "max_tokens" not in body:
        raise Refused(400, "max_tokens is missing")
    messages = _messages(body)
    tools = [_anthropic_tool(item) for item in _listed(body, "tools")]
    choice = _mapping(body.get("tool_choice") or {}, "tool_choice")
    kind = choice.get("type", "auto")
    if kind not in ("auto", "any", "tool", "none"):
        raise Refused(400, "tool_choice.type must be auto, any, tool or none")
    named = str(choice.get("name")) if kind == "tool" else None
    content = messages[-1].get("content")
    blocks = content if isinstance(content, list) else []
    answered = any(isinstance(block, Mapping) and block.get("type") == "tool_result" for block in blocks)
    tool = _chosen(tools, named, forced=kind == "any", free=kind == "none" or answered)
    return _answer(body, message_tokens(body), tool, max_model_len)


def message_tokens(body: Mapping[str, Any]) -> int:
    """Return the tokens of the prompt of /v1/messages."""
    return count_tokens(_messages(body)) + count_tokens(body.get("system"))


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Refused(400, f"{name} must be an object")
    return value


def _listed(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name) or []
    if not isinstance(value, list):
        raise Refused(400, f"{name} must be a list")
    return value


def _whole(body: Mapping[str, Any], name: str, least: int) -> int | None:
    """Return a number of the request, or None where it is not given."""
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise Refused(400, f"{name} must be a whole number of at least {least}, not {value!r}")
    return value


def _messages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = _listed(body, "messages")
    if not messages or not all(isinstance(item, Mapping) for item in messages):
        raise Refused(400, "messages must be a list of messages with role and content")
    return messages


def _openai_tool(item: Any) -> Tool:
    function = _mapping(_mapping(item, "each of tools").get("function"), "the function of each of tools")
    return _tool(function.get("name"), function.get("parameters"))


def _anthropic_tool(item: Any) -> Tool:
    tool = _mapping(item, "each of tools")
    return _tool(tool.get("name"), tool.get("input_schema"))


def _tool(name: Any, schema: Any) -> Tool:
    if not name or not isinstance(name, str):
        raise Refused(400, "each of tools must have a name")
    return Tool(name, _mapping(schema or {}, f"the schema of the tool {name}"))


def _chosen(tools: Sequence[Tool], named: str | None, *, forced: bool, free: bool) -> Tool | None:
    """Return the tool that is called: the first where the client leaves the choice.

    Where the client has just answered a call, the model would not call again, unless it is forced to.
    """
    if not tools and (named or forced):
        raise Refused(400, "tool_choice asks for a tool, and tools is empty")
    for tool in tools:
        if named == tool.name or (named is None and (forced or not free)):
            return tool
    if named:
        raise Refused(400, f"tool_choice names {named}, which is not among tools")
    return None


def _answer(body: Mapping[str, Any], prompt_tokens: int, tool: Tool | None, max_model_len: int) -> Answer:
    limit = _whole(body, "max_completion_tokens", 1) or _whole(body, "max_tokens", 1)
    least = _whole(body, "min_tokens", 0) or 0
    room = max_model_len - prompt_tokens
    if room < 1 or (limit or 0) > room:
        raise Refused(
            400,
            f"This model's maximum context length is {max_model_len} tokens. However, you requested "
            f"{limit or 0} output tokens and your prompt contains {prompt_tokens} input tokens.",
        )
    if tool:
        arguments = example(tool.schema)
        text = json.dumps(arguments if isinstance(arguments, Mapping) else {})
        return Answer(prompt_tokens, text, "tool_calls", tool.name)
    length = limit or room
    # A client that measures asks for the whole length; others get what a model would stop at by itself.
    natural = max(NATURAL_LENGTH, least)
    if natural < length and not (body.get("ignore_eos") and limit):
        return Answer(prompt_tokens, _text(natural), "stop")
    return Answer(prompt_tokens, _text(length), "length")


def _text(length: int) -> str:
    return "".join(islice(cycle(_SENTENCE), length))


# OpenAI's shapes


def usage(answer: Answer) -> dict[str, int]:
    """Return the usage block of an OpenAI answer."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": len(answer.text),
        "total_tokens": answer.prompt_tokens + len(answer.text),
    }


def chat_body(answer: Answer) -> dict[str, Any]:
    """Return the choice of a whole chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": None if answer.tool else answer.text}
    if answer.tool:
        message["tool_calls"] = [
            {"id": "call_0", "type": "function", "function": {"name": answer.tool, "arguments": answer.text}}
        ]
    return {"index": 0, "message": message, "finish_reason": answer.finish}


def chat_start(answer: Answer) -> dict[str, Any]:
    """Return the delta before the first token: the role, or the head of a tool call."""
    if not answer.tool:
        return {"role": "assistant", "content": ""}
    head = {"index": 0, "id": "call_0", "type": "function", "function": {"name": answer.tool, "arguments": ""}}
    return {"role": "assistant", "tool_calls": [head]}


def chat_delta(answer: Answer, token: str) -> dict[str, Any]:
    """Return the delta of one token."""
    if answer.tool:
        return {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
    return {"content": token}


# Anthropic's shapes


def message_body(answer: Answer) -> dict[str, Any]:
    """Return the parts of a whole message that depend on the answer."""
    if answer.tool:
        block = {"type": "tool_use", "id": "toolu_0", "name": answer.tool, "input": json.loads(answer.text)}
    else:
        block = {"type": "text", "text": answer.text}
    return {"content": [block], "stop_reason": stop_reason(answer), "stop_sequence": None}


def block_start(answer: Answer) -> dict[str, Any]:
    """Return the content block that a streamed message opens."""
    if answer.tool:
        return {"type": "tool_use", "id": "toolu_0", "name": answer.tool, "input": {}}
    return {"type": "text", "text": ""}


def block_delta(answer: Answer, token: str) -> dict[str, str]:
    """Return the delta of one token."""
    if answer.tool:
        return {"type": "input_json_delta", "partial_json": token}
    return {"type": "text_delta", "text": token}


def stop_reason(answer: Answer) -> str:
    """Return Anthropic's word for why an answer ends."""
    return {"tool_calls": "tool_use", "length": "max_tokens"}.get(answer.finish, "end_turn")
