# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an endpoint must do before anybody relies on it, one small check each.

A check asks for what can be told apart from a model's quality: a model with random weights passes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import Client, EndpointError, start
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import GenerationClient, chat_body

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
OK, FAILED, SKIPPED, NOT_RUN = "ok", "failed", "skipped", "not run"


@dataclass(frozen=True)
class Result:
    """One check's outcome. ``status`` is one of the four above; ``seconds`` is what it took."""

    name: str
    status: str
    wanted: str
    found: str
    seconds: float = 0.0
    level: str = "basic"

    @property
    def line(self) -> str:
        """One line for people."""
        return self.padded(20)

    def padded(self, width: int) -> str:
        """One line of a table, with the name in so many columns."""
        if self.status == OK:
            return f"ok       {self.name:<{width}}{self.found}, {self.seconds:.2f} s"
        if self.status == FAILED:
            return f"FAILED   {self.name:<{width}}wanted {self.wanted}; found: {self.found}"
        return f"{self.status:<9}{self.name:<{width}}{self.found}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules return it."""
        return {**asdict(self), "ok": self.status == OK}


class Unmet(Exception):
    """What was found instead of what a check wants."""


@dataclass(frozen=True)
class Target:
    """What is checked.

    ``anonymous`` is a client without the key, ``stranger`` one with a wrong key, where the endpoint has a ``key``.
    ``open_paths`` are answered to everybody. ``traces`` is what the host keeps of the engine, by where it stands, and
    ``elsewhere`` the URLs at which it must not be reached.
    """

    client: GenerationClient
    served_model_name: str
    anonymous: Client | None = None
    stranger: Client | None = None
    key: str | None = None
    open_paths: tuple[str, ...] = ("/health",)
    traces: Mapping[str, str] | None = None
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """A check: what it wants, and what asks for it and returns what it found.

    ``trained`` tells that it asks for more than random weights can; ``keyed`` that there is none without an API key.
    """

    wanted: str
    run: Callable[[Target], str]
    level: str = "basic"
    trained: bool = False
    keyed: bool = False


def run_checks(
    target: Target,
    only: Collection[str] = (),
    skip: Collection[str] = (),
    checks: Mapping[str, Check] | None = None,
    trained: bool = True,
) -> list[Result]:
    """Run the checks of *only*, or all, less *skip*. When health fails, the rest is not run.

    Without *trained* what asks for more than random weights can is left out.
    """
    results: list[Result] = []
    for name, check in (CHECKS if checks is None else checks).items():
        if only and name not in only:
            continue
        wanted = check.wanted.replace("{model}", target.served_model_name)
        left_out = _left_out(name, check, target, skip, trained)
        if left_out:
            results.append(Result(name, SKIPPED, wanted, left_out, level=check.level))
        elif results and results[0].name == "health" and results[0].status == FAILED:
            results.append(Result(name, NOT_RUN, wanted, "since health failed", level=check.level))
        else:
            results.append(_run(name, wanted, check, target))
    return results


def _left_out(name: str, check: Check, target: Target, skip: Collection[str], trained: bool) -> str:
    """Say why a check is not run; nothing where it is."""
    if name in skip:
        return "as asked"
    if check.keyed and target.anonymous is None:
        return "no API key is set"
    if name == "no_secret" and not target.traces:
        return "no container on this host is named"
    return "it asks for more than random weights can" if check.trained and not trained else ""


def table(results: Sequence[Result]) -> list[str]:
    """Return a line for each result, with the names in one column."""
    width = max([20, *(len(result.name) + 2 for result in results)])
    return [result.padded(width) for result in results]


def summary(url: str, results: Iterable[Result]) -> str:
    """Return a sentence about what failed, and what to do next."""
    made = [result for result in results if result.status in (OK, FAILED)]
    failed = [result for result in made if result.status == FAILED]
    if not failed:
        return f"{url} passed {len(made)} of {len(made)} checks."
    # One cause often fails several checks, and is told once.
    causes: dict[str, list[str]] = {}
    for result in failed:
        causes.setdefault(result.found.rstrip("."), []).append(f"{result.name} wanted {result.wanted}")
    told = ". ".join(f"{', '.join(wanted)}; found: {found}" for found, wanted in causes.items())
    return (
        f"{url} failed {len(failed)} of {len(made)} checks: {told}. "
        "See what the engine says with 'docker logs NAME' on the host; inference.fleet.engine_info tells the name."
    )


def _run(name: str, wanted: str, check: Check, target: Target) -> Result:
    began = time.monotonic()
    try:
        found, status = check.run(target), OK
    except (EndpointError, Unmet) as error:
        found, status = str(error), FAILED
    seconds = round(time.monotonic() - began, 3)
    return Result(name, status, wanted, target.client.redacted(found), seconds, check.level)


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


def events(data: Iterable[str], *last: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a stream; raise where it does not end as it should.

    It ends with [DONE], or, in protocols that have them, with an event of one of the kinds *last*.
    """
    for text in data:
        if text == "[DONE]":
            if last:
                break
            return
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise Unmet(f"an event that is no JSON object: {start(text)}")
        error = event.get("error")
        if error or event.get("type") == "error":
            raise Unmet(f"an error in the stream: {start(mapping(error).get('message') or error or event)}")
        yield event
        if event.get("type") in last:
            return
    raise Unmet(f"a stream that ended without {last[0] if last else '[DONE]'}")


# Whatever an endpoint sends instead of the wanted shape is taken as empty, and then found missing.


def choice_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = mappings(answer.get("choices"))
    if not choices:
        raise Unmet(f"an answer without choices: {start(answer)}")
    return choices[0]


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message or a delta; engines name a reasoning model's thoughts in two ways."""
    parts = (message.get(key) for key in ("content", "reasoning", "reasoning_content"))
    return "".join(part for part in parts if isinstance(part, str))


def count_of(usage: Any, key: str) -> int:
    count = mapping(usage).get(key)
    return count if isinstance(count, int) else 0


def told(tokens: int, text: str = "") -> str:
    count, unit = (tokens, "token") if tokens else (len(text), "character")
    return f"{count} {unit}{'' if count == 1 else 's'}"
