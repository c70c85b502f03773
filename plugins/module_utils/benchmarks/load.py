# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine has to do at a moment, from its metrics: whether a benchmark has it to itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import Client, EndpointError
from ansible_collections.inference.fleet.plugins.module_utils.errors import BusyError

UNKNOWN = "the engine tells no load at /metrics, so whether others used it is not known"
# Two looks this far apart, in seconds, tell a pause between requests from an idle engine.
_APART = 1.0
_TIMEOUT = 5
# An engine that tells its load may be too busy to answer: so many looks in a row without an answer are none.
_LOOKS = 5
# An engine may need a moment, in seconds, to drop the requests of a client that was ended.
_SETTLING = 5.0
# vLLM's names and SGLang's.
_RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs")
_WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs")
_DONE = ("vllm:generation_tokens_total", "sglang:generation_tokens_total")
_CACHED = ("vllm:prefix_cache_hits_total", "sglang:cached_tokens_total")
_CACHE = ("vllm:kv_cache_usage_perc", "sglang:token_usage")


@dataclass(frozen=True)
class Load:
    """Requests in an engine, the tokens that it has generated since its start, and the fraction of its KV cache in use.

    The last is that of the fullest replica, and None where the engine does not tell. C(cached) are the prompt tokens
    that came from its prefix cache since its start.
    """

    running: int
    waiting: int
    generated: int
    kv_cache_usage: float | None = None
    cached: int = 0

    @property
    def requests(self) -> int:
        """Every request that is in the engine."""
        return self.running + self.waiting


def parse(text: str) -> Load | None:
    """Return the load that metrics in Prometheus' form tell, all models and ranks together; None where they do not.

    >>> parse('vllm:num_requests_running{model_name="m"} 2.0\\nvllm:num_requests_waiting{model_name="m"} 1.0\\n')
    Load(running=2, waiting=1, generated=0, kv_cache_usage=None, cached=0)
    """
    running, waiting = _sum(text, _RUNNING), _sum(text, _WAITING)
    if running is None or waiting is None:
        return None
    return Load(
        running=running,
        waiting=waiting,
        generated=_sum(text, _DONE) or 0,
        kv_cache_usage=max(_values(text, _CACHE), default=None),
        cached=_sum(text, _CACHED) or 0,
    )


def _sum(text: str, names: tuple[str, ...]) -> int | None:
    values = _values(text, names)
    return round(sum(values)) if values else None


def _values(text: str, names: tuple[str, ...]) -> list[float]:
    pattern = rf"^(?:{'|'.join(map(re.escape, names))})(?:\{{.*\}})?\s+(\S+)"
    return [float(value) for value in re.findall(pattern, text, re.MULTILINE)]


def look(endpoint: Endpoint, api_key: str | None, looks: int = 1) -> Load | None:
    """Ask an engine for its load; None where it does not tell, or gave no answer at all to so many *looks*."""
    for _look in range(looks):
        try:
            return parse(Client(endpoint.url, api_key, _TIMEOUT).metrics())
        except EndpointError as error:
            # One that answers, though not 200, does not tell.
            if error.status is not None or error.refused:
                return None
        except ValueError:
            return None
    return None


def require_idle(endpoint: Endpoint, api_key: str | None, wait: float, say: Callable[[str], None]) -> str | None:
    """Return when nobody uses an engine, with a note where it does not tell.

    BusyError where somebody does for longer than *wait* seconds.
    """
    deadline = time.monotonic() + max(wait, _SETTLING)
    while True:
        before = look(endpoint, api_key, _LOOKS)
        if before is None:
            return UNKNOWN
        time.sleep(_APART)
        after = look(endpoint, api_key, _LOOKS)
        if after is None:
            return UNKNOWN
        if before.requests == after.requests == 0 and before.generated == after.generated:
            return None
        busiest = max(before, after, key=lambda load: load.requests)
        found = (
            f"{busiest.running} requests running and {busiest.waiting} waiting"
            if busiest.requests
            else f"that {after.generated - before.generated} tokens were generated in {_APART:g} s"
        )
        if time.monotonic() >= deadline:
            waited = f" for {wait:g} s" if wait else ""
            raise BusyError(
                f"wanted an idle engine at {endpoint.url}, found {found}{waited}: somebody else uses it. "
                "Run when it is idle, or set wait_idle to the seconds to wait for that."
            )
        say(f"waiting for an idle engine: {found}")
