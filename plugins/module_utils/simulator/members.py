# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several hosts that serve one model together, as vLLM's are seen to: a head, and members that do its work.

The head loads when all have joined it. Each request needs every member. Where one is gone, the next request is refused
and the head ends; one that cannot be reached lets the request wait. A member whose head is gone stays, and waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from .asked import Refused
from .web import log

_TRY_EVERY = 0.2
_WORK = b"."


class Members:
    """The members of a head. *wanted* is how many there are; *lost* is called when a request found one gone."""

    def __init__(self, wanted: int, lost: Callable[[], None] = lambda: None) -> None:
        self._wanted = wanted
        self._lost = lost
        self._joined: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._all_here = asyncio.Event()
        self._working = asyncio.Lock()
        if not wanted:
            self._all_here.set()

    async def listen(self, address: str, port: int) -> asyncio.Server:
        """Let members join at an address."""

        async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._joined.append((reader, writer))
            log(f"{len(self._joined)} of {self._wanted} members have joined")
            if len(self._joined) == self._wanted:
                self._all_here.set()

        return await asyncio.start_server(joined, address, port)

    async def wait(self) -> None:
        """Wait until all have joined."""
        await self._all_here.wait()

    async def work(self) -> None:
        """Have every member do its part of a request; refuse the request where one is gone."""
        async with self._working:
            for reader, writer in self._joined:
                try:
                    writer.write(_WORK)
                    await writer.drain()
                    await reader.readexactly(len(_WORK))
                except (ConnectionError, asyncio.IncompleteReadError) as error:
                    log("a member is gone: the engine ends")
                    self._lost()
                    raise Refused(500, "EngineCore encountered an issue: a member is gone") from error


async def follow(address: str, port: int) -> None:
    """Join a head, and do the work of a member; return when the head is gone."""
    log(f"waiting for the head at {address}, port {port}")
    while True:
        try:
            reader, writer = await asyncio.open_connection(address, port)
            break
        except OSError:
            await asyncio.sleep(_TRY_EVERY)
    log("joined the head")
    try:
        with contextlib.suppress(ConnectionError):
            while await reader.read(len(_WORK)):
                writer.write(_WORK)
                await writer.drain()
    finally:
        writer.close()
    log("the head is gone; this member waits")
