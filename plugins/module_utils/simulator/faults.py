# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways in which the simulator can be wrong, by name: each is one that engines were seen in, and each fails a check."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

from .answers import Answer, Part
from .asked import Asked, Refused

FAULTS = {
    "other-name": "lists the model by another name",
    "one-chunk": "streams an answer as one piece",
    "broken-stream": "breaks streams off half-way",
    "no-parser": "leaves tool calls in the text, as an engine without a tool call parser does",
    "wrong-json": "cuts the last character off arguments and JSON answers",
    "wrong-schema": "gives arguments and JSON answers that the schema does not allow",
    "one-call": "never calls more than one tool at once",
    "merged-calls": "streams the arguments of parallel calls as those of one",
    "eager": "calls the first tool whatever is asked",
    "deaf": "does not use what tools answer",
    "forgetful": "does not find what the prompt says",
    "short-context": "takes prompts of half the context length that it lists",
    "no-messages": "has no /v1/messages",
    "no-count": "has no /v1/messages/count_tokens",
    "no-system-turns": "refuses the role system inside the messages of /v1/messages",
    "no-thinking": "refuses thinking of type adaptive, and output_config, in /v1/messages",
    "no-deferred-tools": "refuses tools with defer_loading",
    "bearer-only": "does not take the key in x-api-key",
    "no-responses": "has no /v1/responses",
    "open-route": "answers /invocations without the key",
    "leaky-log": "prints its key in its log",
}
_ROUTES = {
    "no-messages": "/v1/messages",
    "no-count": "/v1/messages/count_tokens",
    "no-responses": "/v1/responses",
}


def missing(path: str, faults: Collection[str]) -> bool:
    """Tell whether a fault is that this route is not there."""
    return any(_ROUTES.get(fault) == path for fault in faults)


def refuse(body: dict, faults: Collection[str]) -> None:
    """Refuse what a request to /v1/messages has and an older engine does not know."""
    messages = body.get("messages") or []
    if "no-system-turns" in faults and any(
        isinstance(item, dict) and item.get("role") == "system" for item in messages
    ):
        raise Refused(400, "messages: the role must be user or assistant, not system")
    if "no-thinking" in faults:
        thinking = body.get("thinking")
        if isinstance(thinking, dict) and thinking.get("type") == "adaptive":
            raise Refused(400, "thinking.type: must be enabled or disabled, not adaptive")
        if "output_config" in body:
            raise Refused(400, "output_config: extra inputs are not permitted")
    if "no-deferred-tools" in faults and any("defer_loading" in tool for tool in body.get("tools") or []):
        raise Refused(400, "tools: defer_loading: extra inputs are not permitted")


def spoil(answer: Answer, asked: Asked, stream: bool, faults: Collection[str]) -> Answer:
    """Return an answer as an engine with these faults gives it."""
    calls = [part for part in answer.parts if part.tool]
    if "wrong-schema" in faults:
        calls = [replace(part, text='{"wrong": true}') for part in calls]
    if "wrong-json" in faults:
        calls = [replace(part, text=part.text[:-1]) for part in calls]
    if "one-call" in faults:
        calls = calls[:1]
    if "merged-calls" in faults and stream and calls:
        calls = [replace(calls[0], text="".join(part.text for part in calls))]
    if calls and "no-parser" in faults:
        told = [{"name": part.tool, "arguments": json.loads(part.text)} for part in calls]
        text = "\n".join(f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in told)
        return Answer(answer.prompt_tokens, (Part(text),), "stop")
    if calls:
        return replace(answer, parts=tuple(calls))
    if asked.schema is not None:
        (part,) = answer.parts
        text = '{"wrong": true}' if "wrong-schema" in faults else part.text
        text = text[:-1] if "wrong-json" in faults else text
        return replace(answer, parts=(Part(text),))
    return answer
