# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print how often a comparison claims a difference that is none, and how often it finds one of 5 %.

usage: python tests/bench/compare.py [comparisons]

The noise is that of tests/bench/regression.py: three kinds of figures that vary on their own (throughput, TTFT and its
p99), from start to start white or like the start before it. Two variants take turns as compare.yml has them do. All on
seeds that the rule was not chosen on.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build" / "collections"))

from ansible_collections.inference.fleet.plugins.module_utils.comparisons import verdicts  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.comparisons.variants import turns  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.results.comparison import BETTER, SAME  # noqa: E402
from ansible_collections.inference.fleet.tests.bench.regression import HELD_OUT, KINDS, LEVELS, METRICS, series  # noqa: E402

DIFFERENCE = 0.05


@dataclass(frozen=True)
class Told:
    """What many comparisons told, as shares: *claims* by metric and *any* where nothing differs, *found* of 5 %."""

    claims: dict[str, float]
    any: float
    found: float


def comparison(
    chance: random.Random, spreads: tuple[float, ...], correlation: float, rounds: int, hosts: int, difference: float
) -> dict[str, verdicts.Verdict]:
    """Return the verdicts on variant b beside a, whose throughput is more by *difference*."""
    found = {}
    for metric, spread in zip(METRICS, spreads, strict=True):
        values: dict[str, dict[str, list[float]]] = {"a": {}, "b": {}}
        for host in range(hosts):
            own = chance.gauss(0, 0.05)
            order = turns(("a", "b"), rounds, start=host)
            for turn, noise in zip(order, series(chance, spread, correlation, len(order)), strict=True):
                more = math.log1p(difference) if turn.variant == "b" and metric == METRICS[0] else 0.0
                values[turn.variant].setdefault(f"gpu{host}", []).append(1000 * math.exp(own + noise + more))
        found[metric] = verdicts.verdict(metric, values["b"], values["a"], list(values.values()))
    return found


def told(level: str, kind: str, rounds: int, hosts: int, seeds: range) -> Told:
    """Return what comparisons of some rounds on some hosts tell, one a seed."""
    claims, any_, found = dict.fromkeys(METRICS, 0), 0, 0
    for seed in seeds:
        chance = random.Random(f"{seed}{level}{kind}{rounds}{hosts}")
        setting = (chance, LEVELS[level], KINDS[kind], rounds, hosts)
        same = comparison(*setting, 0.0)
        for metric, verdict in same.items():
            claims[metric] += verdict.verdict != SAME
        any_ += any(verdict.verdict != SAME for verdict in same.values())
        found += comparison(*setting, DIFFERENCE)[METRICS[0]].verdict == BETTER
    return Told({metric: count / len(seeds) for metric, count in claims.items()}, any_ / len(seeds), found / len(seeds))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(
        f"Of {count} comparisons: those that claim a difference where there is none, by figure and in any of the three,"
    )
    print(f"and those that find {DIFFERENCE:.0%} more throughput")
    heads = " ".join(f"{metric:>18}" for metric in (*METRICS, "any", "found"))
    print(f"{'spread':>7} {'noise':>8} {'rounds':>7} {'hosts':>6} {heads}")
    for level in LEVELS:
        for kind in KINDS:
            for rounds, hosts in ((2, 1), (3, 1), (2, 4)):
                of = told(level, kind, rounds, hosts, range(HELD_OUT, HELD_OUT + count))
                shares = " ".join(f"{share:>18.1%}" for share in (*of.claims.values(), of.any, of.found))
                print(f"{level:>7} {kind:>8} {rounds:>7} {hosts:>6} {shares}")


if __name__ == "__main__":
    main()
