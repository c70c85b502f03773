# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the simulator says: text, tool calls and JSON. No model thinks here, and what it does can be foretold:

- It calls the tools that the user's last words name, once, all at the same time, and uses what they answer. The
  arguments are the JSON objects in those words that fit the tool's schema, one call each, and else an example of it.
- Asked at the end "What is X?", it gives the word after "X is" where the prompt has that.
- Asked for JSON of a schema, it gives an example of it. Else it says that it is simulated.

A token of an answer is one ASCII character.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from .asked import Asked, Refused, Tool
from .schemas import example

_SENTENCE = "This text is simulated. No model wrote it. "
# An answer's length where the client leaves it to the model.
NATURAL_LENGTH = 128
# How much of what a tool answered is said again.
_QUOTED = 400
_QUESTION = re.compile(r"What is ([^?\n]{3,100})\?\W*$", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """Text, or a call of *tool*, whose arguments are the text."""

    text: str
    tool: str | None = None
    id: str = ""


@dataclass(frozen=True)
class Answer:
    """What is generated: one token a character. *finish* is C(stop), C(length) or C(tool_calls)."""

    prompt_tokens: int
    parts: tuple[Part, ...]
    finish: str

    @property
    def tokens(self) -> int:
        """The tokens of all parts."""
        return sum(len(part.text) for part in self.parts)


def answer(asked: Asked, max_model_len: int, faults: Collection[str] = ()) -> Answer:
    """Answer a request. Raises Refused where it does not fit into the context or contradicts itself."""
    room = max_model_len - asked.prompt_tokens
    if room < 1 or (asked.limit or 0) > room:
        raise Refused(
            400,
            f"This model's maximum context length is {max_model_len} tokens. However, you requested "
            f"{asked.limit or 0} output tokens and your prompt contains {asked.prompt_tokens} input tokens.",
        )
    calls = list(_calls(asked, faults))
    if calls:
        kept = calls if asked.parallel else calls[:1]
        return Answer(asked.prompt_tokens, tuple(kept), "tool_calls")
    length = asked.limit or room
    # A client that measures asks for the whole length; others get what a model would stop at by itself.
    if asked.ignore_eos and asked.limit:
        return _text(asked, _filled("", length), "length")
    said = _said(asked, faults)
    natural = _filled(said, max(len(said) or NATURAL_LENGTH, asked.least))
    return _text(asked, natural[:length], "stop" if len(natural) < length else "length")


def _text(asked: Asked, text: str, finish: str) -> Answer:
    return Answer(asked.prompt_tokens, (Part(text),), finish)


def _filled(text: str, length: int) -> str:
    return text + "".join(islice(cycle(_SENTENCE), max(0, length - len(text))))


def _said(asked: Asked, faults: Collection[str]) -> str:
    """Return what there is to say; nothing where any text will do."""
    if asked.schema is not None:
        return json.dumps(example(asked.schema))
    if asked.results and "deaf" not in faults:
        quoted = " ".join(" ".join(asked.results).split())[:_QUOTED]
        # One character a token.
        return f"The tools answered: {quoted.encode('ascii', 'replace').decode()}"
    question = _QUESTION.search(asked.question)
    if question and "forgetful" not in faults:
        stated = re.search(rf"{re.escape(question[1])} is:? ([\w-]+)", asked.prompt, re.IGNORECASE)
        if stated and stated[1].isascii():
            return f"{question[1][0].upper()}{question[1][1:]} is {stated[1]}.".encode("ascii", "replace").decode()
    return ""


# Tools


def _calls(asked: Asked, faults: Collection[str]) -> Iterator[Part]:
    tools = _chosen(asked, faults)
    objects = list(_objects(asked.question))
    fitting = {tool.name: [found for found in objects if _fits(found, tool.schema)] for tool in tools}
    for tool in tools:
        if any(fitting.values()) and not fitting[tool.name]:
            continue
        for arguments in fitting[tool.name] or [_example(tool)]:
            yield Part(json.dumps(arguments), tool.name, os.urandom(9).hex())


def _chosen(asked: Asked, faults: Collection[str]) -> list[Tool]:
    """Return the tools that are called.

    Where the client has just answered a call, the model would not call again, unless it is forced to.
    """
    forced = asked.choice == "required"
    if not asked.tools and forced:
        raise Refused(400, "tool_choice asks for a tool, and tools is empty")
    if asked.named:
        found = [tool for tool in asked.tools if tool.name == asked.named]
        if not found:
            raise Refused(400, f"tool_choice names {asked.named}, which is not among tools")
        return found
    if "eager" in faults:
        return list(asked.tools[:1])
    if not forced and (asked.choice == "none" or asked.answered):
        return []
    named = [tool for tool in asked.tools if _names(asked.question, tool.name)]
    return named or (list(asked.tools[:1]) if forced else [])


def _names(text: str, name: str) -> bool:
    """Tell whether a text names a tool, as it is or with spaces.

    >>> _names("Call get weather.", "get_weather"), _names("Read on.", "Rea")
    (True, False)
    """
    return any(re.search(rf"(?<!\w){re.escape(form)}(?!\w)", text) for form in (name, name.replace("_", " ")))


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a text."""
    decoder, place = json.JSONDecoder(), text.find("{")
    while place >= 0:
        try:
            found, end = decoder.raw_decode(text, place)
        except ValueError:
            end = place + 1
        else:
            if isinstance(found, dict):
                yield found
        place = text.find("{", end)


def _fits(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    known = schema.get("properties") or {}
    return set(schema.get("required") or ()) <= set(arguments) <= set(known)


def _example(tool: Tool) -> Mapping[str, Any]:
    found = example(tool.schema)
    return found if isinstance(found, Mapping) else {}
