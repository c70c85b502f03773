# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The latency model in real time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from .answers import Answer
from .latency import Engine

# How far behind, in seconds, the steps may be before the delay is accepted.
_CATCH_UP = 1.0
_ID = itertools.count()


class Request:
    """A request in the engine: who waits for its tokens."""

    def __init__(self, on_token: Callable[[], None], gone: Callable[[], bool]) -> None:
        self.on_token = on_token
        self.gone = gone
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Pace:
    """Runs the latency model in real time: one loop serves every request, a step at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._requests: dict[int, Request] = {}
        self._wake = asyncio.Event()
        self.generated = 0
        self.prompted = 0
        # However they ended, as vLLM counts them.
        self.finished = 0

    @property
    def running(self) -> int:
        """Requests that decode."""
        return self._engine.running

    @property
    def waiting(self) -> int:
        """Requests without their first token."""
        return self._engine.waiting

    async def generate(self, answer: Answer, on_token: Callable[[], None], gone: Callable[[], bool]) -> None:
        """Call *on_token* when each token of an answer is due; return after the last one.

        Raises ConnectionResetError, and generates no more, once *gone* says that nobody listens.
        """
        key = next(_ID)
        left = answer.tokens

        def due() -> None:
            nonlocal left
            on_token()
            left -= 1
            if left == 0:
                request.over.set_result(None)

        request = self._requests[key] = Request(due, gone)
        self._engine.submit(key, answer.prompt_tokens, answer.tokens)
        self.prompted += answer.prompt_tokens
        self._wake.set()
        try:
            await request.over
        finally:
            self.finished += 1
            self._engine.cancel(key)
            del self._requests[key]

    async def run(self) -> None:
        """Step for ever. A step is due at the sum of the steps before it; a late one delays none after it."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            self._drop_the_gone()
            step = self._engine.step()
            if step is None:
                self._wake.clear()
                await self._wake.wait()
                due = clock()
                continue
            due += step.seconds
            # A machine that stood still makes up for a second at most. Each step lets others run, however late it is.
            due = max(due, clock() - _CATCH_UP)
            await asyncio.sleep(max(0.0, due - clock()))
            for key in step.tokens + step.firsts:
                request = self._requests.get(key)
                if request and not request.over.done():
                    self.generated += 1
                    request.on_token()

    def _drop_the_gone(self) -> None:
        for key, request in self._requests.items():
            if not request.over.done() and request.gone():
                self._engine.cancel(key)
                request.over.set_exception(ConnectionResetError())
