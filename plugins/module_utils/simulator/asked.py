# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client asks for, in one form for all protocols: OpenAI's completions, chat and responses, Anthropic messages.

Tokens: benchmark clients make their prompts with this package's tokenizer, where a token is one byte. What agents send
(tools, Anthropic's messages, responses) is counted as real tokenizers do: about four bytes a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_AGENT_BYTES = 4
# What stands for sound and pictures is no text.
_NO_TEXT = ("data", "source", "image_url", "file_data")
# Coding clients put these into what the user wrote.
_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)


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
class Asked:
    """A request. *question* is what the user wrote last, *results* what tools have answered since.

    *choice* is C(auto), C(none) or C(required); *named* is the tool that has to be called. *schema* is what the
    answer has to be as JSON. *turns* counts what was answered before in the conversation.
    """

    prompt_tokens: int
    question: str = ""
    prompt: str = ""
    answered: bool = False
    results: tuple[str, ...] = ()
    turns: int = 0
    tools: tuple[Tool, ...] = ()
    choice: str = "auto"
    named: str | None = None
    parallel: bool = True
    schema: Mapping[str, Any] | None = None
    limit: int | None = None
    least: int = 0
    ignore_eos: bool = False


def completion(body: Mapping[str, Any]) -> Asked:
    """Read a request to /v1/completions."""
    if "prompt" not in body:
        raise Refused(400, "prompt is missing")
    return Asked(count_tokens(body["prompt"]), **_length(body))


def chat(body: Mapping[str, Any]) -> Asked:
    """Read a request to /v1/chat/completions."""
    messages = _messages(body)
    tools = tuple(_openai_tool(item) for item in _listed(body, "tools"))
    choice, named = _openai_choice(body.get("tool_choice"), "function")
    return Asked(
        agent_tokens([messages, body.get("tools")]) if tools else count_tokens(messages),
        **_conversation(messages),
        tools=tools,
        choice=choice,
        named=named,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=_chat_schema(body),
        **_length(body),
    )


def message(body: Mapping[str, Any]) -> Asked:
    """Read a request to /v1/messages."""
    if "max_tokens" not in body:
        raise Refused(400, "max_tokens is missing")
    messages = _messages(body)
    # What a server of Anthropic's does itself, such as a search of the web, has no schema.
    tools = [_anthropic_tool(item) for item in _listed(body, "tools") if _is_function(item, "custom")]
    choice = _mapping(body.get("tool_choice") or {}, "tool_choice")
    kind = choice.get("type", "auto")
    if kind not in ("auto", "any", "tool", "none"):
        raise Refused(400, "tool_choice.type must be auto, any, tool or none")
    form = _mapping(body.get("output_config") or {}, "output_config").get("format") or body.get("output_format") or {}
    return Asked(
        message_tokens(body),
        **_conversation(messages),
        tools=tuple(tools),
        choice={"any": "required", "tool": "required"}.get(kind, kind),
        named=str(choice.get("name")) if kind == "tool" else None,
        parallel=not choice.get("disable_parallel_tool_use"),
        schema=_mapping(form, "output_config.format").get("schema"),
        **_length(body),
    )


def message_tokens(body: Mapping[str, Any]) -> int:
    """Return the tokens of the prompt of /v1/messages."""
    return agent_tokens([_messages(body), body.get("system"), body.get("tools")])


def response(body: Mapping[str, Any]) -> Asked:
    """Read a request to /v1/responses."""
    items = body.get("input")
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    if not isinstance(items, list) or not items or not all(isinstance(item, Mapping) for item in items):
        raise Refused(400, "input must be text or a list of items")
    tools = [_tool(item.get("name"), item.get("parameters")) for item in _listed(body, "tools") if _is_function(item)]
    choice, named = _openai_choice(body.get("tool_choice"), None)
    text = _mapping(body.get("text") or {}, "text")
    return Asked(
        agent_tokens([items, body.get("instructions"), body.get("tools")]),
        **_conversation(items),
        tools=tuple(tools),
        choice=choice,
        named=named,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=_mapping(text.get("format") or {}, "text.format").get("schema"),
        **{**_length(body), "limit": _whole(body, "max_output_tokens", 1)},
    )


