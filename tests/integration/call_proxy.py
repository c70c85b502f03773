# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy before a Docker daemon's socket, which counts the calls that change something, and strikes at one."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_REQUEST = re.compile(rb"^(\S+) (?:/v[0-9.]+)?(/\S*) HTTP/1\.[01]\r\n")
# What is posted and changes nothing that lasts.
_HARMLESS = re.compile(rb"/(containers/[^/]+/(wait|attach|exec)|exec/[^/]+/\w+|auth)(\?|$)")
BEFORE, AFTER = "before", "after"


class CallProxy:
    """Use it as a context manager; ``url`` is what a client connects to.

    ``calls`` are the calls that change something, in order. When number *strike_at* (from 1) comes,
    *strike* is called: *before* it is passed on, or *after* the daemon has answered it and before
    the client hears of that. An answer that comes in pieces, as a pull's, is struck at its first.
    The call, or its answer, is *lost* then, and its connection closed; with *lost* false it goes its
    way after *strike*, which may wait. ``struck`` tells whether it came to that.
    """

    def __init__(
        self,
        socket_path: Path,
        daemon_url: str,
        strike_at: int = 0,
        when: str = BEFORE,
        strike: Callable[[], None] = lambda: None,
        lost: bool = True,
    ) -> None:
        self._path = socket_path
        self._daemon = daemon_url.removeprefix("unix://")
        self._at, self._when, self._strike, self._lost = strike_at, when, strike, lost
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self.calls: list[str] = []
        self.struck = False

    @property
    def url(self) -> str:
        """The URL of the proxy's own socket."""
        return f"unix://{self._path}"

    def __enter__(self) -> CallProxy:
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        _close(self._listener, *self._connections)
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                client, _unused = self._listener.accept()
            except OSError:
                return
            daemon = socket.socket(socket.AF_UNIX)
            self._connections += [client, daemon]
            try:
                daemon.connect(self._daemon)
            except OSError:
                _close(client, daemon)
                continue
            # Set while an answer is to be struck.
            hold = threading.Event()
            threading.Thread(target=self._requests, args=(client, daemon, hold), daemon=True).start()
            threading.Thread(target=self._answers, args=(client, daemon, hold), daemon=True).start()

    def _requests(self, client: socket.socket, daemon: socket.socket, hold: threading.Event) -> None:
        """Pass the requests of one connection on."""
        try:
            with client.makefile("rb") as stream:
                while head := _head(stream):
                    if self._counts(head):
                        if self._when == AFTER:
                            hold.set()
                        elif not self._goes_on():
                            _close(client, daemon)
                            return
                    daemon.sendall(head)
                    _pass_body(head, stream, daemon)
            # The client may still wait for an answer.
            daemon.shutdown(socket.SHUT_WR)
        except OSError:
            _close(client, daemon)

    def _answers(self, client: socket.socket, daemon: socket.socket, hold: threading.Event) -> None:
        """Pass the answers of one connection on."""
        with suppress(OSError):
            while data := daemon.recv(65536):
                if hold.is_set():
                    hold.clear()
                    if not self._goes_on():
                        break
                client.sendall(data)
        _close(client, daemon)

    def _counts(self, head: bytes) -> bool:
        """Note a call that changes something; tell whether it is the one to strike at."""
        match = _REQUEST.match(head)
        if match is None or match[1] not in (b"POST", b"DELETE") or _HARMLESS.match(match[2]):
            return False
        with self._lock:
            self.calls.append(f"{match[1].decode()} {match[2].decode()}")
            return len(self.calls) == self._at

    def _goes_on(self) -> bool:
        """Strike; tell whether what was struck goes its way after that."""
        self.struck = True
        self._strike()
        return not self._lost


def _head(stream: BinaryIO) -> bytes:
    """Read a request's lines up to the blank one."""
    lines = []
    while line := stream.readline():
        lines.append(line)
        if line == b"\r\n":
            break
    return b"".join(lines)


def _field(head: bytes, name: bytes) -> bytes:
    """Return a header's value in lower case, or nothing."""
    match = re.search(rb"^" + name + rb":[ \t]*(.*?)\r$", head, re.IGNORECASE | re.MULTILINE)
    return match[1].lower() if match else b""


def _pass_body(head: bytes, stream: BinaryIO, daemon: socket.socket) -> None:
    """Pass on what follows a request's head."""
    if b"upgrade" in _field(head, b"connection"):
        # No HTTP any more.
        while data := stream.read1(65536):  # type: ignore[attr-defined]
            daemon.sendall(data)
    elif b"chunked" in _field(head, b"transfer-encoding"):
        while size := stream.readline():
            length = int(size.partition(b";")[0], 16)
            daemon.sendall(size + (stream.read(length + 2) if length else _head(stream)))
            if not length:
                return
    else:
        daemon.sendall(stream.read(int(_field(head, b"content-length") or 0)))


def _close(*sockets: socket.socket) -> None:
    """Close sockets, and wake who waits for them."""
    for item in sockets:
        with suppress(OSError):
            item.shutdown(socket.SHUT_RDWR)
        item.close()
