# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API keys of an endpoint: they guard every path but /health, and are read again when their file changes.

This file stands alone. The simulator imports it. vLLM and SGLang get it as ASGI middleware: vLLM's own key leaves
/invocations, which runs inference, open to everybody; SGLang prints its own in its log; both read theirs only at the
start.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

# What this file does, as a number: an engine that has another text of the same version is not started anew for it.
# Raise it when a change matters to who gets in. 1: one key. 2: one key a line.
VERSION = 2
FILE = "api_key"
OPEN_PATH = "/health"
REFUSAL = "Unauthorized: wanted the API key in the header Authorization: Bearer, or in x-api-key"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Keys:
    """Keys in a file, one a line.

    Raises :class:`OSError` or :class:`ValueError` where there is none: no key opens nothing.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._seen: tuple[int, int, int] | None = None
        self._digests: list[bytes] = []
        self._read()

    def guards(self, method: str, path: str) -> bool:
        """Tell whether a request needs a key. A browser asks with OPTIONS, without one, what it may do."""
        return path != OPEN_PATH and method != "OPTIONS"

    def fits(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request has one of the keys; *headers* have lower-case names."""
        # A file that is gone leaves the last keys in force.
        with suppress(OSError, ValueError):
            self._read()
        scheme, _unused, bearer = headers.get("authorization", "").partition(" ")
        offered = [bearer.strip()] if scheme.lower() == "bearer" else []
        # Anthropic's clients send it by this name.
        offered += [headers["x-api-key"]] if "x-api-key" in headers else []
        digests = [_digest(text.encode("latin-1", "replace")) for text in offered]
        return any(hmac.compare_digest(one, key) for one in digests for key in self._digests)

    def _read(self) -> None:
        status = self._path.stat()
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return
        keys = [line for line in self._path.read_bytes().split(b"\n") if line]
        if not keys:
            raise ValueError(f"{self._path} has no API key")
        self._digests, self._seen = [_digest(key) for key in keys], seen


class Guard:
    """ASGI middleware that lets in only requests with a key of the file beside this one."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._keys = Keys(Path(__file__).with_name(FILE))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        if scope["type"] not in ("http", "websocket") or self._passes(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Closed before it was accepted: the server answers 403.
            await send({"type": "websocket.close", "code": 1008, "reason": "Unauthorized"})
        else:
            await _refuse(send)

    def _passes(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not self._keys.guards(scope.get("method", ""), path):
            return True
        return self._keys.fits({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})


async def _refuse(send: Send) -> None:
    error = {"message": REFUSAL, "type": "AuthenticationError", "param": None, "code": 401}
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
