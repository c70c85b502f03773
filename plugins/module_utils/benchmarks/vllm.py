# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(vllm bench serve), the client of the published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import output
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import GOODPUT, METRICS, RepeatResult

NAME = "vllm"
DISTRIBUTION = "vllm"
EXECUTABLE = "vllm"
RESULT = "result.json"
_SINCE = (
    "The client of vLLM 0.9 and older does not write all of them: use that of a newer vLLM "
    "(client_path or client_image)."
)
MANAGED_FLAGS = {
    "--random-input-len": "input_length",
    "--input-len": "input_length",
    "--random-output-len": "output_length",
    "--output-len": "output_length",
    "--num-prompts": "num_prompts",
    "--max-concurrency": "max_concurrency",
    "--request-rate": "request_rate",
    "--random-range-ratio": "random_range_ratio",
    "--range-ratio": "random_range_ratio",
    "--seed": "seed",
    "--goodput": "slo",
    "--base-url": "url",
    "--host": "url",
    "--port": "url",
    "--model": "model",
    "--served-model-name": "served_model_name",
    "--tokenizer": "tokenizer",
    "--result-dir": "work_dir",
    "--result-filename": "work_dir",
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
    # The published command line, as printed.
    command = [
        executable, "bench", "serve",
        "--model", endpoint.model,
        "--served-model-name", endpoint.served_model_name,
        "--endpoint", "/v1/chat/completions",
        "--random-input-len", str(workload.input_length),
        "--random-output-len", str(workload.output_length),
        "--num-prompts", str(workload.num_prompts),
        "--max-concurrency", str(workload.max_concurrency),
    ]  # fmt: skip
    # Without the backend the completions shape is sent, and that path answers 400 to every request.
    command += [
        "--backend",
        "openai-chat",
        "--base-url",
        endpoint.url,
        "--dataset-name",
        "random",
        "--seed",
        str(workload.seed),
    ]
    # Else a model may stop before the wanted output length.
    command += ["--ignore-eos"]
    if endpoint.tokenizer != endpoint.model:
        command += ["--tokenizer", endpoint.tokenizer]
    if workload.request_rate is not None:
        command += ["--request-rate", f"{workload.request_rate:g}"]
    if workload.random_range_ratio:
        command += ["--random-range-ratio", f"{workload.random_range_ratio:g}"]
    command += ["--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,99"]
    if slo:
        command += ["--goodput", *(f"{name.removesuffix('_ms')}:{limit:g}" for name, limit in slo.items())]
    # Detailed, as only the details say how the server answered a request that failed.
    command += ["--save-result", "--save-detailed", "--result-dir", directory, "--result-filename", RESULT]
    return [*command, *extra_args]


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
    return output.json_object(directory / RESULT, "vllm bench serve")


def parse(raw: Mapping[str, Any], workload: Workload, slo: Mapping[str, float] | None = None) -> RepeatResult:
    """Bring a raw result to the common measures. FleetError where one is missing."""
    read = output.Reader(raw, f"vllm bench serve's {RESULT}")
    wanted = (*METRICS, GOODPUT) if slo else METRICS
    read.require(("completed", "failed", *(wanted if raw.get("completed") else ())), _SINCE)
    completed = read.integer("completed")
    return RepeatResult(
        completed=completed,
        failed=read.integer("failed"),
        total_input_tokens=read.integer("total_input_tokens"),
        total_output_tokens=read.integer("total_output_tokens"),
        duration=read.number("duration"),
        metrics={metric: read.number(metric) for metric in wanted} if completed else {},
        errors=output.errors(raw),
        **output.details(raw, read.integer("completed")),
    )


def compact(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the raw result for the result document."""
    return output.without_lists(raw)
