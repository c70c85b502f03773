# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversations that are written down beforehand."""

from __future__ import annotations

import json

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.simulator import asked, script

SCRIPT = script.load(
    json.dumps(
        [
            {"when": "order 7", "turns": [{"calls": [{"tool": "find", "arguments": {"id": 7}}]}, {"text": "Done."}]},
            {"when": "order", "turns": [{"text": "Which one?"}]},
        ]
    )
)
USER = {"role": "user", "content": "Please cancel order 7."}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "find"}}]}
TOLD = {"role": "tool", "content": "found"}


def said(*messages: dict) -> tuple:
    found = script.answer(SCRIPT, asked.chat({"messages": list(messages)}))
    return found and (found.finish, *((part.tool, part.text) for part in found.parts))


def test_each_answer_of_a_conversation_is_the_next_turn_and_the_last_one_stays() -> None:
    assert said(USER) == ("tool_calls", ("find", '{"id": 7}'))
    assert said(USER, CALL, TOLD) == ("stop", (None, "Done."))
    answered = (USER, CALL, TOLD, {"role": "assistant", "content": "Done."}, {"role": "user", "content": "Thanks."})
    assert said(*answered) == ("stop", (None, "Done."))


def test_the_first_part_that_fits_answers_and_else_nobody() -> None:
    assert said({"role": "user", "content": "My order, please."}) == ("stop", (None, "Which one?"))
    assert said({"role": "user", "content": "Hello."}) is None


def test_a_turn_may_be_an_error() -> None:
    refusing = script.load('[{"when": "order", "turns": [{"refuse": "a thing is broken"}]}]')
    with pytest.raises(asked.Refused, match="a thing is broken"):
        script.answer(refusing, asked.chat({"messages": [USER]}))


def test_calls_and_text_of_responses_are_turns_too() -> None:
    items = [
        {"role": "user", "content": "a"},
        {"type": "function_call", "name": "x"},
        {"type": "function_call", "name": "y"},
    ]
    items += [{"type": "function_call_output", "output": "z"}, {"role": "assistant", "content": "b"}]
    assert asked.response({"input": [*items, {"role": "user", "content": "c"}]}).turns == 2


@pytest.mark.parametrize(
    "wrong",
    ["{}", "[1]", '[{"when": "x"}]', '[{"when": "x", "turns": [{}]}]', '[{"when": "x", "turns": [{"calls": [1]}]}]'],
)
def test_what_is_no_script_is_refused_before_it_plays(wrong: str) -> None:
    with pytest.raises(ValueError, match="script"):
        script.load(wrong)
