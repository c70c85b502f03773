# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lambda Cloud's API: one exchange at a time, paced, and honest about answers that were lost.

What may be repeated is repeated here. What must not be done twice is tried once; where its answer was lost,
:class:`LostAnswer` says that nobody knows, and :meth:`Api.once` looks before it tries again.
Source: the API's description, 1.10.0 (https://cloud.lambda.ai/api/v1/openapi.json).
"""

from __future__ import annotations

import email.utils
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import pace

try:
    import requests
except ImportError as error:
    requests = None
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

URL = "https://cloud.lambda.ai/api/v1"
# The codes of errors that are decided by; their texts are for people, and change.
CAPACITY = "instance-operations/launch/insufficient-capacity"
MISSING = ("global/object-does-not-exist", "global/not-found")
# What a person does about an error, by its code.
_REMEDIES = {
    "global/invalid-api-key": "Give a valid key: the option api_key or api_key_file, or the variable LAMBDA_API_KEY.",
    "global/account-inactive": "Verify the account's e-mail address and payment in Lambda's console.",
    "global/invalid-address": "Mend the account's billing address in Lambda's console.",
    "global/quota-exceeded": "End something, or ask Lambda for a larger quota.",
    "filesystems/filesystem-in-use": "End the instances that mount it first.",
    "firewall-rulesets/firewall-ruleset-in-use": "End the instances that use it first.",
    "instance-operations/launch/file-system-in-wrong-region": "Launch in the region of the file system.",
}
_BACKOFF = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)

T = TypeVar("T")


class ApiError(FleetError):
    """Lambda refused: nothing was done. ``code`` is the API's own, ``status`` HTTP's."""

    def __init__(self, message: str, code: str, status: int) -> None:
        super().__init__(message, code=code, status=status)
        self.code = code
        self.status = status


class LostAnswer(FleetError):
    """A request was sent and its answer is not known: it may have been carried out, or not."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Api:
    """An account's API.

    *request_seconds* and *launch_seconds* space what all processes of this user on this machine send. *patience* is how
    many seconds a read is tried again, *settle* how many the API may take to show what it has done. *timeout* is that
    of one request.
    """

    def __init__(
        self,
        api_key: str,
        url: str = URL,
        *,
        timeout: float = 60.0,
        patience: float = 300.0,
        settle: float = 120.0,
        request_seconds: float = pace.REQUEST_SECONDS,
        launch_seconds: float = pace.LAUNCH_SECONDS,
        clock: pace.Clock | None = None,
        folder: Path | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        if IMPORT_ERROR is not None:
            raise FleetError("The Python package requests is missing on this machine: pip install requests")
        self.url = url.rstrip("/")
        self.clock = clock or pace.Clock()
        self.settle = settle
        self.say = say
        self.folder = folder or pace.account_folder(api_key, self.url)
        self._timeout, self._patience = timeout, patience
        self._request_seconds, self._launch_seconds = request_seconds, launch_seconds
        self._session = requests.Session()
        # A .netrc must not replace the key.
        self._session.trust_env = True
        self._session.auth = _Bearer(api_key)

    def get(self, path: str) -> Any:
        """Read something, and try again where the answer is lost."""
        return self._again(lambda: self._exchange("GET", path))

    def repeatable(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Do something that is as well done twice, and try again where the answer is lost."""
        return self._again(lambda: self._exchange(method, path, body))

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Do something once. Raises :class:`LostAnswer` where it is not known whether it was done."""
        return self._exchange(method, path, body)

    def book_launch(self) -> None:
        """Wait until this machine may launch again."""
        self._wait_for_turn("launch", self._launch_seconds)

    def once(self, do: Callable[[], T], find: Callable[[], T | None], what: str) -> T:
        """Do what must not be done twice. Where its answer is lost, look for what it did before it is tried again.

        *find* returns what *do* would have returned where it was carried out after all.
        """
        deadline = None
        attempt = 0
        while True:
            try:
                return do()
            except LostAnswer as lost:
                deadline = deadline or self.clock.now() + self._patience + self.settle
                self.say(f"{what}: {lost} Looking whether it was done before it is tried again.")
                found = self.look_for(find)
                if found is not None:
                    self.say(f"{what}: it was done.")
                    return found
                pause = _pause(attempt, lost.retry_after)
                if self.clock.now() + pause > deadline:
                    raise FleetError(f"{what}: {lost} It is not to be seen after {self.settle:.0f} s.") from lost
                self.clock.sleep(pause)
                attempt += 1

    def look_for(self, find: Callable[[], T | None], until: float | None = None) -> T | None:
        """Look until something shows, or until the API must have shown it; return it or None."""
        deadline = self.clock.now() + self.settle if until is None else until
        attempt = 0
        while True:
            found = find()
            if found is not None or self.clock.now() >= deadline:
                return found
            self.clock.sleep(max(0.0, min(_pause(attempt, None), deadline - self.clock.now())))
            attempt += 1

    def _again(self, do: Callable[[], Any]) -> Any:
        deadline = self.clock.now() + self._patience
        attempt = 0
        while True:
            try:
                return do()
            except LostAnswer as lost:
                pause = _pause(attempt, lost.retry_after)
                if self.clock.now() + pause > deadline:
                    raise FleetError(f"{lost} It was tried {attempt + 1} times in {self._patience:.0f} s.") from lost
                self.clock.sleep(pause)
                attempt += 1

    def _wait_for_turn(self, what: str, spacing: float) -> None:
        if spacing <= 0:
            return
        try:
            moment = pace.booked(self.folder / f"next-{what}", spacing, self.clock)
        except OSError as error:
            raise FleetError(
                f"{error.filename}: {error.strerror}. Requests to Lambda are spaced out by a file there, as its limits "
                "count for the whole account. Make the folder writable, or set XDG_STATE_HOME."
            ) from error
        if moment > self.clock.now():
            self.clock.sleep(moment - self.clock.now())

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request and return its data."""
        self._wait_for_turn("request", self._request_seconds)
        asked = f"{method} {self.url}/{path}"
        try:
            answer = self._session.request(
                method, f"{self.url}/{path}", json=body, timeout=self._timeout, allow_redirects=False
            )
        except requests.Timeout as error:
            raise LostAnswer(f"{asked}: no answer within {self._timeout:.0f} s.") from error
        except requests.RequestException as error:
            raise LostAnswer(f"{asked}: {_reason(error)}.") from error
        if answer.status_code in (408, 429) or answer.status_code >= 500:
            raise LostAnswer(
                f"{asked}: HTTP {answer.status_code}{_said(answer.text)}.",
                _retry_after(answer.headers.get("Retry-After"), self.clock.now()),
            )
        try:
            content = json.loads(answer.text)
            if answer.ok:
                return content["data"]
            code, message = str(content["error"]["code"]), str(content["error"]["message"])
            suggestion = str(content["error"].get("suggestion") or "")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if answer.ok:
                raise LostAnswer(f"{asked}: HTTP {answer.status_code}, but what came is not the API's JSON.") from error
            code, message, suggestion = f"http/{answer.status_code}", f"HTTP {answer.status_code}", ""
        remedy = _REMEDIES.get(code) or suggestion
        raise ApiError(f"{asked}: {message.rstrip('.')} ({code}). {remedy}".rstrip(), code, answer.status_code)


class _Bearer(requests.auth.AuthBase if requests else object):
    """The key, as a header of each request to the API and of none to another place."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request

    def __repr__(self) -> str:
        return "<the API key>"


def _pause(attempt: int, retry_after: float | None) -> float:
    """Return the seconds to wait before another try: what was asked for, else longer each time, and never in step."""
    if retry_after is not None:
        return retry_after + random.uniform(0.0, 1.0)
    return _BACKOFF[min(attempt, len(_BACKOFF) - 1)] * random.uniform(0.75, 1.25)


def _retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, in either of its forms; None where it says nothing."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, TypeError):
        return None


def _reason(error: BaseException) -> str:
    """Return what went wrong at the bottom, without the library's nesting."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error).rstrip(".") or type(error).__name__


def _said(text: str) -> str:
    words = " ".join(text.split())[:200]
    return f", {words}" if words else ""
