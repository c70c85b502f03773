# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that ask a gateway without end, and what became of each of their requests.

Every request that is sent is accounted for: answered, refused as it had to be, cut with the engine that was killed in
the middle of its stream, or lost. None may be lost.
"""

from __future__ import annotations

import collections
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.tests.patience import until


@dataclass
class Load:
    """What clients sent, and what became of it. *pause* is the time in seconds between a client's requests."""

    connect: Callable[[], http.client.HTTPSConnection]
    model: str
    pause: float = 0
    over: threading.Event = field(default_factory=threading.Event)
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    unfinished: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    # Clients that were revoked, from the moment that the gateway was told.
    revoked: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self, streams: Iterable[str], short: Iterable[str]) -> Iterator[None]:
        """Have the clients that have these keys ask meanwhile, some for streams and some for short answers."""
        threads = [threading.Thread(target=self.send, args=(key, True)) for key in streams]
        threads += [threading.Thread(target=self.send, args=(key, False)) for key in short]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join(120)

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def send(self, key: str, stream: bool) -> None:
        """Send requests, each over a connection of its own, until it is over."""
        while not self.over.is_set():
            self.count("sent")
            try:
                self._one(key, stream)
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
            time.sleep(self.pause)

    def _one(self, key: str, stream: bool) -> None:
        body = {"model": self.model, "max_tokens": 60 if stream else 4, "messages": [{"role": "user", "content": "x"}]}
        connection = self.connect()
        connection.request(
            "POST",
            "/v1/chat/completions",
            body=json.dumps({**body, "stream": stream}).encode(),
            headers={"Authorization": f"Bearer {key}"},
        )
        answer = connection.getresponse()
        status, name = answer.status, answer.getheader("x-request-id") or ""
        try:
            content = answer.read()
        except (OSError, http.client.HTTPException):
            content = b""
        connection.close()
        if status == 200 and (b"[DONE]" in content if stream else b'"usage"' in content):
            self.count("answered")
        elif status == 200 and stream:
            self.unfinished.append(name)
        elif status == 401 and key in self.revoked:
            self.count("refused")
            time.sleep(0.2)
        else:
            self.wrong.append(f"{status} {content[:200]!r}")

    def answered(self, more: int = 6) -> None:
        """Wait until so many more requests were answered: whatever was done before them, they went through."""
        wanted = self.counts["answered"] + more
        until(lambda: self.counts["answered"] >= wanted or self.wrong, f"requests are answered: {self.counts}")

    def accounted(self, lines: Iterable[dict[str, Any]], killed: str) -> str:
        """Hold every request against the gateway's log, whose engine *killed* was, and say what became of them."""
        of_killed = {line["id"] for line in lines if line["engine"] == killed}
        cut = [name for name in self.unfinished if name in of_killed]
        lost = len(self.wrong) + len(self.unfinished) - len(cut)
        counts = self.counts
        told = (
            f"{counts['sent']} sent, {counts['answered']} answered, {counts['refused']} refused rightly, "
            f"{len(cut)} cut in the middle with the engine that was killed, {lost} lost"
        )
        assert lost == 0, (told, self.wrong[:5], self.unfinished[:5])
        assert counts["sent"] == counts["answered"] + counts["refused"] + len(cut), told
        assert counts["refused"] > 0
        # A stream was open on an engine at most once a client.
        assert len(cut) <= 3
        return told
