# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of how long a prompt may be, and of what is found in one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import tools
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import Check, Target, Unmet
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import EndpointError, start
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.said import CHAT, say

_LEVEL = "context"
# Of the context length that the endpoint lists, this part is filled: a token more or less of the filler is no matter.
_FILLED = 0.9
_HAY = "The grass is green, the sky is blue, and the sun is yellow. "
_SAMPLE = 50
_ANSWER = 64
DEPTHS = {"start": 0.05, "middle": 0.5, "end": 0.95}


def listed_length(target: Target) -> int:
    """Return the context length that /v1/models lists."""
    for model in target.client.models():
        if model.get("id") == target.served_model_name and isinstance(model.get("max_model_len"), int):
            return model["max_model_len"]
    raise Unmet("no max_model_len in GET /v1/models: the context length is not told")


def _per_sentence(target: Target) -> float:
    """Return how many tokens a sentence of the filler has, by the endpoint's own count."""
    few, many = (say(target, CHAT, tools.body(CHAT, _HAY * count, 1)).input_tokens for count in (1, 1 + _SAMPLE))
    if many <= few:
        raise Unmet(f"prompt_tokens {few} and {many} of prompts that are {1 + _SAMPLE} times as long")
    return (many - few) / _SAMPLE


def _length(target: Target) -> str:
    length = listed_length(target)
    count = int((length * _FILLED - _ANSWER) / _per_sentence(target))
    said = say(target, CHAT, tools.body(CHAT, _HAY * count, 1))
    if said.input_tokens < length * _FILLED * 0.9:
        raise Unmet(f"prompt_tokens {said.input_tokens} of a prompt of about {int(length * _FILLED)}: it was cut")
    beyond = tools.body(CHAT, _HAY * int(count / _FILLED * 1.2), 1)
    try:
        say(target, CHAT, beyond)
    except EndpointError as error:
        if error.status is None or not 400 <= error.status < 500:
            raise
        return f"{said.input_tokens} of {length} tokens were taken, and a prompt beyond them refused"
    raise Unmet(f"an answer to a prompt beyond the {length} tokens that are listed: it was cut without a word")


def _needle(depth: float, target: Target) -> str:
    length = listed_length(target)
    count = int((length * _FILLED - 2 * _ANSWER) / _per_sentence(target))
    before = int(count * depth)
    word = f"teal-{int(depth * 100)}-4711"
    prompt = (
        f"{_HAY * before}The pass phrase of Oslo is {word}. {_HAY * (count - before)}\n\n"
        "What is the pass phrase of Oslo?"
    )
    said = say(target, CHAT, tools.body(CHAT, prompt, _ANSWER))
    if word not in said.text:
        raise Unmet(f"an answer without {word}, to a prompt of {said.input_tokens} tokens: {start(said.text)}")
    return f"it was found in {said.input_tokens} tokens"


CHECKS: Mapping[str, Check] = {
    "context_length": Check("a prompt of nearly the context length taken, and one beyond it refused", _length, _LEVEL),
    **{
        f"needle_{name}": Check(
            f"a sentence found at {depth:.0%} of a prompt of nearly the context length",
            partial(_needle, depth),
            _LEVEL,
            trained=True,
        )
        for name, depth in DEPTHS.items()
    },
}
