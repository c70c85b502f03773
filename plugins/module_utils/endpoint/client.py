# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of an OpenAI- and Anthropic-compatible endpoint, as small as checks need it."""

from __future__ import annotations

import http.client
import json
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

try:
    import requests
    import urllib3
except ImportError as error:
    REQUESTS_IMPORT_ERROR: ImportError | None = error
else:
    REQUESTS_IMPORT_ERROR = None

CONNECT_TIMEOUT = 5
HEALTH_TIMEOUT, MODELS_TIMEOUT = 2, 10
# How often, in seconds, an endpoint that is awaited is asked.
POLL = 1.0
# What a model is for.
CHAT, COMPLETION, EMBEDDING, RERANK, TRANSCRIPTION = "chat", "completion", "embedding", "rerank", "transcription"
TASKS = (CHAT, COMPLETION, EMBEDDING, RERANK, TRANSCRIPTION)
# What a model of a task is asked first, and what its answer has. Of the others it is enough that they are listed:
# engines answer a rerank in several forms, and a transcription takes sound.
_FIRST: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    CHAT: ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 1}, "choices"),
    COMPLETION: ("/v1/completions", {"prompt": "Say yes.", "max_tokens": 1}, "choices"),
    EMBEDDING: ("/v1/embeddings", {"input": "Say yes."}, "data"),
}
# Client errors that a server means for now: too slow, too early, too many.
_PASSING = (408, 425, 429)
# The Anthropic API wants a version in every request; this is the one that every client sends.
ANTHROPIC_VERSION = "2023-06-01"


class EndpointError(FleetError):
    """A request that did not get the answer it should.

    ``status`` is the HTTP status, or ``None`` where there was no answer. ``refused`` tells that
    nothing listens. The details have the ``url`` and the ``status``.
    """

    def __init__(self, message: str, status: int | None = None, url: str | None = None, refused: bool = False) -> None:
        super().__init__(message, url=url, status=status)
        self.status = status
        self.refused = refused


NOT_TO_BE_SENT = (
    "cannot be sent in a header: wanted printable ASCII without spaces or line breaks around it. A key that is read "
    "from a file may have kept the line break at its end."
)


def can_be_sent(key: str) -> bool:
    """Tell whether a key can be sent in a header.

    >>> can_be_sent("key"), can_be_sent("key with a line break at its end\\n")
    (True, False)
    """
    return key.isascii() and key.isprintable() and key == key.strip()


@dataclass(frozen=True)
class Answer:
    """An answer that was read to its end."""

    status: int
    text: str


