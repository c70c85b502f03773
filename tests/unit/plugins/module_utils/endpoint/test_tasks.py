# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model is asked what it is for, and one that does not do that is told."""

from __future__ import annotations

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import levels
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import Target, run_checks
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import GenerationClient
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

from .conftest import CHAT, MESSAGES, MODEL, Events, Reply, usage

COMPLETIONS, EMBEDDINGS = ("POST", "/v1/completions"), ("POST", "/v1/embeddings")
RERANK, SOUND = ("POST", "/v1/rerank"), ("POST", "/v1/audio/transcriptions")
NOTHING = Reply("no such thing", 404)
VECTOR = Reply({"data": [{"embedding": [0.5, -1]}]})
SCORES = Reply({"results": [{"index": 0, "relevance_score": 0.9}, {"index": 1, "relevance_score": 0.1}]})


def completions(handler, request):
    """Answer as a base model's engine does."""
    events = ({"choices": [{"text": "One"}]}, {"choices": [{"text": " two"}]}, usage(2), "[DONE]")
    answer = Events(events) if request.get("stream") else Reply({"choices": [{"text": "One two"}]})
    answer(handler, request)


def in_one_piece(handler, request):
    """Answer a stream as a server does that makes none."""
    events = ({"choices": [{"text": "One two"}]}, "[DONE]")
    (Events(events) if request.get("stream") else Reply({"choices": [{"text": "One two"}]}))(handler, request)


def checked(endpoint, task):
    target = Target(GenerationClient(endpoint.url, None, 30), MODEL)
    return {result.name: result for result in run_checks(target, levels.chosen(task=task))}


@pytest.mark.parametrize(
    ("task", "routes", "own"),
    [
        ("completion", {COMPLETIONS: completions}, ["text_completion", "text_stream"]),
        ("embedding", {EMBEDDINGS: VECTOR}, ["embedding"]),
        ("rerank", {RERANK: SCORES}, ["rerank"]),
        ("rerank", {RERANK: Reply([{"score": 0.9, "index": 0}, {"score": 0.1, "index": 1}])}, ["rerank"]),
        ("transcription", {SOUND: Reply({"text": ""})}, ["transcription"]),
    ],
)
def test_a_model_is_asked_what_it_is_for(serve, task, routes, own):
    results = checked(serve({CHAT: NOTHING, MESSAGES: NOTHING, **routes}), task)
    assert {name: result.status for name, result in results.items()} == {
        **dict.fromkeys(["health", "model", *own], "ok"),
        "auth": "skipped",
    }


@pytest.mark.parametrize(
    ("task", "routes", "name", "found"),
    [
        ("completion", {COMPLETIONS: Reply({"choices": [{"text": ""}]})}, "text_completion", "an answer without text"),
        ("completion", {COMPLETIONS: in_one_piece}, "text_stream", "all 7 characters in 1 chunk"),
        ("embedding", {EMBEDDINGS: Reply({"data": [{"embedding": "AAAA"}]})}, "embedding", "no embedding of numbers"),
        ("embedding", {EMBEDDINGS: Reply({"data": []})}, "embedding", "no embedding of numbers"),
        ("rerank", {RERANK: Reply({"results": [{"relevance_score": 1}]})}, "rerank", "no score for each of 2"),
        ("rerank", {RERANK: Reply("<html>")}, "rerank", "something that is no JSON"),
        ("transcription", {SOUND: Reply({"text": None})}, "transcription", "no text"),
    ],
)
def test_one_that_does_not_do_what_it_is_for(serve, task, routes, name, found):
    result = checked(serve(routes), task)[name]
    assert result.status == "failed"
    assert found in result.found


def test_what_is_of_another_task_is_refused_by_name():
    assert {check.level for check in levels.chosen(["all"], task="embedding").values()} == {"basic", "security"}
    for given in ({"levels": ["tools"]}, {"only": ["tool_call"]}):
        with pytest.raises(FleetError, match=r"tool.*: no level or check of a model that is for embedding"):
            levels.chosen(**given, task="embedding")
    with pytest.raises(FleetError, match="embedding: no level or check of a model that is for chat"):
        levels.chosen(only=["embedding"])
