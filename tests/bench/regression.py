# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print how often a verdict is wrong, how soon a loss is told, and how often one is told that is none.

usage: python tests/bench/regression.py [histories] [fleets]

All on seeds that the rules were not chosen on. A history has 60 nights of one host, with three kinds of figures that
vary on their own: throughput (which TPOT and ITL follow), TTFT, and its p99. Its noise is white, or resembles that of
the night before (autoregression of the first order). A fleet is one of
tests/unit/plugins/module_utils/history/synthetic.py: 25 nights of 40 hosts, some of which lose 2, 5 or 10 %.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build" / "collections"))

from ansible_collections.inference.fleet.plugins.module_utils.history import regressions, steps  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.results import comparison, noise  # noqa: E402
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.history import synthetic  # noqa: E402

HELD_OUT = 7_000
SIZES = (0.02, 0.05, 0.10)
WITHIN = (2, 3, 5, 8)
NIGHTS = 60
KINDS = {"white": 0.0, "AR 0.5": 0.5, "AR 0.8": 0.8}
# The spread from night to night of throughput, TTFT and its p99, and that of the repeats of a night.
LEVELS = {"0.6 %": (0.006, 0.02, 0.04), "1.2 %": (0.012, 0.03, 0.06), "2.0 %": (0.02, 0.045, 0.09)}
METRICS = ("output_throughput", "mean_ttft_ms", "p99_ttft_ms")
REPEATS = 0.4


def series(chance: random.Random, spread: float, correlation: float, count: int) -> list[float]:
    """Return the logarithms of as many nights' figures."""
    value, found = chance.gauss(0, spread), []
    for _night in range(count):
        found.append(value)
        value = correlation * value + chance.gauss(0, spread * math.sqrt(1 - correlation**2))
    return found


def false_alarms(kind: str, level: str, histories: int) -> float:
    """Return in which share of histories without a loss one was told on any night, in any figure."""
    chance = random.Random(f"{HELD_OUT}{kind}{level}")
    told = 0
    for _history in range(histories):
        told += any(
            step.size < 0
            for metric, spread in zip(METRICS, LEVELS[level], strict=True)
            for step in steps.steps(
                series(chance, spread, KINDS[kind], NIGHTS), noise.usual(metric), regressions.LEAST[metric] / 100
            )
        )
    return told / histories


def detection(kind: str, level: str, loss: float, before: int, within: int, histories: int) -> float:
    """Return the share of losses of throughput that were told within so many runs."""
    chance = random.Random(f"{HELD_OUT}{kind}{level}{loss}{before}")
    spread, told = LEVELS[level][0], 0
    for _history in range(histories):
        values = series(chance, spread, KINDS[kind], before + within)
        values[before:] = [value + math.log(1 - loss) for value in values[before:]]
        found = steps.steps(values, noise.usual(METRICS[0]), regressions.LEAST[METRICS[0]] / 100)
        told += any(step.size < 0 and step.seen_at >= before for step in found)
    return told / histories


def pairs(kind: str, level: str, known: int, histories: int) -> Iterator[tuple[str, float]]:
    """Yield for each figure the share of pairs of nights with nothing changed that get better or worse."""
    chance = random.Random(f"{HELD_OUT}{kind}{level}{known}pairs")
    for metric, spread in zip(METRICS, LEVELS[level], strict=True):
        wrong = 0
        for _history in range(histories):
            *earlier, other, run = series(chance, spread, KINDS[kind], known + 2)
            # Each night has three repeats of one start of the engine.
            sides = [
                [1000 * math.exp(night + chance.gauss(0, REPEATS * spread)) for _repeat in range(3)]
                for night in (run, other)
            ]
            history = [1000 * math.exp(night) for night in earlier]
            wrong += comparison.compare(metric, *sides, history=history)["verdict"] != comparison.SAME
        yield metric, wrong / histories


def main() -> None:
    histories, fleets = (int(argument) for argument in (sys.argv[1:] + ["1000", "10"][len(sys.argv) - 1 :])[:2])
    print(f"Verdicts: pairs of nights with nothing changed that get better or worse, of {histories}")
    print(f"{'noise':>8} {'spread':>7} {'earlier runs':>13} " + " ".join(f"{metric:>18}" for metric in METRICS))
    for level in LEVELS:
        for kind in KINDS:
            for known in (0, 10, 30):
                rates = " ".join(f"{rate:>18.1%}" for _metric, rate in pairs(kind, level, known, histories))
                print(f"{kind:>8} {level:>7} {known:>13} {rates}")

    print(f"\nHistories of {NIGHTS} nights without a loss in which one was told on any night, of {histories};")
    print("losses of the throughput that were told within five runs, by how many nights came before")
    heads = ("lost 5 %, 10", "20", "40", "lost 10 %, 10")
    print(f"{'noise':>8} {'spread':>7} {'false alarms':>13} " + " ".join(f"{head:>13}" for head in heads))
    for level in LEVELS:
        for kind in KINDS:
            told = [
                detection(kind, level, loss, before, 5, histories)
                for loss, before in ((0.05, 10), (0.05, 20), (0.05, 40), (0.10, 10))
            ]
            alarms = false_alarms(kind, level, histories)
            print(f"{kind:>8} {level:>7} {alarms:>13.1%} " + " ".join(f"{share:>13.1%}" for share in told))
    print()
    of_fleets(fleets)


def of_fleets(fleets: int) -> None:
    """Print what is told in fleets."""
    replays = [synthetic.replay(HELD_OUT + seed) for seed in range(fleets)]
    planted = {size: [delay for each in replays for delay in each.delays[size]] for size in SIZES}
    off = {size: [runs for each in replays for runs in each.off.get(size, ())] for size in SIZES}
    print(f"{fleets} fleets of 25 nights and 40 hosts; told within so many runs of the step:")
    print(
        f"{'lost':>6} {'planted':>8} "
        + " ".join(f"{runs:>6}" for runs in WITHIN)
        + f" {'median':>7} {'exact':>7} {'±1':>7}"
    )
    for size in SIZES:
        delays = planted[size]
        known = [delay for delay in delays if delay is not None]
        shares = [sum(delay <= runs for delay in known) / len(delays) for runs in WITHIN]
        exact = sum(runs == 0 for runs in off[size]) / max(1, len(off[size]))
        near = sum(abs(runs) <= 1 for runs in off[size]) / max(1, len(off[size]))
        print(
            f"{size:>6.0%} {len(delays):>8} "
            + " ".join(f"{share:>6.1%}" for share in shares)
            + f" {statistics.median(known) if known else math.nan:>7g} {exact:>7.1%} {near:>7.1%}"
        )
    told, nights = sum(each.told for each in replays), sum(each.nights for each in replays)
    hosts, all_hosts = sum(len(each.hosts) for each in replays), sum(each.sound for each in replays)
    print(f"False: {told} of {nights} nights of hosts that lost nothing ({told / nights:.2%}),")
    print(f"       {hosts} of {all_hosts} hosts at any time in their 25 nights ({hosts / all_hosts:.1%}).")


if __name__ == "__main__":
    main()
