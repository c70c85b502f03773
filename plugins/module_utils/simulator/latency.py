# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When an engine would send each token: a model of batched serving that follows a published row.

Time goes in steps, as in an engine. In each step every request that decodes gets one token, and the
requests that wait for their first token share what prefill the step can do, first come first served.

- A step takes longer the more requests decode. With the row's concurrency it takes the row's TPOT.
- Alone, a request is prefilled at the engine's full rate, which the row's p99 of TTFT tells: it belongs
  to the last requests of the first wave, when nothing decodes yet. Beside decoding requests one request gets
  a part of that rate, which the row's mean of TTFT tells.
- Every second prefill that ends delays the decoding requests once, by the row's p99 of ITL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The most requests that decode at once.
BATCH = 256
_ROUNDS = 4
# A request alone gets its tokens this much faster than in a full batch.
_SINGLE_STREAM = 0.6
# How finely prefill is followed while nothing decodes, in seconds.
_QUANTUM = 0.005
# Of the first wave's requests, the one that is the p99 of a whole run of the published size.
_P99_RANK = 27 / 32
# Warm readings of the rows that look cold, in ms: what is left of their mean TTFT without the first wave.
_WARM_MEAN_TTFT_MS = {"lambda/qwen3-coder-next/vllm/b200x2": 560, "lambda/qwen3-coder-next/vllm/a100x4": 1030}
# p99 of TTFT over its mean, in the vLLM row that is warm.
_WARM_P99_OVER_MEAN = 4268 / 933


@dataclass(frozen=True)
class Rates:
    """An engine's speed: prefill in tokens per second, the rest in seconds."""

    prefill: float
    prefill_beside_decode: float
    step: float
    stall: float
    concurrency: int

    def step_seconds(self, decoding: int) -> float:
        """Return how long a step with so many decoding requests takes."""
        load = (decoding - 1) / max(1, self.concurrency - 1)
        return self.step * (_SINGLE_STREAM + (1 - _SINGLE_STREAM) * load)

    def prefill_of_one(self, decoding: int) -> float:
        """Return the rate at which one request is prefilled beside so many decoding ones."""
        load = min(1.0, decoding / max(1, self.concurrency - 1))
        return 1 / ((1 - load) / self.prefill + load / self.prefill_beside_decode)


@dataclass(frozen=True)
class _Targets:
    """What a row says of latency, in seconds."""

    mean_ttft: float
    p99_ttft: float
    tpot: float


def rates(row: Mapping[str, Any]) -> Rates:
    """Read an engine's speed from a published row (see ``results.published``), as if it had been warm.

    A first reading is mended with what the model itself makes of it, in a fraction of a second.
    """
    wanted = _targets(row)
    tried = wanted
    for _unused in range(_ROUNDS):
        found = run(_reading(row, tried), row["workload"])
        tried = _Targets(
            tried.mean_ttft * wanted.mean_ttft * 1000 / found["mean_ttft_ms"],
            tried.p99_ttft * wanted.p99_ttft * 1000 / found["p99_ttft_ms"],
            tried.tpot * wanted.tpot * 1000 / found["mean_tpot_ms"],
        )
    return _reading(row, tried)


def _targets(row: Mapping[str, Any]) -> _Targets:
    metrics = row["metrics"]
    mean, p99 = metrics["mean_ttft_ms"], metrics["p99_ttft_ms"]
    if row.get("cold"):
        mean = _WARM_MEAN_TTFT_MS.get(row["id"], mean)
        p99 = mean * _WARM_P99_OVER_MEAN
    return _Targets(mean / 1000, p99 / 1000, metrics["mean_tpot_ms"] / 1000)


def _reading(row: Mapping[str, Any], targets: _Targets) -> Rates:
    workload = row["workload"]
    length, output, count = workload["input_length"], workload["output_length"], workload["num_prompts"]
    wave = min(workload["max_concurrency"], count)
    burst = targets.p99_ttft / (wave * _P99_RANK)
    later = max(burst, (targets.mean_ttft * count - wave * targets.p99_ttft / 2) / max(1, count - wave))
    stall = row["metrics"]["p99_itl_ms"] / 1000
    # Each request meets a stall for every second prefill of the others.
    stalls = (wave - 1) / 2
    step = (targets.tpot * (output - 1) - stalls * stall) / (output - 1 - stalls)
    return Rates(
        prefill=length / burst,
        prefill_beside_decode=length / later,
        step=step,
        stall=max(0.0, stall - step),
        concurrency=wave,
    )


@dataclass
class Step:
    """One step: how long it takes, and who gets a token at its end: first those that decode, then first tokens."""

    seconds: float
    tokens: list[Any]
    firsts: list[Any]


