# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that say that an SSH server is there, which is all that a launch asks of a machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def answering(addresses: Sequence[str]) -> Iterator[int]:
    """Listen on the same free port of all these addresses of loopback, and say which it is."""
    first = socket.create_server((addresses[0], 0))
    servers = [first, *(socket.create_server((each, first.getsockname()[1])) for each in addresses[1:])]
    for server in servers:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
    try:
        yield first.getsockname()[1]
    finally:
        for server in servers:
            server.shutdown(socket.SHUT_RDWR)
            server.close()


def _serve(server: socket.socket) -> None:
    while True:
        try:
            connection, _peer = server.accept()
        except OSError:
            return
        with connection:
            connection.sendall(b"SSH-2.0-test\r\n")
