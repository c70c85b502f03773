# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model that does not chat must do: a base model, one for embeddings, for ranking, for transcriptions."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Mapping
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import (
    Check,
    Target,
    Unmet,
    choice_of,
    count_of,
    events,
    mappings,
    told,
)
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.checks import MAX_TOKENS, PROMPT
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import start
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import (
    COMPLETION,
    EMBEDDING,
    RERANK,
    TRANSCRIPTION,
    body_of,
)

_DOCUMENTS = ["A fleet is a number of ships.", "A GPU multiplies matrices."]
_COMPLETIONS = "/v1/completions"


def _completion(target: Target) -> str:
    answer = target.client.post_json(_COMPLETIONS, body_of(COMPLETION, target.served_model_name, PROMPT, MAX_TOKENS))
    text = str(choice_of(answer).get("text") or "")
    tokens = count_of(answer.get("usage"), "completion_tokens")
    if not text and not tokens:
        raise Unmet(f"an answer without text: {start(answer)}")
    return f"{told(tokens, text)} came back"


def _stream(target: Target) -> str:
    body = {**body_of(COMPLETION, target.served_model_name, PROMPT, MAX_TOKENS), "stream": True}
    chunks, text = 0, ""
    for event in events(target.client.post_events(_COMPLETIONS, body)):
        for choice in mappings(event.get("choices")):
            text += str(choice.get("text") or "")
            # A token may be no whole character yet; the end is none.
            chunks += bool(choice.get("text")) or ("text" in choice and not choice.get("finish_reason"))
    if chunks < 2:
        raise Unmet(f"all {told(0, text)} in {chunks} chunk{'' if chunks == 1 else 's'}")
    return f"{told(0, text)} came back in {chunks} chunks, then [DONE]"


def _embedding(target: Target) -> str:
    answer = target.client.post_json("/v1/embeddings", body_of(EMBEDDING, target.served_model_name, PROMPT, 0))
    vectors = mappings(answer.get("data"))
    vector = vectors[0].get("embedding") if vectors else None
    if not _are_numbers(vector):
        raise Unmet(f"no embedding of numbers: {start(answer)}")
    return f"{len(vector)} numbers came back"


def _rerank(target: Target) -> str:
    body = {"model": target.served_model_name, "query": PROMPT, "documents": _DOCUMENTS}
    text = target.client.post("/v1/rerank", json=body).text
    try:
        answer = json.loads(text)
    except ValueError:
        raise Unmet(f"something that is no JSON: {start(text)}") from None
    # vLLM's results are in an object, SGLang's are the answer; each has its own name for the score.
    results = mappings(answer.get("results") if isinstance(answer, dict) else answer)
    scores = [result.get("relevance_score", result.get("score")) for result in results]
    if len(scores) != len(_DOCUMENTS) or not _are_numbers(scores):
        raise Unmet(f"no score for each of {len(_DOCUMENTS)} documents: {start(answer)}")
    return f"a score for each of {len(_DOCUMENTS)} documents came back"


def _transcription(target: Target) -> str:
    files = {"file": ("sound.wav", _silence(), "audio/wav")}
    text = target.client.post("/v1/audio/transcriptions", files=files, data={"model": target.served_model_name}).text
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        raise Unmet(f"no text: {start(text)}")
    return f"{told(0, answer['text'])} came back"


def _silence() -> bytes:
    """Return a WAV file of a second in which nothing is said: what a model makes of it is not checked."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(16_000)
        stream.writeframes(bytes(2 * 16_000))
    return sound.getvalue()


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(value, (int, float)) for value in values)


# By the task of a model; none of them is made of one that chats.
CHECKS: Mapping[str, Mapping[str, Check]] = {
    COMPLETION: {
        "text_completion": Check(f"text from POST {_COMPLETIONS}", _completion),
        "text_stream": Check("a streamed one in several chunks, then [DONE]", _stream),
    },
    EMBEDDING: {"embedding": Check("numbers from POST /v1/embeddings", _embedding)},
    RERANK: {"rerank": Check("a score for each document from POST /v1/rerank", _rerank)},
    TRANSCRIPTION: {"transcription": Check("text from POST /v1/audio/transcriptions", _transcription)},
}
