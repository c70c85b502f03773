# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of an endpoint: HTTP, and what it tells about itself. What it generates is in :mod:`.generation`."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
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


class Answer(NamedTuple):
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
        # A gateway's certificate may be one that only its clients know.
        self._session.verify = os.environ.get("SSL_CERT_FILE") or True
        if self._key:
            # The library's own complaint would show the key.
            if not can_be_sent(self._key):
                raise EndpointError(f"The API key {NOT_TO_BE_SENT}", url=self.url)
            self._session.headers["Authorization"] = f"Bearer {self._key}"

    # What the endpoint tells about itself

    def health(self, timeout: float | None = None) -> None:
        """Return if /health answers 200, within *timeout* seconds where that is another limit."""
        self._checked("GET", "/health", limit=timeout)

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
            raise self.error(f"GET /v1/models answered without a list of models: {start(listed)}")
        return listed

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

    def post(self, path: str, **body: Any) -> Answer:
        """Return the answer of 200 to a POST; *body* is as the library takes it."""
        return self._checked("POST", path, **body)

    def redacted(self, text: str) -> str:
        """Return a text without the key: an endpoint may send back what it was sent."""
        return text.replace(self._key, "(the API key)") if self._key else text

    def _checked(self, method: str, path: str, **more: Any) -> Answer:
        answer = self._request(method, path, **more)
        if answer.status != 200:
            self.refuse(method, path, answer)
        return answer

    def _request(self, method: str, path: str, **more: Any) -> Answer:
        with self.opened(method, path, **more) as (response, chunks):
            return Answer(response.status_code, text(chunks))

    @contextmanager
    def opened(
        self, method: str, path: str, limit: float | None = None, **more: Any
    ) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
        """Send a request; give the response and its body. Turn what the library raises into a short sentence."""
        request = f"{method} {path}"
        limit = limit or self._timeout
        deadline = time.monotonic() + limit
        limits = (min(CONNECT_TIMEOUT, limit), limit)
        try:
            with self._session.request(
                method, self.url + path, timeout=limits, allow_redirects=False, stream=True, **more
            ) as response:
                # urllib3 1, which Debian 12 has, would take half an answer for a whole one.
                response.raw.enforce_content_length = True
                yield response, _until(deadline, response.iter_content(512))
        except requests.ConnectTimeout:
            raise self.error(f"{request} got no connection within {limits[0]:g} s") from None
        except requests.RequestException as error:
            causes = list(_causes(error))
            if any(isinstance(cause, (requests.Timeout, urllib3.exceptions.ReadTimeoutError)) for cause in causes):
                raise self.error(f"{request} got no whole answer within {limit:g} s") from None
            refused = any(isinstance(cause, ConnectionRefusedError) for cause in causes)
            raise self.error(f"{request} got no answer: {_reason(causes)}", refused=refused) from None

    def refuse(self, method: str, path: str, answer: Answer) -> None:
        told = f"{method} {path} answered {answer.status}: {_complaint(answer.text)}"
        if answer.status == 401:
            told += " (with the API key that is set)" if self._key else " (no API key is set)"
        raise self.error(told, answer.status)

    def _object(self, answer: Answer, request: str) -> dict[str, Any]:
        try:
            body = json.loads(answer.text)
        except ValueError:
            raise self.error(f"{request} answered something that is no JSON: {start(answer.text)}") from None
        if not isinstance(body, dict):
            raise self.error(f"{request} answered no JSON object: {start(answer.text)}")
        return body

    def error(self, message: str, status: int | None = None, refused: bool = False) -> EndpointError:
        return EndpointError(self.redacted(message), status, self.url, refused)


class Readiness(NamedTuple):
    """Whether an endpoint serves, and if not, what is missing; ``final`` where it will not come by waiting."""

    ready: bool
    reason: str = ""
    final: bool = False


def serves(url: str, served_model_name: str, api_key: str | None = None) -> Readiness:
    """Tell whether an endpoint serves a model, as far as it says itself. Raises nothing for one that is not there yet.

    It does when /health answers 200, /v1/models lists the name, and a request without the key is refused where there
    is one. This asks nothing of the engine, which may be busy.
    """
    try:
        client = Client(url, api_key, MODELS_TIMEOUT)
        # One that loads may take the connection and not answer: asked briefly, readiness is seen soon.
        client.health(HEALTH_TIMEOUT)
        names = [str(item.get("id")) for item in client.models()]
        if served_model_name not in names:
            return Readiness(False, f"/v1/models lists {', '.join(names) or 'nothing'}, not {served_model_name}")
        if api_key and Client(url, timeout=MODELS_TIMEOUT).get("/v1/models").status not in (401, 403):
            return Readiness(False, "GET /v1/models was answered without the API key that is set")
    except EndpointError as error:
        return Readiness(False, str(error))
    return Readiness(True)


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


def text(chunks: Iterable[bytes]) -> str:
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
