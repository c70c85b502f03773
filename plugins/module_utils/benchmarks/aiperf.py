# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA's AIPerf: no engine image and no torch needed.

Which of its measures is which of ours (AIPerf 0.13):

- TTFT is C(time_to_first_token).
- ITL is C(inter_chunk_latency), the gaps between streamed chunks, of all requests together. C(vllm bench serve) has one
  gap more a request, between the chunk with the role and the first with text, which engines send almost at once: its
  mean is lower by one part in the output length.
- TPOT is what AIPerf calls C(inter_token_latency): (request latency - TTFT) / (output tokens - 1), one value a request.
- E2EL is C(request_latency), to the last chunk with content.
- Token counts are the server's (C(--use-server-token-count)), chat template included, as in vLLM 0.32.

Means and percentiles are computed here from the record of each request, so that they are over the same population as
in C(vllm bench serve). The duration is that of AIPerf's own throughputs, from the start of sending to the end of the
last answer, which is what C(vllm bench serve) takes too; C(benchmark_duration), which begins when the first request is
sent, is a little shorter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import output
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import (
    GOODPUT,
    RepeatResult,
    latencies,
    throughputs,
)

NAME = "aiperf"
# Whether it sends its requests to several endpoints in turn.
SPREADS = True
DISTRIBUTION = "aiperf"
EXECUTABLE = "aiperf"
SUMMARY = "profile_export_aiperf.json"
RECORDS = "profile_export.jsonl"
CONFIG = "aiperf.json"
MANAGED_FLAGS = {
    "--synthetic-input-tokens-mean": "input_length",
    "--prompt-input-tokens-mean": "input_length",
    "--isl": "input_length",
    "--output-tokens-mean": "output_length",
    "--prompt-output-tokens-mean": "output_length",
    "--osl": "output_length",
    "--request-count": "num_prompts",
    "--num-requests": "num_prompts",
    "--num-dataset-entries": "num_prompts",
    "--num-prompts": "num_prompts",
    "--concurrency": "max_concurrency",
    "--request-rate": "request_rate",
    "--random-range-ratio": "random_range_ratio",
    "--random-seed": "seed",
    "--goodput": "slo",
    "--url": "url",
    "-u": "url",
    "--model": "served_model_name",
    "--model-names": "served_model_name",
    "-m": "served_model_name",
    "--tokenizer": "tokenizer",
    "--api-key": "api_key",
    "--config": "api_key",
    "-f": "api_key",
    "--output-artifact-dir": "work_dir",
    "--artifact-dir": "work_dir",
}
_MEASURES = {"ttft_ms": "time_to_first_token", "tpot_ms": "inter_token_latency", "e2el_ms": "request_latency"}


def argv(
    workload: Workload,
    endpoint: Endpoint,
    directory: str,
    executable: str = EXECUTABLE,
    extra_args: Sequence[str] = (),
    slo: Mapping[str, float] | None = None,
) -> list[str]:
    """Return the command line that leaves its result in *directory*."""
    ranged = workload.random_range_ratio > 0
    command = [executable, "profile"]
    if endpoint.has_api_key:
        command += ["--config", f"{directory}/{CONFIG}"]
    urls = [word for one in endpoint.each for word in ("--url", one.url)]
    command += ["--model", endpoint.served_model_name, *urls, "--endpoint-type", "chat", "--streaming"]
    command += ["--tokenizer", endpoint.tokenizer, "--use-server-token-count"]
    command += [
        "--synthetic-input-tokens-mean", str(workload.input_length),
        *(() if ranged else ("--synthetic-input-tokens-stddev", "0")),
        "--output-tokens-mean", str(workload.output_length),
        *(("--random-range-ratio", f"{workload.random_range_ratio:g}") if ranged else ("--output-tokens-stddev", "0")),
        # Both: SGLang and vLLM honour the first, min_tokens is for servers that know only that.
        "--extra-inputs", "ignore_eos:true",
        *(() if ranged else ("--extra-inputs", f"min_tokens:{workload.output_length}")),
        "--request-count", str(workload.num_prompts),
        # As many different prompts as requests: a repeated one would come from the prefix cache.
        "--num-dataset-entries", str(workload.num_prompts),
        "--concurrency", str(workload.max_concurrency),
        "--random-seed", str(workload.seed),
    ]  # fmt: skip
    if workload.request_rate is not None:
        command += ["--request-rate", f"{workload.request_rate:g}"]
    command += ["--no-server-metrics", "--no-gpu-telemetry", "--ui", "none", "--output-artifact-dir", directory]
    return [*command, *extra_args]


def environment(api_key: str | None) -> dict[str, str]:
    """Return what the client reads from its environment."""
    # Else every prompt of every run is kept under the home directory.
    quiet = {"AIPERF_DATASET_MMAP_CACHE_ENABLED": "false"}
    return {**quiet, "OPENAI_API_KEY": api_key} if api_key else quiet


