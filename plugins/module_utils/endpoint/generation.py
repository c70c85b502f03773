# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an OpenAI- and Anthropic-compatible endpoint generates, as little of it as checks need."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import (
    Answer,
    Client,
    EndpointError,
    Readiness,
    serves,
    start,
    text,
)

# What a model is for.
CHAT, COMPLETION, EMBEDDING, RERANK, TRANSCRIPTION = "chat", "completion", "embedding", "rerank", "transcription"
TASKS = (CHAT, COMPLETION, EMBEDDING, RERANK, TRANSCRIPTION)
# Where a model of a task is asked first, and what its answer has. Of the others it is enough that they are listed:
# engines answer a rerank in several forms, and a transcription takes sound.
_ASKED: Mapping[str, tuple[str, str]] = {
    CHAT: ("/v1/chat/completions", "choices"),
    COMPLETION: ("/v1/completions", "choices"),
    EMBEDDING: ("/v1/embeddings", "data"),
}
# Client errors that a server means for now: too slow, too early, too many.
_PASSING = (408, 425, 429)
# The Anthropic API wants a version in every request; this is the one that every client sends.
ANTHROPIC_VERSION = "2023-06-01"


class GenerationClient(Client):
    """A client that has the endpoint generate."""

    def chat(self, model: str, prompt: str, max_tokens: int, **options: Any) -> dict[str, Any]:
        """Return a chat completion."""
        return self.post_json("/v1/chat/completions", chat_body(model, prompt, max_tokens, **options))

    def chat_stream(self, model: str, prompt: str, max_tokens: int, **options: Any) -> Iterator[str]:
        """Yield the data of each event of a streamed chat completion, its usage and ``[DONE]`` included."""
        body = chat_body(model, prompt, max_tokens, stream=True, stream_options={"include_usage": True}, **options)
        return self.post_events("/v1/chat/completions", body)

    def messages(self, model: str, prompt: str, max_tokens: int) -> dict[str, Any]:
        """Return an answer in Anthropic's form."""
        body = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": prompt}]}
        return self.post_json("/v1/messages", body, headers={"anthropic-version": ANTHROPIC_VERSION})

    def post_events(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        """Yield the data of each server-sent event that a POST answers, as it comes."""
        with self.opened("POST", path, json=body, headers=headers) as (response, chunks):
            if response.status_code != 200:
                self.refuse("POST", path, Answer(response.status_code, text(chunks)))
            kind = response.headers.get("Content-Type", "")
            if not kind.startswith("text/event-stream"):
                raise self.error(
                    f"POST {path} answered {kind or 'no content type'}, not text/event-stream: {start(text(chunks))}"
                )
            yield from event_data(chunks)


def chat_body(model: str, prompt: str, max_tokens: int, **options: Any) -> dict[str, Any]:
    """Return the body of a chat completion."""
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens, **options}


def event_data(chunks: Iterable[bytes]) -> Iterator[str]:
    r"""Yield the data of each server-sent event in a stream of bytes, however they are cut.

    An event ends with an empty line; one that the stream's end cuts off is none.

    >>> list(event_data([b": hello\n\ndata: 1\r\nda", b"ta: 2\n\ndata: lost"]))
    ['1\n2']
    """
    data: list[str] = []
    for line in _lines(chunks):
        if not line and data:
            yield "\n".join(data)
            data = []
        name, _unused, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield whole lines. str.splitlines would also cut at U+2028 and others, which JSON leaves as they are."""
    rest = b""
    for chunk in chunks:
        # A return at the end may be half of a line break.
        *lines, rest = re.split(rb"\r\n|\n|\r(?!\Z)", rest + chunk)
        for line in lines:
            yield line.decode("utf-8", "replace")


def body_of(task: str, model: str, prompt: str, max_tokens: int) -> dict[str, Any]:
    """Return the body of what a model of a task is asked."""
    if task == EMBEDDING:
        return {"model": model, "input": prompt}
    if task == COMPLETION:
        return {"model": model, "prompt": prompt, "max_tokens": max_tokens}
    return chat_body(model, prompt, max_tokens)


def readiness(
    url: str,
    served_model_name: str,
    api_key: str | None = None,
    completion_timeout: float = 300,
    task: str = CHAT,
) -> Readiness:
    """Tell whether an endpoint serves a model and answers. Raises nothing for one that is not there yet.

    It does where it says so (see :func:`.client.serves`) and a first answer comes back: one token, or what a model of
    another *task* gives. The first answer may take minutes: kernels are compiled for it.
    """
    found = serves(url, served_model_name, api_key)
    if not found.ready:
        return found
    try:
        return _first_answer(Client(url, api_key, completion_timeout), served_model_name, task)
    except EndpointError as error:
        return Readiness(False, str(error))


def _first_answer(client: Client, model: str, task: str) -> Readiness:
    if task not in _ASKED:
        return Readiness(True)
    path, part = _ASKED[task]
    try:
        answer = client.post_json(path, body_of(task, model, "Say yes.", 1))
    except EndpointError as error:
        # It serves, and says of a good request that it is not: it will say so again.
        final = error.status is not None and 400 <= error.status < 500 and error.status not in _PASSING
        return Readiness(False, str(error), final)
    if not answer.get(part):
        return Readiness(False, client.redacted(f"a first answer came back without {part}: {start(answer)}"))
    return Readiness(True)


def warm_up(
    url: str,
    served_model_name: str,
    api_key: str | None,
    *,
    concurrency: int,
    requests: int,
    input_words: int,
    output_tokens: int,
    timeout: float,
    task: str = CHAT,
) -> None:
    """Have an endpoint answer *requests* prompts, *concurrency* at once, within *timeout* seconds.

    Each prompt is its own, so that no cache answers for the engine. A model for something that no prompt asks for is
    asked nothing. Raises :class:`EndpointError` with the first reason when any request fails.
    """
    if task not in _ASKED:
        return
    path = _ASKED[task][0]
    deadline = time.monotonic() + timeout
    words = random.Random(0)

    def ask(prompt: str) -> str | None:
        try:
            client = Client(url, api_key, max(0.1, deadline - time.monotonic()))
            client.post_json(path, body_of(task, served_model_name, prompt, output_tokens))
        except EndpointError as error:
            return str(error)
        return None

    prompts = [" ".join(str(words.randrange(1000)) for _word in range(input_words)) for _prompt in range(requests)]
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        failures = [reason for reason in pool.map(ask, prompts) if reason]
    if failures:
        raise EndpointError(f"{len(failures)} of {requests} requests failed, the first so: {failures[0]}", url=url)
