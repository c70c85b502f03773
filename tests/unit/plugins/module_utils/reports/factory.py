# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Result documents to test reports with: made-up figures in the shape of docs/result.schema.json."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import aiperf
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.results import comparison
from ansible_collections.inference.fleet.plugins.module_utils.results.published import published as published_row

FIGURES = {
    "output_throughput": 2143.7,
    "total_token_throughput": 19290.2,
    "request_throughput": 2.0935,
    "mean_ttft_ms": 951.42,
    "median_ttft_ms": 612.9,
    "p99_ttft_ms": 4310.8,
    "mean_tpot_ms": 14.21,
    "median_tpot_ms": 14.2,
    "p99_tpot_ms": 15.4,
    "mean_itl_ms": 14.19,
    "median_itl_ms": 11.03,
    "p99_itl_ms": 119.3,
    "mean_e2el_ms": 15488.1,
    "median_e2el_ms": 15204.0,
    "p99_e2el_ms": 19950.6,
}
LAMBDA_VLLM_H100X4 = {
    "output_throughput": 2180,
    "total_token_throughput": 19617,
    "mean_ttft_ms": 933,
    "p99_ttft_ms": 4268,
    "mean_tpot_ms": 14,
    "p99_tpot_ms": 15,
    "mean_itl_ms": 14,
    "p99_itl_ms": 117,
}
# As a default of a function: read only.
PUBLISHED_METRICS = MappingProxyType(LAMBDA_VLLM_H100X4)
GPUS = {
    "h100x4": [("NVIDIA H100 80GB HBM3", 81559)] * 4,
    "b200x2": [("NVIDIA B200", 183359)] * 2,
    "a100x4": [("NVIDIA A100-SXM4-80GB", 81920)] * 4,
}


def _unit(key: str) -> str:
    if key == "request_throughput":
        return "req/s"
    return "ms" if key.endswith("_ms") else "tok/s"


def summary(key: str, values: list[float]) -> dict[str, Any]:
    """Return the summary of one metric over the repeats."""
    mean = sum(values) / len(values)
    stdev = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5 if len(values) > 1 else None
    return {
        "mean": mean,
        "stdev": stdev,
        "min": min(values),
        "max": max(values),
        "cv": None if stdev is None else stdev / mean,
        "values": values,
        "unit": _unit(key),
    }


