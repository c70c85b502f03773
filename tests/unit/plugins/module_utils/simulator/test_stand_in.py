# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator as a stand-in that real clients talk to: the SDKs of OpenAI and Anthropic, over real HTTP."""

from __future__ import annotations

import json

import anthropic
import jsonschema
import openai
import pytest

from ..conftest import MODEL

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
CITIES = [{"city": "Paris", "unit": "celsius"}, {"city": "Rome", "unit": "celsius"}]
TWO = f"Call get_weather twice, at once: with {json.dumps(CITIES[0])} and with {json.dumps(CITIES[1])}."
CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
MESSAGE_TOOL = {"name": "get_weather", "input_schema": WEATHER}
RESPONSE_TOOL = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}
RESULTS = ["21 degrees, code 4711", "25 degrees, code 4712"]


def user(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def gpt(simulator):
    with openai.OpenAI(base_url=f"http://127.0.0.1:{simulator.port}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def claude(simulator):
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{simulator.port}", api_key="any", max_retries=0) as client:
        yield client


def chat_calls(gpt, stream, **more):
    """Return the calls of a chat completion as (id, name, arguments), put together by the client's rules."""
    asked = {"model": MODEL, "tools": [CHAT_TOOL], **more}
    if not stream:
        choice = gpt.chat.completions.create(**asked).choices[0]
    else:
        with gpt.chat.completions.stream(**asked) as events:
            choice = events.get_final_completion().choices[0]
    calls = choice.message.tool_calls or []
    assert choice.finish_reason == ("tool_calls" if calls else "stop")
    return [(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls]


def message_calls(claude, stream, **more):
    asked = {"model": MODEL, "max_tokens": 1000, "tools": [MESSAGE_TOOL], **more}
    if not stream:
        answer = claude.messages.create(**asked)
    else:
        with claude.messages.stream(**asked) as events:
            answer = events.get_final_message()
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert answer.stop_reason == ("tool_use" if calls else "end_turn")
    return [(call.id, call.name, call.input) for call in calls]


def response_calls(gpt, stream, **more):
    asked = {"model": MODEL, "tools": [RESPONSE_TOOL], **more}
    if not stream:
        answer = gpt.responses.create(**asked)
    else:
        with gpt.responses.stream(**asked) as events:
            answer = events.get_final_response()
    assert answer.status == "completed"
    calls = [item for item in answer.output if item.type == "function_call"]
    return [(call.call_id, call.name, json.loads(call.arguments)) for call in calls]


STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@STREAMS
def test_parallel_calls_have_the_arguments_that_were_asked_for(gpt, claude, stream):
    for calls in (
        chat_calls(gpt, stream, messages=user(TWO)),
        message_calls(claude, stream, messages=user(TWO)),
        response_calls(gpt, stream, input=TWO),
    ):
        assert [(name, arguments) for _unused, name, arguments in calls] == [("get_weather", city) for city in CITIES]
        assert len({call for call, *_unused in calls}) == 2


@STREAMS
def test_one_call_where_parallel_ones_are_not_wanted(gpt, claude, stream):
    assert len(chat_calls(gpt, stream, messages=user(TWO), parallel_tool_calls=False)) == 1
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert len(message_calls(claude, stream, messages=user(TWO), tool_choice=choice)) == 1
    assert len(response_calls(gpt, stream, input=TWO, parallel_tool_calls=False)) == 1


@STREAMS
def test_tool_choice(gpt, claude, stream):
    hello = "Say hello."
    for choice, count in (("auto", 0), ("none", 0), ("required", 1)):
        assert len(chat_calls(gpt, stream, messages=user(hello), tool_choice=choice)) == count
        assert len(response_calls(gpt, stream, input=hello, tool_choice=choice)) == count
    for choice, count in (("auto", 0), ("none", 0), ("any", 1)):
        assert len(message_calls(claude, stream, messages=user(hello), tool_choice={"type": choice})) == count
    assert chat_calls(gpt, stream, messages=user(TWO), tool_choice="none") == []


@STREAMS
def test_results_are_used_and_no_tool_is_called_again(gpt, claude, stream):
    calls = chat_calls(gpt, False, messages=user(TWO))
    asked = [
        {"id": call, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for call, name, arguments in calls
    ]
    answered = [
        {"role": "tool", "tool_call_id": call[0], "content": result}
        for call, result in zip(calls, RESULTS, strict=True)
    ]
    history = [*user(TWO), {"role": "assistant", "content": None, "tool_calls": asked}, *answered]
    assert chat_calls(gpt, stream, messages=history) == []
    told = gpt.chat.completions.create(model=MODEL, messages=history, tools=[CHAT_TOOL])
    assert all(result in told.choices[0].message.content for result in RESULTS)
    # What the user says next is a new turn.
    assert len(chat_calls(gpt, stream, messages=[*history, *user(TWO)])) == 2


def test_a_coding_client_s_reminders_are_no_new_turn(claude):
    calls = message_calls(claude, False, messages=user(TWO))
    uses = [{"type": "tool_use", "id": call, "name": name, "input": sent} for call, name, sent in calls]
    answers = [
        {"type": "tool_result", "tool_use_id": call[0], "content": result}
        for call, result in zip(calls, RESULTS, strict=True)
    ]
    reminder = {"type": "text", "text": "<system-reminder>\nNever forget get_weather.\n</system-reminder>"}
    history = [
        *user(TWO),
        {"role": "assistant", "content": uses},
        {"role": "user", "content": [*answers, reminder]},
        {"role": "system", "content": "Today is Thursday."},
    ]
    told = claude.messages.create(model=MODEL, max_tokens=4000, messages=history, tools=[MESSAGE_TOOL])
    assert told.stop_reason == "end_turn"
    assert all(result in told.content[0].text for result in RESULTS)


def test_what_a_prompt_states_is_found(gpt):
    prompt = f"{'Hay. ' * 500}The pass phrase of Oslo is teal-4711. {'Hay. ' * 500}\nWhat is the pass phrase of Oslo?"
    told = gpt.chat.completions.create(model=MODEL, messages=user(prompt))
    assert told.choices[0].message.content == "The pass phrase of Oslo is teal-4711."


def test_json_fits_its_schema(gpt, claude):
    form = {"type": "json_schema", "json_schema": {"name": "weather", "schema": WEATHER, "strict": True}}
    told = gpt.chat.completions.create(model=MODEL, messages=user("Say it."), response_format=form)
    jsonschema.validate(json.loads(told.choices[0].message.content), WEATHER)
    told = gpt.responses.create(
        model=MODEL, input="Say it.", text={"format": {"type": "json_schema", "name": "weather", "schema": WEATHER}}
    )
    jsonschema.validate(json.loads(told.output_text), WEATHER)
    told = claude.messages.create(
        model=MODEL,
        max_tokens=500,
        messages=user("Say it."),
        output_config={"format": {"type": "json_schema", "schema": WEATHER}},
    )
    jsonschema.validate(json.loads(told.content[0].text), WEATHER)
    told = gpt.chat.completions.create(model=MODEL, messages=user("Say it."), response_format={"type": "json_object"})
    assert isinstance(json.loads(told.choices[0].message.content), dict)


def test_an_agent_s_prompt_is_counted_with_its_tools(claude):
    bare = claude.messages.count_tokens(model=MODEL, messages=user("word " * 1000))
    tools = claude.messages.count_tokens(model=MODEL, messages=user("word " * 1000), tools=[MESSAGE_TOOL])
    assert 1000 < bare.input_tokens < 1500
    assert tools.input_tokens > bare.input_tokens
    # What is counted ahead is what is billed.
    answer = claude.messages.create(model=MODEL, max_tokens=50, messages=user("word " * 1000), tools=[MESSAGE_TOOL])
    assert answer.usage.input_tokens == tools.input_tokens


def test_a_response_that_is_cut_says_so(gpt):
    told = gpt.responses.create(model=MODEL, input="Say it.", max_output_tokens=5)
    assert (told.status, told.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert (told.usage.output_tokens, told.output_text) == (5, "This ")