class Engine:
    """The requests in flight. Keys are the caller's, each used once; time is the sum of the steps."""

    def __init__(self, speed: Rates, batch: int = BATCH) -> None:
        self._rates = speed
        self._batch = batch
        self._steps = 0
        # Of each waiting request, the input tokens that are not prefilled yet; first come first.
        self._waiting: dict[Any, float] = {}
        self._outputs: dict[Any, int] = {}
        self._decoding: dict[Any, None] = {}
        # The last step of requests, by its number.
        self._last: dict[int, list[Any]] = {}
        self._prefills = 0
        self._stall = 0.0

    @property
    def waiting(self) -> int:
        """Requests without their first token."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests that decode."""
        return len(self._decoding)

    def submit(self, key: Any, input_tokens: int, output_tokens: int) -> None:
        """Take in a request."""
        self._waiting[key] = max(1, input_tokens)
        self._outputs[key] = max(1, output_tokens)

    def cancel(self, key: Any) -> None:
        """Forget a request; one that is not there is no error."""
        for place in (self._waiting, self._decoding, self._outputs):
            place.pop(key, None)

    def step(self) -> Step | None:
        """Go one step further; ``None`` where there is nothing to do."""
        if not (self._waiting or self._decoding):
            return None
        self._steps += 1
        if self._decoding:
            seconds = self._rates.step_seconds(len(self._decoding)) + self._stall
            self._stall = 0.0
        else:
            seconds = min(_QUANTUM, max(1e-6, next(iter(self._waiting.values())) / self._rates.prefill))
        tokens = list(self._decoding)
        firsts = self._prefill(seconds)
        for key in self._last.pop(self._steps, ()):
            self.cancel(key)
        return Step(seconds, tokens, firsts)

    def steady(self, step: Step) -> int:
        """Go on to the last step that is as this one was, to nobody's beginning or end; return how many those are."""
        if self._waiting or step.firsts or len(step.tokens) != len(self._decoding):
            return 0
        # The next step has the stall that this one's prefill left.
        if self._stall or step.seconds != self._rates.step_seconds(len(self._decoding)):
            return 0
        count = max(0, min(self._last) - self._steps - 1)
        self._steps += count
        return count

    def _prefill(self, seconds: float) -> list[Any]:
        """Share a step's prefill among the waiting, in order; return who has the first token."""
        budget = self._rates.prefill * seconds
        share = self._rates.prefill_of_one(len(self._decoding)) * seconds
        done = []
        for key, left in self._waiting.items():
            if budget <= 0 or len(self._decoding) + len(done) >= self._batch:
                break
            work = min(share, budget, left)
            self._waiting[key] = left - work
            budget -= work
            if left - work <= 1e-9:
                done.append(key)
        for key in done:
            del self._waiting[key]
            self._decoding[key] = None
            self._last.setdefault(self._steps + self._outputs.pop(key) - 1, []).append(key)
            self._prefills += 1
            if self._prefills % 2 == 0:
                self._stall = self._rates.stall
        return done


def run(speed: Rates, workload: Mapping[str, int]) -> dict[str, float]:
    """Run a workload in no time; return its metrics under the names of ``vllm bench serve``.

    *workload* has ``input_length``, ``output_length``, ``num_prompts`` and ``max_concurrency``.
    """
    engine = Engine(speed)
    count, output = workload["num_prompts"], workload["output_length"]
    now, submitted = 0.0, 0
    sent: dict[int, float] = {}
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    # Gaps between tokens, each with how often it occurred: a step is the same gap to everyone that decodes.
    gaps: list[tuple[float, int]] = []
    while True:
        alive = engine.waiting + engine.running
        for key in range(submitted, min(count, submitted + workload["max_concurrency"] - alive)):
            engine.submit(key, workload["input_length"], output)
            sent[key] = now
            submitted += 1
        step = engine.step()
        if step is None:
            break
        # Most steps are as the one before: there is no need to go through each.
        times = 1 + engine.steady(step)
        now += step.seconds * times
        gaps.append((step.seconds, len(step.tokens) * times))
        first.update(dict.fromkeys(step.firsts, now))
        last.update(dict.fromkeys(step.tokens, now))
    tokens = count * output
    metrics = {
        "output_throughput": tokens / now,
        "total_token_throughput": (tokens + count * workload["input_length"]) / now,
    }
    values = {
        "ttft": [(first[key] - sent[key], 1) for key in sent],
        "tpot": [((last[key] - first[key]) / (output - 1), 1) for key in last],
        "itl": gaps,
    }
    for name, weighted in values.items():
        metrics[f"mean_{name}_ms"] = 1000 * _mean(weighted)
        metrics[f"p99_{name}_ms"] = 1000 * _percentile(weighted, 99)
    return metrics


def _mean(weighted: list[tuple[float, int]]) -> float:
    return sum(value * weight for value, weight in weighted) / max(1, sum(weight for _unused, weight in weighted))


def _percentile(weighted: list[tuple[float, int]], rank: float) -> float:
    """Return the value at a rank of 0 to 100 among values with weights, between two by straight line; 0 of none."""
    place = (sum(weight for _unused, weight in weighted) - 1) * rank / 100
    before, previous = 0, 0.0
    for value, weight in sorted(weighted):
        if weight and place <= before + weight - 1:
            # This value has the ranks from *before* on, the next smaller one ends just below.
            return value if place >= before else previous + (value - previous) * (place - before + 1)
        if weight:
            before, previous = before + weight, value
    return previous