def document(
    host: str = "gpu1",
    engine: str = "vllm",
    profile: str = "h100x4",
    model: str = "Qwen/Qwen3-Coder-Next",
    started: datetime = datetime(2026, 11, 23, 15, 30, tzinfo=timezone.utc),
    simulated: bool = False,
    num_prompts: int = 512,
    published: Mapping[str, float] | None = PUBLISHED_METRICS,
    cold_baseline: bool = False,
    factors: tuple[float, ...] = (1.0,),
    **changes: Any,
) -> dict[str, Any]:
    """Return one result document; *factors* scale the throughputs of its repeats, *changes* replace keys."""
    workload = {
        "input_length": 8192,
        "output_length": 1024,
        "num_prompts": num_prompts,
        "max_concurrency": 32,
        "request_rate": None,
        "seed": 0,
    }
    repeats = []
    for index, factor in enumerate(factors):
        start = started + timedelta(minutes=5 * index)
        metrics = {
            key: round(value / factor if key.endswith("_ms") else value * factor, 4) for key, value in FIGURES.items()
        }
        repeats.append(
            {
                "index": index + 1,
                "seed": index,
                "started_at": _time(start),
                "finished_at": _time(start + timedelta(seconds=247)),
                "completed": num_prompts,
                "failed": 0,
                "total_input_tokens": 8192 * num_prompts,
                "total_output_tokens": 1024 * num_prompts,
                "duration_s": 246.7,
                "metrics": metrics,
                "telemetry": None,
                "raw": {"anything": ["the client", "wrote"]},
            }
        )
    metrics = {key: summary(key, [repeat["metrics"][key] for repeat in repeats]) for key in FIGURES}
    argv = [
        *("--host", "0.0.0.0", "--port", "8000", "--model", model, "--served-model-name", "qwen3-coder-next"),
        *("--enable-auto-tool-choice", "--tool-call-parser", "qwen3_coder", "--tensor-parallel-size", "4"),
        "--trust-remote-code",
    ]
    baselines = []
    if published:
        baselines.append(
            {
                "id": f"lambda/qwen3-coder-next/{engine}/{profile}",
                "kind": comparison.PUBLISHED,
                "source": "a page",
                "engine": engine,
                "profile": profile,
                "cold": cold_baseline,
                "workload": {"input_length": 8192, "output_length": 1024, "num_prompts": 512, "max_concurrency": 32},
                "same_workload": num_prompts == 512,
                "notes": [],
                "metrics": {
                    key: comparison.compare(key, metrics[key]["values"], (value,), rounded=0.5)
                    for key, value in published.items()
                },
            }
        )
    named = re.sub(r"[^A-Za-z0-9._-]+", "-", host).strip("-.") or "host"
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{named}-{abs(_hash(host, engine, profile)):06x}"
    found = {
        "schema_version": 1,
        "run_id": run_id,
        "host": host,
        "started_at": repeats[0]["started_at"],
        "finished_at": repeats[-1]["finished_at"],
        "simulated": simulated,
        "simulates": {"engine": engine, "profile": profile} if simulated else None,
        "hardware": {
            "profile": "cpu" if simulated else profile,
            "gpus": []
            if simulated
            else [
                {"index": index, "name": name, "memory_mib": memory}
                for index, (name, memory) in enumerate(GPUS.get(profile, []))
            ],
            "driver_version": None if simulated else "570.124.06",
            "cpu_model": "Intel(R) Xeon(R) Platinum 8480+",
            "cpu_count": 104,
            "memory_mib": 921600,
        },
        "slo": None,
        "efficiency": {
            "gpus": 4,
            "output_throughput_per_gpu": metrics["output_throughput"]["mean"] / 4,
            "tokens_per_second_per_user": 1000 / metrics["mean_tpot_ms"]["mean"],
            "gpu_power_w": None,
            "energy_per_output_token_j": None,
            "price_per_hour_usd": None,
            "cost_per_million_output_tokens_usd": None,
            "cost_per_million_tokens_usd": None,
        },
        "sweep": None,
        "engine": {
            "name": "simulator" if simulated else engine,
            "version": "0.1.0" if simulated else "0.32.0",
            "profile": profile,
            "tensor_parallel_size": 4,
            "url": "http://127.0.0.1:8000",
            "image": {
                "reference": f"{engine}/{engine}:latest",
                "digest": "sha256:" + "ab12" * 16,
                "id": "sha256:" + "cd34" * 16,
            },
            "argv": argv,
            "environment": {"HF_HOME": "/root/.cache/huggingface"},
            "container": {
                "id": "f00d" * 16,
                "started_at": "2026-11-23T14:00:00Z",
                "created_at": "2026-11-23T14:00:00Z",
                "restart_count": 0,
            },
        },
        "model": {"id": model, "revision": None, "served_model_name": "qwen3-coder-next"},
        "workload": workload,
        "warm": True,
        "client": {
            "name": "aiperf",
            "version": "0.13.0",
            "host": host,
            "tokenizer": model,
            "argv": aiperf.argv(
                Workload(num_prompts=num_prompts),
                Endpoint("http://127.0.0.1:8000", model, "qwen3-coder-next", model),
                f"/var/tmp/{run_id}/point-1/repeat-1",
                "/opt/inference.fleet/aiperf/bin/aiperf",
            ),
        },
        "repeats": repeats,
        "metrics": metrics,
        "quality": {
            "completed": num_prompts * len(factors),
            "failed": 0,
            "total_input_tokens": 8192 * num_prompts * len(factors),
            "total_output_tokens": 1024 * num_prompts * len(factors),
            "warnings": [] if len(factors) > 1 else ["one repeat: how much this result varies is not known"],
        },
        "gates": [],
        "baselines": baselines,
    }
    found.update(changes)
    return found