def files(workload: Workload, endpoint: Endpoint) -> dict[str, str]:
    """Return the files, by name, that the client needs in its directory.

    AIPerf takes an API key from its command line, or from a configuration file that names a variable. The file has to
    be complete, so it repeats a little of the workload; the command line overrides it.
    """
    if not endpoint.has_api_key:
        return {}
    config = {
        "benchmark": {
            "endpoint": {"api_key": "${OPENAI_API_KEY}"},
            "datasets": [
                {
                    "name": "main",
                    "type": "synthetic",
                    "prompts": {"isl": workload.input_length, "osl": workload.output_length},
                }
            ],
            "phases": [
                {
                    "name": "profiling",
                    "type": "concurrency",
                    "concurrency": workload.max_concurrency,
                    "requests": workload.num_prompts,
                }
            ],
        }
    }
    return {CONFIG: json.dumps(config, indent=1)}


def requests_done(directory: Path, log: str) -> int | None:
    """Return how many requests are over, as far as the client tells; None before the first."""
    try:
        with (directory / RECORDS).open("rb") as stream:
            return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b"")) or None
    except FileNotFoundError:
        return None


def load(directory: Path) -> dict[str, Any]:
    """Return the client's raw result: C(summary), its own (None where it wrote none), and C(records), one a request.

    FleetError where the records cannot be read.
    """
    records = output.json_lines(directory / RECORDS, "aiperf")
    summary = output.json_object(directory / SUMMARY, "aiperf") if (directory / SUMMARY).exists() else None
    return {"summary": summary, "records": records}


def parse(raw: Mapping[str, Any], workload: Workload, slo: Mapping[str, float] | None = None) -> RepeatResult:
    """Bring a raw result to the common measures. FleetError where one is missing."""
    records = raw["records"]
    good = [
        record for record in records if not record.get("error") and not record.get("metadata", {}).get("was_cancelled")
    ]
    errors = tuple(dict.fromkeys(_answer(record["error"]) for record in records if record.get("error")))
    failed = workload.num_prompts - len(good)
    if not good:
        return RepeatResult(0, failed, 0, 0, 0.0, errors=errors)
    summary = raw["summary"]
    if summary is None:
        raise FleetError(
            f"aiperf left no summary: {SUMMARY} was not written, "
            f"though {len(good)} of {workload.num_prompts} requests completed"
        )
    duration = _seconds(summary)
    # In the order in which they were sent; the file has them in the order in which they ended.
    values = sorted((_Record(record) for record in good), key=lambda record: record.sent_ns)
    inputs = [value.count("input_sequence_length") for value in values]
    outputs = sum(value.count("output_sequence_length") for value in values)
    gaps = [value.listed("inter_chunk_latency") for value in values]
    found = {
        "ttft_ms": [value.number("time_to_first_token") for value in values],
        "tpot_ms": [value.number("inter_token_latency") for value in values if value.has("inter_token_latency")],
        "itl_ms": [gap for listed in gaps for gap in listed],
        "e2el_ms": [value.number("request_latency") for value in values],
    }
    metrics = throughputs(len(good), sum(inputs), outputs, duration)
    for name, listed in found.items():
        metrics |= latencies(name, listed)
    if slo:
        metrics[GOODPUT] = sum(value.keeps(slo) for value in values) / duration
    chunks = sum(len(listed) + 1 for listed in gaps)
    return RepeatResult(
        len(good), failed, sum(inputs), outputs, duration, metrics, errors, found, tuple(inputs), chunks
    )


def compact(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the raw result for the result document: without the time of every chunk, which is most of its size."""
    return {
        "summary": raw["summary"],
        "records": [
            {
                **record,
                "metrics": {
                    name: value
                    for name, value in (record.get("metrics") or {}).items()
                    if not isinstance(value.get("value"), list)
                },
            }
            for record in raw["records"]
        ],
    }


class _Record:
    """The measures of one request."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        metrics = record.get("metrics") or {}
        self._values = {name: item.get("value") if isinstance(item, dict) else None for name, item in metrics.items()}
        self._read = output.Reader(self._values, f"a record of aiperf's {RECORDS}")
        self.sent_ns = (record.get("metadata") or {}).get("request_start_ns") or 0

    def has(self, name: str) -> bool:
        return name in self._values

    def number(self, name: str) -> float:
        return self._read.number(name)

    def count(self, name: str) -> int:
        return self._read.integer(name)

    def keeps(self, slo: Mapping[str, float]) -> bool:
        """Whether the request stayed within every limit, in ms. One token has no TPOT, and keeps any."""
        return all(self.number(_MEASURES[name]) <= limit for name, limit in slo.items() if self.has(_MEASURES[name]))

    def listed(self, name: str) -> list[float]:
        value = self._values.get(name) or []
        return value if isinstance(value, list) else [value]


def _seconds(summary: Mapping[str, Any]) -> float:
    try:
        started, ended = (datetime.fromisoformat(summary[key]) for key in ("start_time", "end_time"))
    except (KeyError, TypeError, ValueError) as error:
        raise FleetError(f"aiperf's {SUMMARY} cannot be used: start_time and end_time are not both times") from error
    if ended <= started:
        raise FleetError(f"aiperf's {SUMMARY} cannot be used: it ends at {ended}, not after its start at {started}")
    return (ended - started).total_seconds()


def _answer(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    return " ".join(str(error[key]) for key in ("code", "type", "message") if error.get(key))
