# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine has to do at a moment, and has done since its start, from its metrics.

From these a benchmark knows whether it has the engine to itself. Names are those of vLLM 0.32 and SGLang 0.5.23.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

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
# From one look at an engine's counts to the next, in seconds.
_AGAIN = 0.5
# vLLM's names and SGLang's.
_RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs")
_WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs")
# Of these an engine may have each tell of the same requests, where it was asked for every scheduler's metrics.
_RANKS = ("tp_rank", "pp_rank", "moe_ep_rank")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_CACHE = ("vllm:kv_cache_usage_perc", "sglang:token_usage")
_ACCEPT_LENGTH = ("sglang:spec_accept_length",)
_TOTALS = {
    # Of vLLM those that are over, however they ended.
    "requests": ("vllm:request_success_total", "sglang:num_requests_total"),
    "prompt_tokens": ("vllm:prompt_tokens_total", "sglang:prompt_tokens_total"),
    "generated_tokens": ("vllm:generation_tokens_total", "sglang:generation_tokens_total"),
    "prefix_cached_tokens": ("vllm:prefix_cache_hits_total", "sglang:cached_tokens_total"),
    "preemptions": ("vllm:num_preemptions_total", "sglang:num_retracted_requests_total"),
    "drafts": ("vllm:spec_decode_num_drafts_total",),
    "draft_tokens": ("vllm:spec_decode_num_draft_tokens_total",),
    "accepted_tokens": ("vllm:spec_decode_num_accepted_tokens_total",),
}


@dataclass(frozen=True)
class Totals:
    """What an engine has counted since its start, or in a run; None for what it does not tell.

    C(prefix_cached_tokens) are the prompt tokens that came from its prefix cache. Of speculative decoding, C(drafts)
    are the steps, C(draft_tokens) and C(accepted_tokens) what was proposed in them and what was kept.
    """

    requests: int | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    prefix_cached_tokens: int | None = None
    preemptions: int | None = None
    drafts: int | None = None
    draft_tokens: int | None = None
    accepted_tokens: int | None = None

    def since(self, earlier: Totals) -> Totals:
        """Return what was counted since an earlier look; nothing of an engine that was started anew meanwhile."""
        before, now = asdict(earlier), asdict(self)
        # What was never counted may have no line yet.
        counted = {name: value - (before[name] or 0) for name, value in now.items() if value is not None}
        return Totals(**counted) if all(count >= 0 for count in counted.values()) else Totals()


@dataclass(frozen=True)
class Load:
    """Requests in an engine, the fraction of its KV cache in use, and what it has counted since its start.

    The fraction is that of the fullest replica, and None where the engine does not tell; so is C(accept_length), how
    many tokens a step of speculative decoding gives at the moment, which SGLang tells.
    """

    running: int
    waiting: int
    kv_cache_usage: float | None = None
    totals: Totals = field(default_factory=Totals)
    accept_length: float | None = None

    @property
    def requests(self) -> int:
        """Every request that is in the engine."""
        return self.running + self.waiting


def parse(text: str) -> Load | None:
    """Return the load that metrics in Prometheus' form tell, all models and ranks together; None where they do not.

    >>> found = parse('vllm:num_requests_running{model_name="m"} 2.0\\nvllm:num_requests_waiting{model_name="m"} 1.0')
    >>> found.requests, found.totals.requests
    (3, None)
    """
    running, waiting = _now(text, _RUNNING), _now(text, _WAITING)
    if running is None or waiting is None:
        return None
    return Load(
        running=running,
        waiting=waiting,
        kv_cache_usage=max((value for _labels, value in _series(text, _CACHE)), default=None),
        totals=Totals(**{name: _since_start(text, names) for name, names in _TOTALS.items()}),
        accept_length=max((value for _labels, value in _series(text, _ACCEPT_LENGTH)), default=None),
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


def _since_start(text: str, names: tuple[str, ...]) -> int | None:
    """Return a counter, of all models and replicas; None where it is not told.

    Its parts by priority are of different requests, and there is no total beside them; each rank of a replica tells the
    same.
    """
    parts: dict[frozenset[tuple[str, str]], float] = {}
    for labels, value in _series(text, names):
        key = frozenset(item for item in labels.items() if item[0] not in _RANKS)
        parts[key] = max(parts.get(key, 0.0), value)
    return round(sum(parts.values())) if parts else None


def _series(text: str, names: tuple[str, ...]) -> list[tuple[dict[str, str], float]]:
    """Return the labels and the value of each series of some names."""
    pattern = rf"^(?:{'|'.join(map(re.escape, names))})(?:\{{(.*)\}})?\s+(\S+)"
    return [(dict(_LABEL.findall(labels)), float(value)) for labels, value in re.findall(pattern, text, re.MULTILINE)]


def look(endpoint: Endpoint, api_key: str | None, looks: int = 1) -> Load | None:
    """Ask for the load of all the engines of an endpoint.

    None where one of them does not tell it, or gave no answer at all to so many *looks*.
    """
    found = [_look(one, api_key, looks) for one in endpoint.each]
    known = [load for load in found if load]
    return together(known) if len(known) == len(found) else None


def together(loads: Sequence[Load]) -> Load:
    """Return the load of several engines: their requests and counts, the cache of the fullest."""
    if len(loads) == 1:
        return loads[0]
    counts: dict[str, int | None] = {}
    for name in _TOTALS:
        told = [getattr(load.totals, name) for load in loads]
        counts[name] = None if None in told else sum(told)
    usages, lengths = ([getattr(load, name) for load in loads] for name in ("kv_cache_usage", "accept_length"))
    return Load(
        running=sum(load.running for load in loads),
        waiting=sum(load.waiting for load in loads),
        kv_cache_usage=max((usage for usage in usages if usage is not None), default=None),
        totals=Totals(**counts),
        accept_length=max((length for length in lengths if length is not None), default=None),
    )


def _look(endpoint: Endpoint, api_key: str | None, looks: int) -> Load | None:
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


def settled(endpoint: Endpoint, api_key: str | None) -> Load | None:
    """Return the load of an engine whose client has ended, once its counts stand still; None where it does not tell.

    Engines count a little after they have answered. One that others keep busy is not waited for.
    """
    deadline = time.monotonic() + _SETTLING
    found = look(endpoint, api_key, _LOOKS)
    while found and time.monotonic() < deadline:
        time.sleep(_AGAIN)
        again = look(endpoint, api_key, _LOOKS)
        if again is None or (again.requests == 0 and again.totals == found.totals):
            return again or found
        found = again
    return found


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
        generated = after.totals.since(before.totals).generated_tokens or 0
        if before.requests == after.requests == 0 and not generated:
            return None
        busiest = max(before, after, key=lambda load: load.requests)
        found = (
            f"{busiest.running} requests running and {busiest.waiting} waiting"
            if busiest.requests
            else f"that {generated} tokens were generated in {_APART:g} s"
        )
        if time.monotonic() >= deadline:
            waited = f" for {wait:g} s" if wait else ""
            raise BusyError(
                f"wanted an idle engine at {endpoint.url}, found {found}{waited}: somebody else uses it. "
                "Run when it is idle, or set wait_idle to the seconds to wait for that."
            )
        say(f"waiting for an idle engine: {found}")
