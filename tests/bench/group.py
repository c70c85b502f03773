# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy that changes nothing costs where two hosts serve one model together: figures and ratios of one run.

Usage: python tests/bench/group.py [TURNS]

Two hosts in containers over SSH serve the simulator twice: as one group, and each alone beside that. They are deployed
to in turns, as the group and as single hosts.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build/collections"))

from ansible_collections.inference.fleet.tests.fleet.pair import SIMULATOR, Group, pair  # noqa: E402  (after the path)

WAYS = {
    "a group": {},
    "two single hosts": {"engine_group": [], "engine_container_name": "alone", "engine_port": 8001},
}


def main(turns: int) -> None:
    """Time both, in turns."""
    sys.stdout.reconfigure(line_buffering=True)
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    with pair(with_vllm=False), tempfile.TemporaryDirectory(prefix="group-bench-") as folder:
        group = Group(Path(folder), SIMULATOR, told=False)
        for variables in WAYS.values():
            ran = group("deploy", **variables)
            assert ran.code == 0, ran.output
        before = group.members()
        for turn in range(turns):
            for way in sorted(WAYS, reverse=bool(turn % 2)):
                started = time.monotonic()
                ran = group("deploy", **WAYS[way])
                times[way].append(time.monotonic() - started)
                assert ran.outcomes == ["ok", "ok"], ran.output
        assert group.members() == before
    print(f"A deploy that changes nothing, {turns} turns, seconds of wall time")
    for way, values in times.items():
        print(f"  {way:18} median {statistics.median(values):5.2f}  ({min(values):.2f} to {max(values):.2f})")
    together, single = times.values()
    ratio = statistics.median(mine / theirs for mine, theirs in zip(together, single, strict=True))
    print(f"  a group / two single hosts: median of the turns {ratio:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 5)