class Client:
    """One endpoint. *timeout*, in seconds, is for each request, from the connection to the answer's end.

    Raises :class:`EndpointError` for a URL or a key that no request can be made with.
    """

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 60) -> None:
        self.url = _base(url)
        self._key = api_key or ""
        self._timeout = timeout
        self._session = requests.Session()
        # A proxy of the environment has no business between a host and its own endpoint; nor has ~/.netrc.
        self._session.trust_env = False
        if self._key:
            # The library's own complaint would show the key.
            if not can_be_sent(self._key):
                raise EndpointError(f"The API key {NOT_TO_BE_SENT}", url=self.url)
            self._session.headers["Authorization"] = f"Bearer {self._key}"

    # What the endpoint tells about itself

    def health(self) -> None:
        """Return if /health answers 200."""
        self._checked("GET", "/health")

    def listens(self) -> bool:
        """Tell whether connections to the endpoint are taken, whatever it then answers."""
        try:
            self.health()
        except EndpointError as error:
            return not error.refused
        return True

    def wait_for_health(self, seconds: float) -> None:
        """Return when /health answers 200, or after so many seconds, whatever it answers then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                return self.health()
            except EndpointError:
                time.sleep(max(0.0, min(POLL, deadline - time.monotonic())))
        return None

    def version(self) -> dict[str, Any]:
        """Return what /version answers."""
        return self.get_json("/version")

    def metrics(self) -> str:
        """Return the text of /metrics, in Prometheus' form."""
        return self._checked("GET", "/metrics").text

    def models(self) -> list[dict[str, Any]]:
        """Return what /v1/models lists."""
        listed = self.get_json("/v1/models").get("data")
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            raise self._error(f"GET /v1/models answered without a list of models: {start(listed)}")
        return listed

    # What it generates

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

    # HTTP

    def ask(self, method: str, path: str, **more: Any) -> Answer:
        """Return the answer to a request, whatever its status."""
        return self._request(method, path, **more)

    def get(self, path: str) -> Answer:
        """Return the answer to a GET, whatever its status."""
        return self._request("GET", path)

    def get_json(self, path: str) -> dict[str, Any]:
        """Return the JSON object that a GET answers."""
        return self._object(self._checked("GET", path), f"GET {path}")

    def post_json(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON object that a POST answers."""
        return self._object(self._checked("POST", path, json=body, headers=headers), f"POST {path}")

    def post_events(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        """Yield the data of each server-sent event that a POST answers, as it comes."""
        with self._opened("POST", path, json=body, headers=headers) as (response, chunks):
            if response.status_code != 200:
                self._refuse("POST", path, Answer(response.status_code, _text(chunks)))
            kind = response.headers.get("Content-Type", "")
            if not kind.startswith("text/event-stream"):
                raise self._error(
                    f"POST {path} answered {kind or 'no content type'}, not text/event-stream: {start(_text(chunks))}"
                )
            yield from event_data(chunks)

    def redacted(self, text: str) -> str:
        """Return a text without the key: an endpoint may send back what it was sent."""
        return text.replace(self._key, "(the API key)") if self._key else text

    def _checked(self, method: str, path: str, **more: Any) -> Answer:
        answer = self._request(method, path, **more)
        if answer.status != 200:
            self._refuse(method, path, answer)
        return answer

    def _request(self, method: str, path: str, **more: Any) -> Answer:
        with self._opened(method, path, **more) as (response, chunks):
            return Answer(response.status_code, _text(chunks))

    @contextmanager
    def _opened(self, method: str, path: str, **more: Any) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
        """Send a request; give the response and its body. Turn what the library raises into a short sentence."""
        request = f"{method} {path}"
        deadline = time.monotonic() + self._timeout
        limits = (min(CONNECT_TIMEOUT, self._timeout), self._timeout)
        try:
            with self._session.request(
                method, self.url + path, timeout=limits, allow_redirects=False, stream=True, **more
            ) as response:
                # urllib3 1, which Debian 12 has, would take half an answer for a whole one.
                response.raw.enforce_content_length = True
                yield response, _until(deadline, response.iter_content(512))
        except requests.ConnectTimeout:
            raise self._error(f"{request} got no connection within {limits[0]:g} s") from None
        except requests.RequestException as error:
            causes = list(_causes(error))
            if any(isinstance(cause, (requests.Timeout, urllib3.exceptions.ReadTimeoutError)) for cause in causes):
                raise self._error(f"{request} got no whole answer within {self._timeout:g} s") from None
            refused = any(isinstance(cause, ConnectionRefusedError) for cause in causes)
            raise self._error(f"{request} got no answer: {_reason(causes)}", refused=refused) from None

    def _refuse(self, method: str, path: str, answer: Answer) -> None:
        told = f"{method} {path} answered {answer.status}: {_complaint(answer.text)}"
        if answer.status == 401:
            told += " (with the API key that is set)" if self._key else " (no API key is set)"
        raise self._error(told, answer.status)

    def _object(self, answer: Answer, request: str) -> dict[str, Any]:
        try:
            body = json.loads(answer.text)
        except ValueError:
            raise self._error(f"{request} answered something that is no JSON: {start(answer.text)}") from None
        if not isinstance(body, dict):
            raise self._error(f"{request} answered no JSON object: {start(answer.text)}")
        return body

    def _error(self, message: str, status: int | None = None, refused: bool = False) -> EndpointError:
        return EndpointError(self.redacted(message), status, self.url, refused)


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


@dataclass(frozen=True)
class Readiness:
    """Whether an endpoint serves, and if not, what is missing; ``final`` where it will not come by waiting."""

    ready: bool
    reason: str = ""
    final: bool = False


def readiness(
    url: str,
    served_model_name: str,
    api_key: str | None = None,
    completion: bool = True,
    completion_timeout: float = 300,
    task: str = CHAT,
) -> Readiness:
    """Tell whether an endpoint serves a model. Raises nothing for one that is not there yet.

    It does when /health answers 200, /v1/models lists the name, a request without the key is
    refused where there is one, and, with *completion*, a first answer comes back: one token, or what
    a model of another *task* gives. A busy engine is asked without. The first answer may take
    minutes: kernels are compiled for it.
    """
    try:
        # One that loads may take the connection and not answer: asked briefly, readiness is seen soon.
        Client(url, api_key, HEALTH_TIMEOUT).health()
        client = Client(url, api_key, MODELS_TIMEOUT)
        names = [str(item.get("id")) for item in client.models()]
        if served_model_name not in names:
            return Readiness(False, f"/v1/models lists {', '.join(names) or 'nothing'}, not {served_model_name}")
        if api_key and Client(url, timeout=MODELS_TIMEOUT).get("/v1/models").status not in (401, 403):
            return Readiness(False, "GET /v1/models was answered without the API key that is set")
        if completion:
            return _first_answer(Client(url, api_key, completion_timeout), served_model_name, task)
    except EndpointError as error:
        return Readiness(False, str(error))
    return Readiness(True)


def _first_answer(client: Client, model: str, task: str) -> Readiness:
    if task not in _FIRST:
        return Readiness(True)
    path, body, part = _FIRST[task]
    try:
        answer = client.post_json(path, {"model": model, **body})
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
) -> None:
    """Have an endpoint answer *requests* prompts, *concurrency* at once, within *timeout* seconds.

    Each prompt is its own, so that no cache answers for the engine. Raises :class:`EndpointError`
    with the first reason when any request fails.
    """
    deadline = time.monotonic() + timeout
    words = random.Random(0)

    def ask(prompt: str) -> str | None:
        try:
            client = Client(url, api_key, max(0.1, deadline - time.monotonic()))
            client.chat(served_model_name, prompt, output_tokens)
        except EndpointError as error:
            return str(error)
        return None

    prompts = [" ".join(str(words.randrange(1000)) for _word in range(input_words)) for _prompt in range(requests)]
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        failures = [reason for reason in pool.map(ask, prompts) if reason]
    if failures:
        raise EndpointError(f"{len(failures)} of {requests} requests failed, the first so: {failures[0]}", url=url)


def start(value: Any, limit: int = 200) -> str:
    """Return the start of what was found, on one line."""
    flat = " ".join((value if isinstance(value, str) else json.dumps(value)).split())
    return flat if len(flat) <= limit else flat[:limit] + " …"


def _base(url: str) -> str:
    base = url.strip().rstrip("/")
    try:
        parts = urlsplit(base)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    # Clients of OpenAI's API are given a URL with /v1, and this one adds it.
    if not usable or parts.path.endswith("/v1") or parts.query or parts.fragment:
        raise EndpointError(
            f"{url!r} is not the URL of an endpoint: wanted one such as http://127.0.0.1:8000, without /v1.", url=url
        )
    return base


def _until(deadline: float, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass chunks on, up to a time: a server that sends a byte now and then would never time out."""
    for chunk in chunks:
        if time.monotonic() > deadline:
            raise requests.Timeout
        yield chunk


def _text(chunks: Iterable[bytes]) -> str:
    return b"".join(chunks).decode("utf-8", "replace")


def _complaint(body: str) -> str:
    """Return what an error's body says: OpenAI's and Anthropic's message where it has that form."""
    try:
        error = json.loads(body)["error"]
        return start(str(error["message"] if isinstance(error, dict) else error))
    except (ValueError, KeyError, TypeError):
        return start(body) or "nothing"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those it wraps, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        inner = getattr(cause, "reason", None)
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__


def _reason(causes: list[BaseException]) -> str:
    """Say in a few words what the system, or the protocol, said."""
    for cause in causes:
        if isinstance(cause, http.client.RemoteDisconnected):
            return "the connection was closed"
        if isinstance(cause, http.client.IncompleteRead):
            return "it broke off"
        if isinstance(cause, OSError) and cause.errno:
            return str(cause.strerror).lower()
    return start(str(causes[0]))