# Tokens


def count_tokens(value: Any) -> int:
    """Return the tokens of a benchmark's prompt: text, a message's content with its parts, or a list of either."""
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


def agent_tokens(value: Any) -> int:
    """Return the tokens of an agent's prompt, whatever it is made of.

    >>> agent_tokens([{"role": "user", "content": "What is the weather?"}])
    6
    """
    return -(-_bytes(value) // _AGENT_BYTES)


def _bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode(errors="surrogatepass"))
    if isinstance(value, Mapping):
        return sum(_bytes(item) for name, item in value.items() if name not in _NO_TEXT)
    return sum(map(_bytes, value)) if isinstance(value, Sequence) else 0


# The conversation


def _conversation(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the user wrote last, what tools have answered since, and the prompt as text."""
    results: list[str] = []
    answered, question = False, ""
    for item in reversed(messages):
        found = list(_results(item))
        results[:0] = found
        answered = answered or bool(found)
        if item.get("role") == "user":
            question = _REMINDER.sub("", text_of(item.get("content"))).strip()
            if question:
                break
    prompt = "\n".join(text_of(item.get("content")) for item in messages)
    turns = sum(
        _is_answer(item) and not _is_answer(before) for before, item in zip([{}, *messages], messages, strict=False)
    )
    return {"question": question, "prompt": prompt, "answered": answered, "results": tuple(results), "turns": turns}


def _is_answer(item: Mapping[str, Any]) -> bool:
    """Tell whether an item is of an answer: several in a row are of one."""
    return item.get("role") == "assistant" or item.get("type") == "function_call"


def _results(item: Mapping[str, Any]) -> Iterator[str]:
    """Yield what tools answered, in a message or an item of any protocol."""
    if item.get("role") == "tool":
        yield text_of(item.get("content"))
    elif item.get("type") in ("function_call_output", "custom_tool_call_output"):
        yield text_of(item.get("output"))
    elif isinstance(item.get("content"), list):
        for block in item["content"]:
            if isinstance(block, Mapping) and block.get("type") == "tool_result":
                yield text_of(block.get("content"))


def text_of(content: Any) -> str:
    """Return the text of a message's content; that of tools' answers is not the message's own."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [block.get("text") for block in content if isinstance(block, Mapping)]
        return "\n".join(text for text in texts if isinstance(text, str))
    return ""


# Parts of a request


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


def _length(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "limit": _whole(body, "max_completion_tokens", 1) or _whole(body, "max_tokens", 1),
        "least": _whole(body, "min_tokens", 0) or 0,
        "ignore_eos": bool(body.get("ignore_eos")),
    }


def _messages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = _listed(body, "messages")
    if not messages or not all(isinstance(item, Mapping) for item in messages):
        raise Refused(400, "messages must be a list of messages with role and content")
    return messages


def _openai_choice(choice: Any, within: str | None) -> tuple[str, str | None]:
    """Return how free the choice of a tool is, and the name where one is wanted."""
    if isinstance(choice, Mapping):
        named = _mapping(choice.get(within), f"tool_choice.{within}") if within else choice
        return "required", str(named.get("name"))
    if choice not in (None, "auto", "none", "required"):
        raise Refused(400, "tool_choice must be auto, none, required or a function")
    return choice or "auto", None


def _chat_schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    form = _mapping(body.get("response_format") or {}, "response_format")
    if form.get("type") == "json_object":
        return {"type": "object", "properties": {"simulated": {"const": True}}, "required": ["simulated"]}
    return _mapping(form.get("json_schema") or {}, "response_format.json_schema").get("schema")


def _is_function(item: Any, kind: str = "function") -> bool:
    return not isinstance(item, Mapping) or item.get("type", kind) == kind


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
