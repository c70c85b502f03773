# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(sglang.benchmark.serving), which was C(sglang.bench_serving), from an SGLang image or installation.

Its totals count the prompts as it made them, and would prove only itself: the server's own counts are in the details of
each request (SGLang 0.5.23), chat template included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import output
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import GOODPUT, METRICS, RepeatResult

NAME = "sglang"
DISTRIBUTION = "sglang"
# The Python interpreter of an installation: the client is one of its modules.
EXECUTABLE = "python3"
# The client's names, the newer first. The older one is all that images before the renaming have.
MODULES = ("sglang.benchmark.serving", "sglang.bench_serving")
RESULT = "result.jsonl"
MANAGED_FLAGS = {
    "--random-input-len": "input_length",
    "--random-output-len": "output_length",
    "--num-prompts": "num_prompts",
    "--max-concurrency": "max_concurrency",
    "--request-rate": "request_rate",
    "--random-range-ratio": "random_range_ratio",
    "--goodput": "slo",
    "--seed": "seed",
    "--base-url": "url",
    "--host": "url",
    "--port": "url",
    "--model": "model",
    "--served-model-name": "served_model_name",
    "--tokenizer": "tokenizer",
    "--output-file": "work_dir",
}

# Names in the client's result where they differ from ours.
_RENAMED = {
    "total_token_throughput": "total_throughput",
    "mean_e2el_ms": "mean_e2e_latency_ms",
    "median_e2el_ms": "median_e2e_latency_ms",
    "p99_e2el_ms": "p99_e2e_latency_ms",
}


def argv(
    workload: Workload,
    endpoint: Endpoint,
    directory: str,
    executable: str = EXECUTABLE,
    extra_args: Sequence[str] = (),
    slo: Mapping[str, float] | None = None,
    entry: str | None = None,
) -> list[str]:
    """Return the command line that leaves its result in *directory*; *entry* is the client's name where it is known."""
    command = [executable, "-m", entry or MODULES[0], "--backend", "sglang-oai-chat", "--base-url", endpoint.url]
    command += [
        "--model",
        endpoint.model,
        "--served-model-name",
        endpoint.served_model_name,
        "--tokenizer",
        endpoint.tokenizer,
    ]
    ratio = workload.random_range_ratio
    command += [
        # "random" would draw its prompts from ShareGPT, and download it.
        "--dataset-name", "random-ids",
        "--random-input-len", str(_longest(workload.input_length, ratio)),
        "--random-output-len", str(_longest(workload.output_length, ratio)),
        # Lengths go from this share of those above to all of it.
        "--random-range-ratio", f"{(1 - ratio) / (1 + ratio):.6g}" if ratio else "1.0",
        "--num-prompts", str(workload.num_prompts),
        "--max-concurrency", str(workload.max_concurrency),
        "--seed", str(workload.seed),
        # Its own warm-up repeats a measured prompt.
        "--warmup-requests", "0",
        # Without the server's usage the client takes the wanted output length for the real one.
        "--extra-request-body", json.dumps({"stream_options": {"include_usage": True}}),
    ]  # fmt: skip
    if workload.request_rate is not None:
        command += ["--request-rate", f"{workload.request_rate:g}"]
    # Only the details say how the server answered a request that failed.
    return [*command, "--output-file", f"{directory}/{RESULT}", "--output-details", *extra_args]


def _longest(length: int, ratio: float) -> int:
    return round(length * (1 + ratio))


def environment(api_key: str | None) -> dict[str, str]:
    """Return what the client reads from its environment."""
    return {"OPENAI_API_KEY": api_key} if api_key else {}


def files(workload: Workload, endpoint: Endpoint) -> dict[str, str]:
    """Return the files, by name, that the client needs in its directory."""
    return {}


def requests_done(directory: Path, log: str) -> int | None:
    """Return how many requests are over, as far as the client tells; None before the first."""
    return output.last_of_progress_bar(log)


def load(directory: Path) -> dict[str, Any]:
    """Return the client's raw result. FleetError where there is none that can be read."""
    return output.last_json_line(directory / RESULT, "sglang.benchmark.serving")


def parse(raw: Mapping[str, Any], workload: Workload, slo: Mapping[str, float] | None = None) -> RepeatResult:
    """Bring a raw result to the common measures. FleetError where one is missing.

    The client does not say how many requests failed: those that did not complete did. Goodput is counted here, with the
    client's own definition, as older versions do not have it.
    """
    read = output.Reader(raw, f"sglang.benchmark.serving's {RESULT}")
    completed, duration = read.integer("completed"), read.number("duration")
    metrics = {metric: read.number(_RENAMED.get(metric, metric)) for metric in METRICS} if completed else {}
    found = output.details(raw, completed)
    inputs = sum(found["input_lengths"]) if found else read.integer("total_input_tokens")
    tokens = read.integer("total_output_tokens")
    if found and duration > 0:
        metrics["total_token_throughput"] = (inputs + tokens) / duration
    if slo and found and duration > 0:
        metrics[GOODPUT] = _good(raw, found["values"], slo) / duration
    return RepeatResult(
        completed=completed,
        failed=workload.num_prompts - completed,
        total_input_tokens=inputs,
        total_output_tokens=tokens,
        duration=duration,
        metrics=metrics,
        errors=output.errors(raw),
        **found,
    )


def _good(raw: Mapping[str, Any], values: Mapping[str, Sequence[float]], slo: Mapping[str, float]) -> int:
    """Return how many requests kept every limit. An answer of one token has no TPOT, and keeps any."""
    tpots = iter(values["tpot_ms"])
    kept = 0
    for ttft, e2el, tokens in zip(values["ttft_ms"], values["e2el_ms"], raw["output_lens"], strict=True):
        seen = {"ttft_ms": ttft, "e2el_ms": e2el, "tpot_ms": next(tpots) if tokens > 1 else 0.0}
        kept += all(seen[name] <= limit for name, limit in slo.items())
    return kept


def compact(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the raw result for the result document."""
    return output.without_lists(raw)
