# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print how long a large history takes to load, to look through and to lay out, and how much memory.

usage: python tests/bench/history.py [documents]

Times are of the wall and of the processor; only the latter mean something on a machine that others use.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build" / "collections"))

from ansible_collections.inference.fleet.plugins.module_utils.history import regressions, textfile  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.reports import details, overview  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.results import load  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED  # noqa: E402
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory  # noqa: E402

HOSTS = 40


def timed(name: str, work: Callable[[], Any]) -> Any:
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:<28} {wall:>8.2f} s {processor:>8.2f} s of processor {memory:>6.0f} MB at most", flush=True)
    return found


def main() -> None:
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        results = Path(folder, "results")
        # In processes of their own: the memory of one is none of another's.
        if not os.fork():
            factory.write(results, *factory.fleet(HOSTS, documents // HOSTS))
            os._exit(0)
        os.wait()
        print(f"{documents // HOSTS * HOSTS:,} documents of {HOSTS} hosts")
        sys.stdout.flush()
        if not os.fork():
            timed("load, first time", lambda: load.load(results))
            os._exit(0)
        os.wait()
        loaded = timed("load, with the index", lambda: load.load(results)).documents
        timed("regressions", lambda: regressions.find(loaded))
        timed("metrics", lambda: textfile.text(loaded))
        report = timed("page: tables and findings", lambda: overview.report(loaded, PUBLISHED))
        timed("page: every run", lambda: details.told(report.documents))


if __name__ == "__main__":
    main()
