# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an engine says what is right, beside how fast it says it: a few questions that have one right answer.

An engine whose kernels, weights or caches are wrong may be fast. Every model that is worth serving answers these; they
tell nothing of how good a model is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import Client, EndpointError, start
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import GenerationClient
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

# Room for a model that thinks first.
_TOKENS = 2048
# Seconds for each answer. The first request after an engine's start may compile kernels for minutes.
_TIMEOUT = 600
_WEATHER = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Tell the weather in a city.",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                },
            },
        }
    ],
    # Not forced: guided decoding would make the call for a model that says nonsense.
    "tool_choice": "auto",
}


@dataclass(frozen=True)
class Question:
    """A prompt, what is wanted of the answer in words, and whether a message has it."""

    name: str
    prompt: str
    wanted: str
    right: Callable[[Mapping[str, Any]], bool]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """How many questions were asked and answered right; C(wrong) has C(name), C(wanted) and C(found) of the others."""

    asked: int
    right: int
    wrong: tuple[Mapping[str, str], ...] = ()

    @property
    def share(self) -> float:
        """The share of right answers."""
        return self.right / self.asked

    def as_dict(self) -> dict[str, Any]:
        """Return it as a result document has it."""
        return {"asked": self.asked, "right": self.right, "wrong": [dict(item) for item in self.wrong]}


def _text(message: Mapping[str, Any]) -> str:
    """Return what a message says, without a model's thoughts, which some engines leave in it."""
    content = message.get("content")
    return re.sub(r"(?s)^.*</think>", "", content if isinstance(content, str) else "")


def _says(wanted: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda message: wanted in _text(message)


def _number(wanted: int) -> Callable[[Mapping[str, Any]], bool]:
    """The number is the last one that is said: a model may show its working. 4,183 and 4183 are one."""

    def right(message: Mapping[str, Any]) -> bool:
        said = re.findall(r"\d+", re.sub(r"(?<=\d)[,  _](?=\d{3})", "", _text(message)))
        return bool(said) and int(said[-1]) == wanted

    return right


def _json(wanted: Any) -> Callable[[Mapping[str, Any]], bool]:
    """The answer is the JSON that is wanted, in a fence or without."""

    def right(message: Mapping[str, Any]) -> bool:
        text = _text(message).strip()
        fenced = re.search(r"(?s)```(?:json)?\s*(.*?)```", text)
        try:
            return json.loads(fenced[1] if fenced else text) == wanted
        except ValueError:
            return False

    return right


def _calls(name: str, key: str, wanted: str) -> Callable[[Mapping[str, Any]], bool]:
    def right(message: Mapping[str, Any]) -> bool:
        for call in message.get("tool_calls") or ():
            try:
                function = call["function"]
                arguments = json.loads(function["arguments"])
                if function["name"] == name and wanted.lower() in str(arguments[key]).lower():
                    return True
            except (KeyError, TypeError, ValueError):
                continue
        return False

    return right


_CODE, _WORD = "amber-7319-kestrel", "tundra-4406"
_FILLER = "The grass is green. The sky is blue. "


def questions(context: int) -> tuple[Question, ...]:
    """Return the questions, for an engine with so many tokens of context."""
    # What is wrong with a cache, or with a long context, shows far into a prompt.
    filler = _FILLER * min(150, context // 40)
    return (
        Question("echo", f"Repeat exactly, and say nothing else: {_CODE}", _CODE, _says(_CODE)),
        Question(
            "long echo",
            f"Remember this word: {_WORD}. {filler}Which word were you to remember? Say only the word.",
            _WORD,
            _says(_WORD),
        ),
        Question("sum", "What is 2718 + 1465? Answer with the number only.", "4183", _number(4183)),
        Question("product", "What is 17 * 24? Answer with the number only.", "408", _number(408)),
        Question("difference", "What is 1000 - 357? Answer with the number only.", "643", _number(643)),
        Question(
            "JSON object",
            'Answer with a JSON object only, no other text: "name" with the text "gpu", "count" with the number 8.',
            '{"name": "gpu", "count": 8}',
            _json({"name": "gpu", "count": 8}),
        ),
        Question(
            "JSON array",
            "Answer with a JSON array only, no other text: the numbers 3, 1, 2 sorted from smallest to largest.",
            "[1, 2, 3]",
            _json([1, 2, 3]),
        ),
        Question(
            "tool call",
            "What is the weather in Paris now? Use the tool that you have.",
            'a call of get_weather with {"city": "Paris"}',
            _calls("get_weather", "city", "Paris"),
            _WEATHER,
        ),
    )


def ask(endpoint: Endpoint, api_key: str | None, timeout: float = _TIMEOUT) -> Score:
    """Ask all questions at once, of several engines in turn, and return the score.

    FleetError where one gets no answer at all.
    """
    each = endpoint.each
    context = _context(endpoint, api_key)
    asked = questions(context)
    tokens = min(_TOKENS, context // 2)

    def one(number: int, question: Question) -> Mapping[str, str] | None:
        client = GenerationClient(each[number % len(each)].url, api_key, timeout)
        try:
            answer = client.chat(endpoint.served_model_name, question.prompt, tokens, temperature=0, **question.options)
        except EndpointError as error:
            # Without a parser for them an engine refuses tools: that is a wrong answer, and no broken engine.
            if not question.options or error.status != 400:
                raise FleetError(f"the question {question.name!r} got no answer: {error}") from error
            return {"name": question.name, "wanted": question.wanted, "found": start(str(error))}
        message = _message(answer)
        if question.right(message):
            return None
        said = message.get("tool_calls") or _text(message) or "nothing"
        return {"name": question.name, "wanted": question.wanted, "found": client.redacted(start(said))}

    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        wrong = tuple(item for item in pool.map(one, range(len(asked)), asked) if item)
    return Score(len(asked), len(asked) - len(wrong), wrong)


def _context(endpoint: Endpoint, api_key: str | None) -> int:
    """Return how many tokens a request may have; many where the engine does not tell."""
    try:
        listed = Client(endpoint.url, api_key, 20).models()
    except EndpointError as error:
        raise FleetError(f"wanted to ask questions of the engine at {endpoint.url}, but {error}") from error
    lengths = [model.get("max_model_len") for model in listed if model.get("id") == endpoint.served_model_name]
    return lengths[0] if lengths and isinstance(lengths[0], int) else 32768


def _message(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        message = answer["choices"][0]["message"]
    except (KeyError, IndexError, TypeError):
        return {}
    return message if isinstance(message, dict) else {}


def require(score: Score, least: float, when: str) -> None:
    """Raise FleetError where too few answers were right; *when* is C(before) or C(after) the benchmark."""
    if score.share >= least:
        return
    wrong = "; ".join(f"{item['name']}: wanted {item['wanted']}, found {item['found']}" for item in score.wrong[:3])
    raise FleetError(
        f"{when} the benchmark the engine answered {score.right} of {score.asked} questions right, "
        f"and {least:.0%} were wanted: {wrong}. What is fast and wrong is no result. "
        "Look for a wrong model, tokenizer or chat template, a "
        "broken quantisation or cache. Where the weights are random, or the model cannot do these, set answers to "
        "not_applicable"
    )


def simulated(endpoint: Endpoint, api_key: str | None) -> bool:
    """Tell whether an endpoint says of itself that no model answers."""
    try:
        return Client(endpoint.url, api_key, 20).version().get("simulated") is True
    except EndpointError:
        return False
