# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up history: hosts that differ, noise with a heavy tail, changes that cost nothing, and planted regressions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import regressions
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

START = datetime(2026, 9, 1, 2, tzinfo=timezone.utc)
# Host to host, run to run and repeat to repeat, as standard deviations.
HOSTS, RUNS, REPEATS = 0.008, 0.006, 0.004
TTFT, TTFT_P99 = 0.03, 0.06
# This share of runs is disturbed, and loses this share of its throughput on average; its tail is exponential.
DISTURBED, LOSS = 0.03, 0.08
# Every so many hosts one has twice the noise.
NOISY = 8
KINDS = (("h100x4", "vllm"), ("b200x2", "sglang"))


@dataclass(frozen=True)
class Planted:
    """A regression: *size* of the throughput is lost from run *index* on; *cause* changed with it, or nothing."""

    size: float
    index: int
    cause: str | None


def history(
    seed: int, hosts: int = 40, runs: int = 25, sizes: tuple[float, ...] = (0.02, 0.05, 0.10), each: int = 6
) -> tuple[list[list[dict[str, Any]]], dict[str, Planted]]:
    """Return the nights, each with a document a host, and what was planted: *each* hosts for every size."""
    chance = random.Random(seed)
    names = [f"gpu{number:02}" for number in range(hosts)]
    planted = {}
    for host in chance.sample(names, each * len(sizes)):
        size = sizes[len(planted) % len(sizes)]
        index = chance.randrange(runs // 3, runs - 8)
        planted[host] = Planted(size, index, chance.choice(["driver", "argument", None]))
    own = {host: chance.gauss(1, HOSTS) for host in names}
    nights = []
    for night in range(runs):
        documents = []
        for number, host in enumerate(names):
            documents.append(_run(chance, night, number, host, own[host], planted.get(host)))
        nights.append(documents)
    return nights, planted


def _run(
    chance: random.Random, night: int, number: int, host: str, own: float, planted: Planted | None
) -> dict[str, Any]:
    hit = planted is not None and night >= planted.index
    lost = chance.expovariate(1 / LOSS) if chance.random() < DISTURBED else 0.0
    noise = RUNS * (2 if number % NOISY == 0 else 1)
    speed = own * (1 + chance.gauss(0, noise)) * max(0.1, 1 - lost) * (1 - planted.size if hit and planted else 1)
    profile, engine = KINDS[number % len(KINDS)]
    document = factory.document(
        host=host,
        started=START + timedelta(days=night, minutes=number),
        profile=profile,
        engine=engine,
        factors=tuple(speed * (1 + chance.gauss(0, REPEATS)) for _repeat in range(3)),
    )
    # The first token depends on chance more than the others do.
    for key, spread in (("mean_ttft_ms", TTFT), ("p99_ttft_ms", TTFT_P99)):
        factor = (1 + abs(chance.gauss(0, spread)) if lost else 1 + chance.gauss(0, spread)) * (1 + 3 * lost)
        document["metrics"][key] = factory.summary(
            key, [value * factor * (1 + chance.gauss(0, spread / 2)) for value in document["metrics"][key]["values"]]
        )
    # Upgrades of the whole fleet that cost nothing.
    document["engine"]["version"] = "0.32.0" if night < 9 else "0.33.0"
    if hit and planted and planted.cause == "driver":
        document["hardware"]["driver_version"] = "575.57.08"
    if hit and planted and planted.cause == "argument":
        document["engine"]["argv"] = [*document["engine"]["argv"], "--enforce-eager"]
    return document


@dataclass
class Replay:
    """What was told on each night of a history.

    *delays* has for each planted size the runs that it took to be told, None where it never was; *off* by how many runs
    the told beginning missed the true one; *told* the nights on which a host that had lost nothing was told of, out of
    *nights*, and *hosts* which hosts those were, out of *sound*.
    """

    delays: dict[float, list[int | None]] = field(default_factory=dict)
    off: dict[float, list[int]] = field(default_factory=dict)
    told: int = 0
    nights: int = 0
    hosts: set[str] = field(default_factory=set)
    sound: int = 0

    def within(self, size: float, runs: int) -> float:
        """Return the share of the regressions of one size that were told of within so many runs."""
        delays = self.delays[size]
        return sum(delay is not None and delay <= runs for delay in delays) / len(delays)


def replay(seed: int, **options: Any) -> Replay:
    """Look for regressions after each night of a made-up history, from the sixth on, as a schedule would."""
    nights, planted = history(seed, **options)
    found, first = Replay(), {}
    told: dict[str, str] = {}
    for night, findings in _nightly(nights):
        steps = {item.host: item.since_run for item in findings if (item.kind, item.metric) == _THROUGHPUT}
        slow = {item.host for item in findings}
        for host in (document["host"] for document in nights[night]):
            where = planted.get(host)
            if where is None or night < where.index:
                found.nights += 1
                found.told += host in slow
                found.hosts |= {host} & slow
            elif host in slow:
                first.setdefault(host, night - where.index + 1)
        told |= steps
    found.sound = len(nights[0])
    for host, where in planted.items():
        found.delays.setdefault(where.size, []).append(first.get(host))
        if host in told:
            runs = [document["run_id"] for night in nights for document in night if document["host"] == host]
            found.off.setdefault(where.size, []).append(runs.index(told[host]) - where.index)
    return found


_THROUGHPUT = (regressions.STEP, "output_throughput")


def _nightly(nights: list[list[dict[str, Any]]]) -> Iterator[tuple[int, tuple[regressions.Finding, ...]]]:
    documents: list[dict[str, Any]] = []
    for night, new in enumerate(nights):
        documents += new
        if night > 5:
            yield night, regressions.find(documents).regressions
