# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host without a GPU serves and measures in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# The engine is the simulator, and the client one that was installed before: on a host of its own AIPerf takes minutes.
SMALL: dict[str, Any] = {
    "engine_name": "simulator",
    "engine_bind_address": "0.0.0.0",
    "engine_api_key": "a-key-of-the-test",
    "benchmark_client_host": "localhost",
    "benchmark_client_path": str(ROOT / ".build/venvs/aiperf/bin/aiperf"),
    "benchmark_input_length": 64,
    "benchmark_output_length": 16,
    "benchmark_num_prompts": 8,
    "benchmark_max_concurrency": 8,
    "benchmark_repeats": 1,
    "benchmark_warmup": False,
}
