# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page draws of one run: how its latencies are spread, and how its first repeat went. runplots.js draws it."""

from __future__ import annotations

from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import load
from ansible_collections.inference.fleet.plugins.module_utils.results.series import Document

# What a page draws of a run's first repeat: [title, unit, [name and key of each line]].
_OVER_TIME = (
    ("Power of the GPUs", "W", (("power", "power_w"),)),
    ("Clock of the GPUs", "MHz", (("clock", "clock_sm_mhz"),)),
    ("Hottest GPU", "\N{DEGREE SIGN}C", (("temperature", "temperature_c"),)),
    ("Requests in the engine", "requests", (("running", "running"), ("waiting", "waiting"))),
    ("KV cache in use", "%", (("in use", "kv_cache_usage"),)),
)


def histograms(document: Document) -> list[list[Any]]:
    """Return [title, number of the first bucket, buckets a decade, counts] of each latency that has a histogram."""
    kept = document.get("histograms") or {}
    return [
        [label, found["first"], found["per_decade"], found["counts"]]
        for label, key in (("TTFT", "ttft_ms"), ("TPOT", "tpot_ms"), ("ITL", "itl_ms"), ("E2EL", "e2el_ms"))
        if (found := kept.get(key))
    ]


def over_time(document: Document) -> list[Any]:
    """Return [seconds of a part, [title, unit, [name, values] of each line] of each plot]; else nothing."""
    found = load.over_time(document)
    if not found:
        return []
    plots = []
    for title, unit, lines in _OVER_TIME:
        factor = 100 if unit == "%" else 1
        listed = [
            [name, [None if number is None else float(f"{number * factor:.5g}") for number in found[key]]]
            for name, key in lines
            if found.get(key)
        ]
        if listed:
            plots.append([title, unit, listed])
    return [found["part_s"], plots]
