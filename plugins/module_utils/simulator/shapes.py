# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of answers: OpenAI's completions, chat and responses, Anthropic's messages. All pure.

A streamed answer is an iterator of bytes: those that go out with each token, and then those that end the stream.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .answers import Answer, Part

_ID = itertools.count()
# What a call's name begins with in each protocol.
_OPENAI, _ANTHROPIC = "call_", "toolu_"


def event(data: str | Mapping[str, Any], name: str | None = None) -> bytes:
    """Return a server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode()


def head(kind: str, object_name: str, model: str) -> dict[str, Any]:
    """Return what OpenAI's answers, and each of their events, begin with."""
    return {"id": f"{kind}-{next(_ID)}", "object": object_name, "created": int(time.time()), "model": model}


def usage(answer: Answer) -> dict[str, int]:
    """Return the usage block of OpenAI's completions."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": answer.prompt_tokens + answer.tokens,
    }


def _texts(
    part: Part, make: Callable[[str], Mapping[str, Any]], whole: bool, name: str | None = None
) -> Iterator[bytes]:
    """Yield an event a token. Thousands of events a second differ in one character: the rest is made once."""
    mark = "\x00"
    before, _unused, after = event(make(mark), name).partition(json.dumps(mark)[1:-1].encode())
    for place, token in enumerate(part.text, 1):
        if not whole:
            yield before + json.dumps(token)[1:-1].encode() + after
        else:
            yield before + json.dumps(part.text)[1:-1].encode() + after if place == len(part.text) else b""


# Completions and chat


def completion(answer: Answer, model: str) -> dict[str, Any]:
    """Return a whole completion."""
    choice = {"index": 0, "text": answer.parts[0].text, "finish_reason": answer.finish}
    return {**head("cmpl", "text_completion", model), "choices": [choice], "usage": usage(answer)}


def completion_events(answer: Answer, model: str, count: bool, whole: bool) -> Iterator[bytes]:
    """Stream a completion; *count* adds the usage, *whole* sends the text at once."""
    start = head("cmpl", "text_completion", model)

    def chunk(text: str, finish: str | None = None) -> dict[str, Any]:
        return {**start, "choices": [{"index": 0, "text": text, "finish_reason": finish}]}

    yield from _texts(answer.parts[0], chunk, whole)
    yield event(chunk("", answer.finish)) + _end(answer, start, count)


def chat(answer: Answer, model: str) -> dict[str, Any]:
    """Return a whole chat completion."""
    text = "".join(part.text for part in answer.parts if not part.tool)
    calls = [
        {"id": _OPENAI + part.id, "type": "function", "function": {"name": part.tool, "arguments": part.text}}
        for part in answer.parts
        if part.tool
    ]
    message = {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}
    choice = {"index": 0, "message": message, "finish_reason": answer.finish}
    return {**head("chatcmpl", "chat.completion", model), "choices": [choice], "usage": usage(answer)}


def chat_events(answer: Answer, model: str, count: bool, whole: bool) -> Iterator[bytes]:
    """Stream a chat completion, as :func:`completion_events` does."""
    start = head("chatcmpl", "chat.completion.chunk", model)

    def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
        return {**start, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    role, calls = {"role": "assistant"}, itertools.count()
    for part in answer.parts:
        if part.tool:
            index = next(calls)
            function = {"name": part.tool, "arguments": ""}
            call = {"index": index, "id": _OPENAI + part.id, "type": "function", "function": function}
            opening = event(chunk(**role, tool_calls=[call]))

            def delta(token: str, index: int = index) -> dict[str, Any]:
                return chunk(tool_calls=[{"index": index, "function": {"arguments": token}}])
        else:
            opening = event(chunk(**role, content=""))

            def delta(token: str) -> dict[str, Any]:
                return chunk(content=token)

        for sent in _texts(part, delta, whole):
            yield opening + sent
            opening, role = b"", {}
    yield event(chunk(answer.finish)) + _end(answer, start, count)


def _end(answer: Answer, start: Mapping[str, Any], count: bool) -> bytes:
    counted = event({**start, "choices": [], "usage": usage(answer)}) if count else b""
    return counted + event("[DONE]")


# Anthropic's messages


def message(answer: Answer, model: str) -> dict[str, Any]:
    """Return a whole message."""
    counts = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.tokens}
    content = [
        _block(part, json.loads(part.text) if part.tool and _is_json(part.text) else {}) for part in answer.parts
    ]
    return {**_message(model), "content": content, **_stop(answer), "usage": counts}


def message_events(answer: Answer, model: str, count: bool, whole: bool) -> Iterator[bytes]:
    """Stream a message."""

    def named(kind: str, **more: Any) -> bytes:
        return event({"type": kind, **more}, kind)

    counts = {"input_tokens": answer.prompt_tokens, "output_tokens": 0}
    nothing = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": counts}
    opening = named("message_start", message={**_message(model), **nothing})
    for index, part in enumerate(answer.parts):
        opening += named("content_block_start", index=index, content_block=_block(part, {}, ""))
        kind, field = ("input_json_delta", "partial_json") if part.tool else ("text_delta", "text")

        def delta(token: str, index: int = index, kind: str = kind, field: str = field) -> dict[str, Any]:
            return {"type": "content_block_delta", "index": index, "delta": {"type": kind, field: token}}

        for sent in _texts(part, delta, whole, "content_block_delta"):
            yield opening + sent
            opening = b""
        opening = named("content_block_stop", index=index)
    yield (
        opening
        + named("message_delta", delta=_stop(answer), usage={"output_tokens": answer.tokens})
        + named("message_stop")
    )


def _message(model: str) -> dict[str, Any]:
    return {"id": f"msg_{next(_ID)}", "type": "message", "role": "assistant", "model": model}


def _block(part: Part, arguments: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
    if part.tool:
        return {"type": "tool_use", "id": _ANTHROPIC + part.id, "name": part.tool, "input": arguments}
    return {"type": "text", "text": part.text if text is None else text}


def _stop(answer: Answer) -> dict[str, Any]:
    reason = {"tool_calls": "tool_use", "length": "max_tokens"}.get(answer.finish, "end_turn")
    return {"stop_reason": reason, "stop_sequence": None}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


# Responses


def response(answer: Answer, model: str) -> dict[str, Any]:
    """Return a whole response."""
    return _response(answer, model, f"resp_{next(_ID)}", [_item(part) for part in answer.parts])


def response_events(answer: Answer, model: str, count: bool, whole: bool) -> Iterator[bytes]:
    """Stream a response: each event has its kind as its name, and its number."""
    numbers = itertools.count()
    name = f"resp_{next(_ID)}"

    def named(kind: str, **more: Any) -> bytes:
        return event({"type": f"response.{kind}", "sequence_number": next(numbers), **more}, f"response.{kind}")

    begun = {**_response(answer, model, name, []), "status": "in_progress", "usage": None}
    opening = named("created", response=begun) + named("in_progress", response=begun)
    for index, part in enumerate(answer.parts):
        item = _item(part)
        place = {"item_id": item["id"], "output_index": index}
        text = {"type": "output_text", "text": part.text, "annotations": []}
        if part.tool:
            opening += named("output_item.added", output_index=index, item={**_item(part, ""), "status": "in_progress"})
            kind = "function_call_arguments"
        else:
            opening += named("output_item.added", output_index=index, item={**item, "content": []})
            place = {**place, "content_index": 0}
            opening += named("content_part.added", **place, part={**text, "text": ""})
            kind = "output_text"
        # The events of tokens have numbers too: they are not made from one pattern.
        for token in part.text if not whole else [*[""] * (len(part.text) - 1), part.text]:
            yield opening + (named(f"{kind}.delta", **place, delta=token) if token else b"")
            opening = b""
        if part.tool:
            opening = named(f"{kind}.done", **place, name=part.tool, arguments=part.text)
        else:
            opening = named(f"{kind}.done", **place, text=part.text) + named("content_part.done", **place, part=text)
        opening += named("output_item.done", output_index=index, item=item)
    done = _response(answer, model, name, [_item(part) for part in answer.parts])
    yield opening + named("incomplete" if answer.finish == "length" else "completed", response=done)


def _item(part: Part, text: str | None = None) -> dict[str, Any]:
    said = part.text if text is None else text
    if part.tool:
        names = {"id": f"fc_{part.id}", "call_id": _OPENAI + part.id, "name": part.tool}
        return {"type": "function_call", **names, "arguments": said, "status": "completed"}
    content = [{"type": "output_text", "text": said, "annotations": []}]
    return {"type": "message", "id": "msg_0", "role": "assistant", "status": "completed", "content": content}


def _response(answer: Answer, model: str, name: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    cut = answer.finish == "length"
    return {
        "id": name,
        "object": "response",
        "created_at": int(time.time()),
        "model": model,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "instructions": None,
        "metadata": {},
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.prompt_tokens + answer.tokens,
        },
    }
