# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print how long a large history takes to load, to look through and to lay out, and how much memory.

usage: python tests/bench/history.py [documents] [version]

Documents are of version 2, which is written now, unless version 1 is asked for, which older releases wrote.
Times are of the wall and of the processor; only the latter mean something on a machine that others use.
"""

from __future__ import annotations

import os
import random
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
from ansible_collections.inference.fleet.plugins.module_utils.results import histogram, load  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED  # noqa: E402
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory  # noqa: E402

HOSTS = 40
_TELEMETRY_GPUS = 4


def timed(name: str, work: Callable[[], Any]) -> Any:
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:<28} {wall:>8.2f} s {processor:>8.2f} s of processor {memory:>6.0f} MB at most", flush=True)
    return found


def of_version_2(run: dict[str, Any]) -> dict[str, Any]:
    """Return a document of version 1 with what version 2 has besides."""
    chance = random.Random(run["run_id"])
    metrics, prompts = run["metrics"], run["workload"]["num_prompts"]
    stats = {"mean": 71.5, "min": 60.25, "max": 88.125}
    gpu = dict.fromkeys(("power_w", "temperature_c", "sm_clock_mhz", "utilization_percent", "memory_used_mib"), stats)
    telemetry = {
        "interval_s": 1.0,
        "gpus": [
            {"index": index, "uuid": f"GPU-{index:032x}", "samples": 247, **gpu, "throttled": {}, "throttled_s": None}
            | {"energy_j": round(chance.gauss(150_000, 900), 1), "energy_source": "counter"}
            for index in range(_TELEMETRY_GPUS)
        ],
        "missing_gpus": [],
        "engine": dict.fromkeys(("requests", "running", "waiting", "kv_cache_usage"), stats),
        "client": {"cpus": stats, "busiest_thread": stats},
        "host": {"cpus": 64, "busy": stats},
    }
    counted = {"requests": prompts, "prompt_tokens": 8192 * prompts, "generated_tokens": 1024 * prompts}
    return {
        **run,
        "schema_version": 2,
        "histograms": {
            name: histogram.histogram(
                chance.lognormvariate(0, 0.4) * metrics[f"mean_{name}"]["mean"] for _each in range(200)
            )
            for name in ("ttft_ms", "tpot_ms", "itl_ms", "e2el_ms")
        },
        "streaming": {"tokens_per_chunk": 1.002, "itl_is_per_token": True, "speculation": None},
        "waves": {"mean_in_flight": 31.2, "occupancy": 0.975, "first_wave_mean_ttft_ms": 2100.5}
        | {"later_mean_ttft_ms": 890.25, "first_wave_ttft_share": 0.14},
        "answers": {"applicable": True, "before": {"asked": 8, "right": 8, "wrong": []}}
        | {"after": {"asked": 8, "right": 8, "wrong": []}, "score": 1.0},
        "repeats": [{**repeat, "telemetry": telemetry, "counted": counted} for repeat in run["repeats"]],
        "quality": {**run["quality"], "disturbed": [], "notes": []},
    }


def main() -> None:
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    newer = sys.argv[2:] != ["1"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        results = Path(folder, "results")
        # In processes of their own: the memory of one is none of another's.
        if not os.fork():
            runs = factory.fleet(HOSTS, documents // HOSTS)
            factory.write(results, *(of_version_2(run) if newer else run for run in runs))
            os._exit(0)
        os.wait()
        load_of = os.getloadavg()[0]
        print(f"{documents // HOSTS * HOSTS:,} documents of {HOSTS} hosts, version {1 + newer}; load {load_of:.1f}")
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
