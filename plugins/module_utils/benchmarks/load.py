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
# Of these an engine may have each tell of the same requests, where it was asked for every scheduler's metrics.
_RANKS = ("tp_rank", "pp_rank", "moe_ep_rank")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
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
    running, waiting = _now(text, _RUNNING), _now(text, _WAITING)
    if running is None or waiting is None:
        return None
    return Load(
        running=running,
        waiting=waiting,
        generated=_since_start(text, _DONE),
        kv_cache_usage=max((value for _labels, value in _series(text, _CACHE)), default=None),
        cached=_since_start(text, _CACHED),
    )


def _now(text: str, names: tuple[str, ...]) -> int | None:
    """Return how many requests there are now, of all models and replicas; None where that is not told.

    With priorities SGLang tells the total under an empty one, beside its parts; each rank of a replica tells the same.
    """
    replicas: dict[frozenset[tuple[str, str]], dict[str, float]] = {}
    for labels, value in _series(text, names):
        priority = labels.get("priority", "")
        key = frozenset(item for item in labels.items() if item[0] not in (*_RANKS, "priority"))
        told = replicas.setdefault(key, {})
        told[priority] = max(told.get(priority, 0.0), value)
    counts = [told.get("", sum(told.values())) for told in replicas.values()]
    return round(sum(counts)) if counts else None


def _since_start(text: str, names: tuple[str, ...]) -> int:
    """Return a counter; its parts by priority are of different requests, and there is no total beside them."""
    return round(sum(value for _labels, value in _series(text, names)))


def _series(text: str, names: tuple[str, ...]) -> list[tuple[dict[str, str], float]]:
    """Return the labels and the value of each series of some names."""
    pattern = rf"^(?:{'|'.join(map(re.escape, names))})(?:\{{(.*)\}})?\s+(\S+)"
    return [(dict(_LABEL.findall(labels)), float(value)) for labels, value in re.findall(pattern, text, re.MULTILINE)]


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
