# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published figures of Qwen3-Coder-Next, as Lambda's page of the model prints them.

Throughputs are in tokens per second, latencies in milliseconds, with the definitions of
``vllm bench serve``.
"""

from __future__ import annotations

from typing import Any

MODEL = "Qwen/Qwen3-Coder-Next"
SOURCE = "Lambda, 'Qwen3-Coder-Next' inference model page"
WORKLOAD = {"input_length": 8192, "output_length": 1024, "num_prompts": 512, "max_concurrency": 32}
_NOTE = (
    "The page prints two tables without naming their engine. It shows the SGLang command first and the vLLM command "
    "second; the tables are taken to follow the same order."
)
_COLD_NOTE = (
    " The row looks partly cold: the first wave of 32 requests, at the p99 of TTFT, makes most of the mean. "
    "A warm run should beat it."
)
_METRICS = (
    "output_throughput",
    "total_token_throughput",
    "mean_ttft_ms",
    "p99_ttft_ms",
    "mean_tpot_ms",
    "p99_tpot_ms",
    "mean_itl_ms",
    "p99_itl_ms",
)


def _row(engine: str, profile: str, *values: int, cold: bool = False) -> dict[str, Any]:
    return {
        "id": f"lambda/qwen3-coder-next/{engine}/{profile}",
        "source": SOURCE,
        "note": _NOTE + (_COLD_NOTE if cold else ""),
        "engine": engine,
        "profile": profile,
        "model": MODEL,
        "workload": dict(WORKLOAD),
        "cold": cold,
        "metrics": dict(zip(_METRICS, values, strict=True)),
    }


PUBLISHED: tuple[dict[str, Any], ...] = (
    _row("sglang", "b200x2", 1876, 16890, 1330, 3644, 16, 17, 16, 28),
    _row("sglang", "h100x4", 1810, 16289, 1960, 4489, 16, 18, 16, 31),
    _row("sglang", "a100x4", 1069, 9622, 3969, 8901, 26, 30, 26, 46),
    _row("vllm", "b200x2", 1721, 15492, 4601, 65289, 14, 14, 14, 109, cold=True),
    _row("vllm", "h100x4", 2180, 19617, 933, 4268, 14, 15, 14, 117),
    _row("vllm", "a100x4", 851, 7659, 6997, 96435, 31, 33, 31, 141, cold=True),
)


def published(engine: str, profile: str) -> dict[str, Any] | None:
    """Return the published row of an engine on a profile, or ``None``."""
    for row in PUBLISHED:
        if (row["engine"], row["profile"]) == (engine, profile):
            return row
    return None
