# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the repeats of a benchmark to its result document, which docs/result.schema.json defines. No I/O."""

from __future__ import annotations

import re
import secrets as random_bytes
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import group, shape
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.efficiency import (
    efficiency,
    gpu_count,
    pareto,
)
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.load import Totals
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.plan import Plan
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.redaction import redact, without_secrets
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.remarks import DOUBT, NOTE, Remark, told
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.session import Measured, Point
from ansible_collections.inference.fleet.plugins.module_utils.results import quality
from ansible_collections.inference.fleet.plugins.module_utils.results.document import SCHEMA_VERSIONS
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import GOODPUT, METRICS, spread, unit

_HARDWARE = (
    "gpus",
    "driver_version",
    "cuda_version",
    "cpu_model",
    "cpu_count",
    "memory_mib",
    "os",
    "kernel",
    "architecture",
)


def run_id(host: str, moment: datetime | None = None) -> str:
    """Return a new run id: its time comes first, so that ids sort; the end makes two runs of one second differ."""
    moment = moment or datetime.now(timezone.utc)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", host).strip("-.") or "host"
    return f"{moment.strftime('%Y%m%dT%H%M%SZ')}-{name}-{random_bytes.token_hex(3)}"


def build(
    *,
    run_id: str,
    host: str,
    client_host: str,
    plan: Plan,
    measured: Measured,
    started_at: str,
    finished_at: str,
    client_argv: Sequence[str],
    client_version: str | None,
    client_image: str | None = None,
    client_image_id: str | None = None,
    engine: Mapping[str, Any] | None = None,
    hardware: Mapping[str, Any] | None = None,
    members: Sequence[Mapping[str, Any]] = (),
    recorded_hosts: Sequence[str] = (),
    revision: str | None = None,
    price: float | None = None,
    label: str | None = None,
    comparison: Mapping[str, Any] | None = None,
    secrets: Iterable[str | None] = (),
) -> dict[str, Any]:
    """Return the result document, without gates and baselines, which the control host adds.

    *engine* is an item of engine_info's engines, *hardware* host_info's host; either may be None where it is not
    known. *members* are the other hosts of a group, as :mod:`.group` has them. What the GPUs of *recorded_hosts* did is
    put in later. *price* is US dollars an hour for the engine's GPUs, those of all hosts. *label* keeps runs apart that
    are otherwise of one subject; *comparison* is the turn that the run is in one. No value of *secrets*, and nothing
    that is named like a secret, gets into the document.
    """
    gpus, whole = gpu_count(engine, hardware, members), not (group.is_one(engine, members) or recorded_hosts)
    points = [_point(plan, point, gpus, price, whole) for point in measured.points]
    hosts = group.parts(host, engine, members)
    engine, hardware = engine or {}, hardware or {}
    document = {
        "schema_version": SCHEMA_VERSIONS[-1],
        "run_id": run_id,
        "host": host,
        "label": label,
        "comparison": dict(comparison) if comparison else None,
        "started_at": started_at,
        "finished_at": finished_at,
        "simulated": bool(engine.get("simulated")) or measured.simulated,
        "simulates": engine.get("simulates"),
        "hardware": {
            **_machine(hardware),
            **({"others": [_member(each) for each in members]} if members else {}),
        },
        "engine": {
            "name": engine.get("engine") or "unknown",
            "version": engine.get("version"),
            "profile": engine.get("profile"),
            "tensor_parallel_size": engine.get("tensor_parallel_size"),
            "gpus": list(engine.get("gpus") or ()),
            "url": plan.endpoint.url,
            **({"replicas": engine["replicas"]} if (engine.get("replicas") or 1) > 1 else {}),
            **({"group": hosts} if hosts else {}),
            "image": {key: (engine.get("image") or {}).get(key) for key in ("reference", "digest", "id")},
            "argv": list(engine.get("argv") or ()),
            "environment": without_secrets(engine.get("environment") or {}),
            "container": dict(engine.get("container") or {}) or None,
        },
        "model": {
            "id": plan.endpoint.model,
            "revision": revision,
            "served_model_name": plan.endpoint.served_model_name,
        },
        "warm": plan.warmup,
        "slo": dict(plan.slo) or None,
        "client": {
            "name": plan.client.NAME,
            "version": client_version,
            "host": client_host,
            "image": client_image,
            "image_id": client_image_id,
            "tokenizer": plan.endpoint.tokenizer,
            "argv": list(client_argv),
        },
        "answers": dict(measured.answers) if measured.answers else None,
        **points[0],
        "sweep": _sweep(points, measured.failure) if len(plan.points()) > 1 else None,
        "gates": [],
        "baselines": [],
    }
    return redact(document, [value for value in secrets if value])


