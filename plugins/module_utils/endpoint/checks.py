# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an endpoint must do before anybody relies on it, one small check each.

A check asks for what can be told apart from a model's quality: a model with random weights passes.
"""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import (
    Check,
    Target,
    Unmet,
    choice_of,
    count_of,
    events,
    mapping,
    mappings,
    text_of,
    told,
)
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import EndpointError, start
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import chat_body

PROMPT = "Write a haiku about a fleet of GPUs."
MAX_TOKENS = 32
# Short strings only: nothing else bounds how long a model with random weights goes on.
TOOL_NAME = "get_weather"
TOOL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 16},
        "unit": {"type": "string", "maxLength": 16},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
# The call is forced and strict, so that an engine with guided decoding makes one whatever its model is worth.
TOOL_OPTIONS: dict[str, Any] = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": TOOL_NAME,
                "description": "Tell the weather in a city.",
                "parameters": TOOL_SCHEMA,
                "strict": True,
            },
        }
    ],
    "tool_choice": {"type": "function", "function": {"name": TOOL_NAME}},
}
TOOL_PROMPT = f"What is the weather in Paris, in celsius? Call {TOOL_NAME}."
# Room for the arguments from a model that takes its time to close a string.
TOOL_TOKENS = 512
# How models write calls, and the tool call parsers that read these; what is more exact comes first.
_CALLS_IN_TEXT = {
    "<function=": "qwen3_coder",
    "<arg_key>": "glm45",
    "<tool_call>": "hermes (SGLang: qwen)",
    "[TOOL_CALLS]": "mistral",
    "<|python_tag|>": "llama3_json (SGLang: llama3)",
    "tool▁calls▁begin": "deepseek_v3 (SGLang: deepseekv3)",
    "<|tool_calls_section_begin|>": "kimi_k2",
    "<minimax:tool_call>": "minimax_m2 (SGLang: minimax-m2)",
    "<|channel|>commentary": "openai (SGLang: gpt-oss)",
}


def _health(target: Target) -> str:
    target.client.health()
    return "GET /health answered 200"


def _model(target: Target) -> str:
    listed = {str(item.get("id")): item for item in target.client.models()}
    if target.served_model_name not in listed:
        raise Unmet(f"GET /v1/models lists {', '.join(listed) or 'nothing'}")
    length = listed[target.served_model_name].get("max_model_len")
    return f"GET /v1/models lists {target.served_model_name}" + (f", context {length} tokens" if length else "")


def _completion(target: Target) -> str:
    answer = target.client.chat(target.served_model_name, PROMPT, MAX_TOKENS)
    text = text_of(mapping(choice_of(answer).get("message")))
    tokens = count_of(answer.get("usage"), "completion_tokens")
    if not text and not tokens:
        raise Unmet(f"an answer without text: {start(answer)}")
    return f"{told(tokens, text)} came back"


def _stream(target: Target) -> str:
    chunks, tokens, text = 0, 0, ""
    for event in events(target.client.chat_stream(target.served_model_name, PROMPT, MAX_TOKENS)):
        for choice in mappings(event.get("choices")):
            delta = mapping(choice.get("delta"))
            text += text_of(delta)
            # A token may be no whole character yet. The role alone, and the end, are no tokens.
            chunks += bool(text_of(delta)) or (
                "content" in delta and not (delta.get("role") or choice.get("finish_reason"))
            )
        tokens = count_of(event.get("usage"), "completion_tokens") or tokens
    if not text and not tokens:
        raise Unmet("a stream without text")
    if chunks < 2:
        raise Unmet(f"all {told(tokens, text)} in {chunks} chunk{'' if chunks == 1 else 's'}")
    return f"{told(tokens, text)} came back in {chunks} chunks, then [DONE]"


def _tool_call(target: Target) -> str:
    answer = target.client.chat(target.served_model_name, TOOL_PROMPT, TOOL_TOKENS, **TOOL_OPTIONS)
    choice = choice_of(answer)
    message = mapping(choice.get("message"))
    calls = mappings(message.get("tool_calls"))
    if not calls:
        raise no_call(text_of(message))
    function = mapping(calls[0].get("function"))
    return _called(function.get("name"), function.get("arguments"), choice.get("finish_reason"))


def _streamed_tool_call(target: Target) -> str:
    # By the call's index: an engine may make several calls at once.
    names: dict[Any, str] = {}
    arguments: dict[Any, str] = {}
    finish, text = None, ""
    for event in events(target.client.chat_stream(target.served_model_name, TOOL_PROMPT, TOOL_TOKENS, **TOOL_OPTIONS)):
        for choice in mappings(event.get("choices")):
            delta = mapping(choice.get("delta"))
            finish = choice.get("finish_reason") or finish
            text += text_of(delta)
            for part in mappings(delta.get("tool_calls")):
                function, index = mapping(part.get("function")), str(part.get("index"))
                names[index] = names.get(index, "") + str(function.get("name") or "")
                arguments[index] = arguments.get(index, "") + str(function.get("arguments") or "")
    if not names:
        raise no_call(text)
    first = next(iter(names))
    return _called(names[first], arguments[first], finish)


def no_call(text: str) -> Unmet:
    """Say what came instead of a tool call."""
    for mark, parser in _CALLS_IN_TEXT.items():
        if mark in text:
            return Unmet(
                f"the model's text holds the call, which no parser took out of it: {start(text)} "
                f"It is in the form of {parser}: start the engine with that --tool-call-parser, and vLLM with "
                "--enable-auto-tool-choice"
            )
    return Unmet(f"text instead of a tool call: {start(text)}" if text else "neither a tool call nor text")


def _called(name: Any, text: Any, finish: Any) -> str:
    """Check a function call against the tool that was offered."""
    if name != TOOL_NAME:
        raise Unmet(f"a call of {name!r}")
    try:
        arguments = json.loads(text)
    except (ValueError, TypeError):
        cut = f", which end at {TOOL_TOKENS} tokens" if finish == "length" else ""
        raise Unmet(f"arguments that are no JSON{cut}: {start(text)}") from None
    required = TOOL_SCHEMA["required"]
    if not isinstance(arguments, dict) or set(arguments) != set(required):
        raise Unmet(f"arguments other than {', '.join(required)}: {start(text)}")
    for key, value in arguments.items():
        if not isinstance(value, str):
            raise Unmet(f"a {key} that the schema does not allow: {start(text)}")
    return f"{name} was called with {start(arguments)}"


def _messages(target: Target) -> str:
    answer = target.client.messages(target.served_model_name, PROMPT, MAX_TOKENS)
    if answer.get("type") != "message":
        raise Unmet(f"no answer of type message: {start(answer)}")
    blocks = answer.get("content")
    if not isinstance(blocks, list) or not blocks or not all(mapping(block).get("type") for block in blocks):
        raise Unmet(f"no content blocks: {start(answer)}")
    tokens = count_of(answer.get("usage"), "output_tokens")
    if not tokens:
        raise Unmet(f"no output_tokens in its usage: {start(answer)}")
    return f"{told(tokens)} came back"


def _auth(target: Target) -> str:
    anonymous = target.anonymous
    if anonymous is None:
        raise ValueError("there is no key to leave out")
    status = anonymous.get("/v1/models").status
    if status != 401:
        raise Unmet(f"GET /v1/models answered {status}")
    body = chat_body(target.served_model_name, PROMPT, 1)
    # vLLM's own key guards /v1, and leaves /invocations, which does the same, to everybody.
    for path, refusals in (("/v1/chat/completions", (401,)), ("/invocations", (401, 404, 405))):
        try:
            anonymous.post_json(path, body)
        except EndpointError as error:
            if error.status not in refusals:
                raise
        else:
            raise Unmet(f"POST {path} answered 200: it runs inference for anybody")
    return "requests without the key were answered 401"


CHECKS: dict[str, Check] = {
    "health": Check("200 from GET /health", _health),
    "model": Check("{model} in GET /v1/models", _model),
    "completion": Check("a chat completion with text", _completion),
    "stream": Check("a streamed one in several chunks, then [DONE]", _stream),
    "tool_call": Check(f"a call of {TOOL_NAME} with arguments that fit its schema", _tool_call, "tools"),
    "streamed_tool_call": Check(f"a streamed call of {TOOL_NAME} with such arguments", _streamed_tool_call, "tools"),
    "messages": Check("an answer from POST /v1/messages in Anthropic's form", _messages, "anthropic"),
    "auth": Check("401 for requests without the API key", _auth, "security", keyed=True),
}
