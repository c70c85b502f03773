# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SGLang's bench_serving, from the SGLang image or installation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import output
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import METRICS, RepeatResult

NAME = "sglang"
MEASURES_GOODPUT = False
DISTRIBUTION = "sglang"
# The Python interpreter of an installation: the client is one of its modules.
EXECUTABLE = "python3"
RESULT = "result.jsonl"
MANAGED_FLAGS = {
    "--random-input-len": "input_length",
    "--random-output-len": "output_length",
    "--num-prompts": "num_prompts",
    "--max-concurrency": "max_concurrency",
    "--request-rate": "request_rate",
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
) -> list[str]:
    """Return the command line that leaves its result in *directory*."""
    command = [executable, "-m", "sglang.bench_serving", "--backend", "sglang-oai-chat", "--base-url", endpoint.url]
    command += [
        "--model",
        endpoint.model,
        "--served-model-name",
        endpoint.served_model_name,
        "--tokenizer",
        endpoint.tokenizer,
    ]
    command += [
        # "random" would draw its prompts from ShareGPT, and download it.
        "--dataset-name", "random-ids",
        "--random-input-len", str(workload.input_length),
        "--random-output-len", str(workload.output_length),
        # Else lengths vary.
        "--random-range-ratio", "1.0",
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
    return output.last_json_line(directory / RESULT, "sglang.bench_serving")


def parse(raw: Mapping[str, Any], workload: Workload, slo: Mapping[str, float] | None = None) -> RepeatResult:
    """Bring a raw result to the common measures. FleetError where one is missing.

    The client does not say how many requests failed: those that did not complete did. It counts the
    input tokens itself, without the chat template.
    """
    read = output.Reader(raw, f"sglang.bench_serving's {RESULT}")
    completed = read.integer("completed")
    return RepeatResult(
        completed=completed,
        failed=workload.num_prompts - completed,
        total_input_tokens=read.integer("total_input_tokens"),
        total_output_tokens=read.integer("total_output_tokens"),
        duration=read.number("duration"),
        metrics={metric: read.number(_RENAMED.get(metric, metric)) for metric in METRICS} if completed else {},
        errors=output.errors(raw),
    )


def compact(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the raw result for the result document."""
    return output.without_lists(raw)
