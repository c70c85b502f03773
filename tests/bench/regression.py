# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print how many regressions of a known size are told, how soon, and how often one is told that is none.

usage: python tests/bench/regression.py [histories]

Each history has 1,000 runs: 25 nights of 40 hosts, 6 of which lose 2 % of their throughput, 6 lose 5 % and 6 lose 10 %.
What else happens in it is in tests/unit/plugins/module_utils/history/synthetic.py.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build" / "collections"))

from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.history import synthetic  # noqa: E402

SIZES = (0.02, 0.05, 0.10)
WITHIN = (2, 3, 5, 8)


def main() -> None:
    histories = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    replays = [synthetic.replay(seed) for seed in range(histories)]
    planted = {size: [delay for each in replays for delay in each.delays[size]] for size in SIZES}
    off = {size: [runs for each in replays for runs in each.off.get(size, ())] for size in SIZES}

    print(f"{histories} histories of 25 nights and 40 hosts; told within so many runs of the step:")
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
            + f" {statistics.median(known):>7g} {exact:>7.1%} {near:>7.1%}"
        )
    told, nights = sum(each.told for each in replays), sum(each.nights for each in replays)
    hosts, all_hosts = sum(len(each.hosts) for each in replays), sum(each.sound for each in replays)
    print(f"False: {told} of {nights} nights of hosts that lost nothing ({told / nights:.2%}),")
    print(f"       {hosts} of {all_hosts} hosts at any time in their 25 nights ({hosts / all_hosts:.1%}).")


if __name__ == "__main__":
    main()