def costs(found: dict[str, Any], price: float, power: float) -> dict[str, Any]:
    """Return a document with a price in US$ an hour, and the power of its GPUs in W."""
    output, total = (found["metrics"][key]["mean"] for key in ("output_throughput", "total_token_throughput"))
    found["efficiency"].update(
        gpu_power_w={"mean": power, "stdev": None, "min": power, "max": power, "cv": None, "values": [power]},
        energy_per_output_token_j={
            **dict.fromkeys(("mean", "min", "max"), power / output),
            **dict.fromkeys(("stdev", "cv")),
            "values": [power / output],
        },
        price_per_hour_usd=price,
        cost_per_million_output_tokens_usd=price / 3600 / output * 1e6,
        cost_per_million_tokens_usd=price / 3600 / total * 1e6,
    )
    return found


def sweep(found: dict[str, Any], points: Mapping[int, tuple[float, float]]) -> dict[str, Any]:
    """Return a document with a sweep: *points* has (output throughput, mean TPOT) by concurrency."""
    found["sweep"] = {"points": [], "failure": None}
    for concurrency, (output, tpot) in points.items():
        point = copy.deepcopy({key: found[key] for key in ("workload", "metrics", "efficiency", "quality")})
        point["workload"]["max_concurrency"] = concurrency
        for key, mean in (("output_throughput", output), ("mean_tpot_ms", tpot)):
            point["metrics"][key] = summary(key, [mean])
        point["efficiency"].update(output_throughput_per_gpu=output / 4, tokens_per_second_per_user=1000 / tpot)
        price = found["efficiency"]["price_per_hour_usd"]
        if price:
            point["efficiency"]["cost_per_million_output_tokens_usd"] = price / 3600 / output * 1e6
        found["sweep"]["points"].append({**point, "repeats": [], "pareto": True})
    return found


def swept(found: dict[str, Any], points: Mapping[int, tuple[float, float]]) -> dict[str, Any]:
    """Return a document with a sweep whose first point it stands for, as a benchmark writes it."""
    first = sweep(found, points)["sweep"]["points"][0]
    return {**found, **{key: first[key] for key in ("workload", "metrics", "efficiency")}}


# The third of these points is worse than the second in both.
SWEEP = {8: (900.0, 8.0), 32: (2143.7, 14.2), 64: (2000.0, 20.0), 128: (3900.0, 30.0)}


def fleet(hosts: int = 40, days: int = 25) -> list[dict[str, Any]]:
    """Return a run a day of each host, oldest first: half of them vLLM on 4x H100, the others SGLang and 2x B200.

    Host 3 loses a tenth with a new driver at two thirds of the time; host 7 is always slower than its siblings. The
    first host of each kind sweeps in its last run.
    """
    chance, found = random.Random(7), []
    kinds = {"vllm/h100x4": range(hosts // 2), "sglang/h100x4": range(hosts // 2, hosts * 3 // 4)}
    kinds["vllm/b200x2"] = range(hosts * 3 // 4, hosts)
    for kind, numbers in kinds.items():
        engine, profile = kind.split("/")
        row = published_row(engine, profile)
        for number in numbers:
            level = chance.gauss(1, 0.004) * (0.93 if number == 7 else 1)
            for day in range(days):
                changed = number == 3 and day >= days * 2 // 3
                factors = tuple(level * (0.9 if changed else 1) * chance.gauss(1, 0.004) for _repeat in range(3))
                run = document(
                    host=f"gpu{number:02}",
                    engine=engine,
                    profile=profile,
                    published=row["metrics"] if row else None,
                    started=datetime(2026, 11, 1, tzinfo=timezone.utc) + timedelta(days=day, minutes=7 * number),
                    factors=factors,
                )
                if changed:
                    run["hardware"]["driver_version"] = "580.65.06"
                costs(run, 16.36, 2200.0)
                if number == numbers[0] and day == days - 1:
                    sweep(run, SWEEP)
                found.append(run)
    return sorted(found, key=lambda run: run["started_at"])


def write(folder: Path, *documents: dict[str, Any]) -> None:
    """Write documents into *folder* as the benchmark does: one file a run."""
    folder.mkdir(parents=True, exist_ok=True)
    for found in documents:
        (folder / f"{found['run_id']}.json").write_text(json.dumps(found), encoding="utf-8")


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _hash(*texts: str) -> int:
    number = 0
    for char in "/".join(texts):
        number = (number * 31 + ord(char)) % 0xFFFFFF
    return number