def _machine(hardware: Mapping[str, Any]) -> dict[str, Any]:
    return {"profile": hardware.get("profile") or "unknown", **{key: hardware.get(key) for key in _HARDWARE}}


def _member(member: Mapping[str, Any]) -> dict[str, Any]:
    return {"host": member["host"], **_machine(member["hardware"] or {})}


def _point(plan: Plan, point: Point, gpus: int | None, price: float | None, whole: bool) -> dict[str, Any]:
    """Return what a document says of one workload."""
    repeats = point.repeats
    results = [repeat.result for repeat in repeats]
    streaming = shape.streaming(
        results,
        [repeat.counted for repeat in repeats],
        [length for repeat in repeats for length in repeat.accept_lengths],
    )
    waves = shape.waves(results, point.workload)
    metrics = {
        name: {**spread(found.metrics[name] for found in results), "unit": unit(name)}
        for name in (*METRICS, GOODPUT)
        if all(name in found.metrics for found in results)
    }
    for name in metrics:
        if quality.marked({"streaming": streaming}, name):
            metrics[name]["mark"] = shape.mark(streaming)
    remarks = [
        *plan.remarks,
        *(remark for repeat in repeats for remark in repeat.remarks),
        *doubts(plan, metrics),
        *(Remark(NOTE, text) for text in shape.notes(streaming, waves, point.workload)),
    ]
    return {
        "workload": point.workload.as_dict(),
        "repeats": [
            {
                "index": repeat.index,
                "seed": repeat.seed,
                "started_at": repeat.started_at,
                "finished_at": repeat.finished_at,
                "completed": repeat.result.completed,
                "failed": repeat.result.failed,
                "total_input_tokens": repeat.result.total_input_tokens,
                "total_output_tokens": repeat.result.total_output_tokens,
                "duration_s": repeat.result.duration,
                "metrics": dict(repeat.result.metrics),
                "counted": None if repeat.counted == Totals() else asdict(repeat.counted),
                "telemetry": repeat.telemetry,
                "raw": repeat.raw,
            }
            for repeat in repeats
        ],
        "metrics": metrics,
        "histograms": shape.histograms(results),
        "streaming": streaming,
        "waves": waves,
        "efficiency": efficiency(repeats, metrics, gpus, price, whole),
        "quality": {
            "completed": sum(repeat.result.completed for repeat in repeats),
            "failed": sum(repeat.result.failed for repeat in repeats),
            "total_input_tokens": sum(repeat.result.total_input_tokens for repeat in repeats),
            "total_output_tokens": sum(repeat.result.total_output_tokens for repeat in repeats),
            **told(remarks),
        },
    }


def _sweep(points: Sequence[Mapping[str, Any]], failure: Exception | None) -> dict[str, Any]:
    """Return the points side by side. The repeats of the first are the document's own."""
    values = [
        (
            point["efficiency"]["output_throughput_per_gpu"] or point["metrics"]["output_throughput"]["mean"],
            point["efficiency"]["tokens_per_second_per_user"] or 0.0,
        )
        for point in points
    ]
    return {
        "points": [
            {**point, "repeats": [] if index == 0 else point["repeats"], "pareto": best}
            for index, (point, best) in enumerate(zip(points, pareto(values), strict=True))
        ],
        "failure": str(failure) if failure else None,
    }


def doubts(plan: Plan, metrics: Mapping[str, Mapping[str, Any]]) -> list[Remark]:
    """Return what makes the figures of a plan's repeats worth less, however each repeat went."""
    found = []
    variation = 100 * (metrics.get("output_throughput", {}).get("cv") or 0)
    if variation > plan.max_variation:
        found.append(
            f"the output throughput of the repeats varies by {variation:.1f} % (coefficient of variation), "
            f"more than the {plan.max_variation:g} % that were allowed"
        )
    if not plan.warmup:
        found.append("the engine was not warmed up first: the first requests may carry its start-up")
    if plan.repeats == 1:
        found.append("one repeat: how much this result varies is not known")
    return [Remark(DOUBT, text) for text in found]
