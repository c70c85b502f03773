# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP, as much of it as clients of an engine need."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from .asked import Refused

VERSION = "0.1.0"
SERVER = f"inference.fleet-simulator/{VERSION}"
MAX_BODY = 64 * 1024 * 1024
# Answers a request: connection, method, path, headers with lower-case names, body.
Handler = Callable[["Connection", str, str, Mapping[str, str], bytes], Awaitable[None]]


class Connection:
    """One client's connection, and the answers that it gets."""

    def __init__(self, answer: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._answer = answer
        self._reader = reader
        self._writer = writer
        self._in_stream = False

    async def serve(self) -> None:
        """Answer requests until the client leaves."""
        try:
            while await self._one():
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except (asyncio.LimitOverrunError, ValueError):
            # Where the next request begins is not known any more.
            with contextlib.suppress(ConnectionError):
                self.send_json(400, error_body(400, "this is not an HTTP request that can be read"))
        finally:
            self._writer.close()

    async def _one(self) -> bool:
        head = await self._reader.readuntil(b"\r\n\r\n")
        request_line, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = request_line.split(" ", 2)
        headers = {
            name.strip().lower(): value.strip() for name, _unused, value in (line.partition(":") for line in lines)
        }
        if headers.get("expect", "").lower() == "100-continue":
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self._body(headers)
        path = target.partition("?")[0]
        self._in_stream = False
        try:
            await self._answer(self, method, path, headers, body)
        except Refused as refused:
            self.send_json(refused.status, error_body(refused.status, str(refused), path))
        except ConnectionError:
            raise
        except Exception as error:
            log(f"{method} {path}: {type(error).__name__}: {error}")
            if self._in_stream:
                return False
            self.send_json(500, error_body(500, "the simulator failed on this request; its log says how", path))
        await self._writer.drain()
        keep = headers.get("connection", "").lower()
        return keep == "keep-alive" if version == "HTTP/1.0" else keep != "close"

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            parts, total = [], 0
            while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
                total = _bounded(total + size)
                parts.append((await self._reader.readexactly(size + 2))[:-2])
            await self._reader.readuntil(b"\r\n")
            return b"".join(parts)
        return await self._reader.readexactly(_bounded(int(headers.get("content-length") or 0)))

    # Answers

    def send(self, status: int, kind: str, body: bytes) -> None:
        """Send a whole answer."""
        self._head(status, kind, f"Content-Length: {len(body)}\r\n")
        self._writer.write(body)

    def send_json(self, status: int, body: Mapping[str, Any]) -> None:
        """Send a JSON object."""
        self.send(status, "application/json", json.dumps(body).encode())

    def open_events(self) -> None:
        """Begin a stream of server-sent events."""
        self._in_stream = True
        self._head(200, "text/event-stream; charset=utf-8", "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n")

    def events(self, sent: bytes) -> None:
        """Send events that are ready to go; nothing, where there are none."""
        if sent:
            self._writer.write(b"%x\r\n%b\r\n" % (len(sent), sent))

    def break_off(self) -> None:
        """Leave the client in the middle of an answer."""
        self._writer.close()

    def close_events(self) -> None:
        """End a stream of events."""
        self._writer.write(b"0\r\n\r\n")

    def gone(self) -> bool:
        """Whether the client has left."""
        return self._writer.is_closing() or self._reader.at_eof()

    def _head(self, status: int, kind: str, more: str) -> None:
        start = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: {SERVER}\r\n"
        self._writer.write(f"{start}Content-Type: {kind}\r\n{more}\r\n".encode("latin-1"))


def error_body(status: int, message: str, path: str = "") -> dict[str, Any]:
    """Return an error in OpenAI's form, and where the path is Anthropic's in that too."""
    kinds = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 503: "ServiceUnavailableError"}
    kind = kinds.get(status, "InternalServerError")
    error = {"error": {"message": message, "type": kind, "param": None, "code": status}}
    # Anthropic's clients look for one word more.
    return {"type": "error", **error} if path.startswith("/v1/messages") else error


def log(line: str) -> None:
    """Write a line of the log."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _bounded(size: int) -> int:
    if not 0 <= size <= MAX_BODY:
        raise ValueError("the body is too large")
    return size
