# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a result document its readers need. docs/result.schema.json defines a document in full, and a test holds
that whatever it takes is taken here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import words

# The newest comes last; it is the one that is written.
SCHEMA_VERSIONS = (1, 2)


def check(document: Any) -> None:
    """Raise ValueError saying what a report would miss in *document*.

    This is not the schema: it asks only for what a report reads, so that documents which
    carry more are read too.
    """
    if not isinstance(document, dict):
        raise ValueError(f"not a result document: wanted an object, found {_kind(document)}")
    version = document.get("schema_version")
    if "schema_version" not in document or "run_id" not in document:
        raise ValueError("not a result document: it has no schema_version and run_id")
    if isinstance(version, bool) or version not in SCHEMA_VERSIONS:
        known = ", ".join(map(str, SCHEMA_VERSIONS))
        raise ValueError(f"schema_version is {words.shorten(repr(version), 40)}, this release reads {known}")
    faults = list(_faults(document, _DOCUMENT, ""))
    if not faults and document.get("sweep"):
        faults = list(_faults(document["sweep"], _SWEEP, "sweep"))
    if faults:
        more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
        raise ValueError("; ".join(faults[:3]) + more)


@dataclass(frozen=True)
class _Maybe:
    """The value, or null, or no key at all."""

    shape: Any


@dataclass(frozen=True)
class _Each:
    """An object with any keys and values of one shape."""

    shape: Any


_NUMBER = (int, float)
_WORKLOAD = {
    "input_length": _NUMBER,
    "output_length": _NUMBER,
    "num_prompts": int,
    "max_concurrency": _Maybe(int),
    "request_rate": _Maybe(_NUMBER),
    "random_range_ratio": _Maybe(_NUMBER),
}
_SUMMARY = {
    "mean": _NUMBER,
    "stdev": _Maybe(_NUMBER),
    "min": _Maybe(_NUMBER),
    "max": _Maybe(_NUMBER),
    "cv": _Maybe(_NUMBER),
    "values": _Maybe([_NUMBER]),
    "unit": str,
}
_SPREAD = {"mean": _NUMBER}
_EFFICIENCY = {
    **dict.fromkeys(
        (
            "gpus",
            "output_throughput_per_gpu",
            "tokens_per_second_per_user",
            "price_per_hour_usd",
            "cost_per_million_output_tokens_usd",
            "cost_per_million_tokens_usd",
        ),
        _Maybe(_NUMBER),
    ),
    "gpu_power_w": _Maybe(_SPREAD),
    "energy_per_output_token_j": _Maybe(_SPREAD),
}
_DOCUMENT = {
    "run_id": str,
    "host": str,
    "label": _Maybe(str),
    "comparison": _Maybe({"id": str, "fingerprint": str, "variant": str, "round": int, "rounds": int}),
    "started_at": "time",
    "finished_at": "time",
    "simulated": bool,
    "simulates": _Maybe({"engine": str, "profile": str}),
    "hardware": {
        "profile": str,
        "gpus": _Maybe([{}]),
        "driver_version": _Maybe(str),
        "cuda_version": _Maybe(str),
        "kernel": _Maybe(str),
        "cpu_count": _Maybe(_NUMBER),
        "memory_mib": _Maybe(_NUMBER),
        "os": _Maybe({}),
        "others": _Maybe([{"host": str, "profile": str, "gpus": _Maybe([{}]), "driver_version": _Maybe(str)}]),
    },
    "engine": {
        "name": str,
        "version": _Maybe(str),
        "profile": _Maybe(str),
        "tensor_parallel_size": _Maybe(int),
        "replicas": _Maybe(int),
        "group": _Maybe([{"host": str, "profile": _Maybe(str)}]),
        "gpus": _Maybe([str]),
        "url": _Maybe(str),
        "slot": _Maybe(str),
        "container": _Maybe({}),
        "image": _Maybe({"reference": _Maybe(str), "digest": _Maybe(str), "id": _Maybe(str)}),
        "argv": _Maybe([str]),
        "environment": _Maybe({}),
    },
    "model": {"id": str, "revision": _Maybe(str), "served_model_name": str},
    "workload": _WORKLOAD,
    "warm": bool,
    "streaming": _Maybe({"itl_is_per_token": _Maybe(bool)}),
    "slo": _Maybe(_Each(_Maybe(_NUMBER))),
    "efficiency": _Maybe(_EFFICIENCY),
    "client": {
        "name": str,
        "version": _Maybe(str),
        "image": _Maybe(str),
        "host": _Maybe(str),
        "tokenizer": _Maybe(str),
        "argv": [str],
    },
    "repeats": [
        {
            "index": int,
            "started_at": "time",
            "finished_at": "time",
            "completed": int,
            "failed": int,
            "duration_s": _Maybe(_NUMBER),
            "metrics": _Each(_Maybe(_NUMBER)),
        }
    ],
    "metrics": _Each(_Maybe(_SUMMARY)),
    "sweep": _Maybe({"points": [{"repeats": [{}]}]}),
    "quality": {
        "completed": int,
        "failed": int,
        "total_input_tokens": _Maybe(int),
        "total_output_tokens": _Maybe(int),
        "warnings": [str],
        # Of version 2.
        "disturbed": _Maybe([{"kind": str, "text": str}]),
        "notes": _Maybe([str]),
    },
    "gates": _Maybe([{"passed": _Maybe(bool), "message": str}]),
    "baselines": [
        {
            "id": str,
            "engine": str,
            "profile": str,
            "cold": bool,
            "workload": _WORKLOAD,
            "same_workload": bool,
            "metrics": _Each({"baseline": _Maybe(_NUMBER), "value": _Maybe(_NUMBER), "ratio": _Maybe(_NUMBER)}),
        }
    ],
}
# A point of a sweep has of these what the document itself has.
_SWEEP = {
    "points": [
        {key: _DOCUMENT[key] for key in ("workload", "metrics", "quality", "efficiency")}
        | {"baselines": _Maybe(_DOCUMENT["baselines"]), "streaming": _DOCUMENT["streaming"]}
    ],
    "failure": _Maybe(str),
}


def _faults(value: Any, shape: Any, path: str) -> Iterator[str]:
    """Yield what *value* lacks of *shape*: a type, a tuple of types, "time", or a container of shapes."""
    here = path or "the document"
    if isinstance(shape, _Maybe):
        if value is not None:
            yield from _faults(value, shape.shape, path)
    elif isinstance(shape, (dict, _Each)):
        if not isinstance(value, dict):
            yield f"{here} is {_kind(value)}, wanted an object"
            return
        inner = shape.items() if isinstance(shape, dict) else ((key, shape.shape) for key in value)
        for key, part in inner:
            name = f"{path}.{words.clean(key)}".lstrip(".")
            if key in value or isinstance(part, _Maybe):
                yield from _faults(value.get(key), part, name)
            else:
                yield f"{name} is missing"
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{here} is {_kind(value)}, wanted a list"
            return
        for index, item in enumerate(value):
            yield from _faults(item, shape[0], f"{path}[{index}]")
    elif shape == "time":
        try:
            words.parse_time(value)
        except (TypeError, ValueError, AttributeError, OverflowError):
            yield f"{here} is {words.shorten(repr(value), 40)}, wanted a time such as 2026-11-23T15:30:00Z"
    else:
        wanted = shape if isinstance(shape, tuple) else (shape,)
        right = isinstance(value, wanted) and not (isinstance(value, bool) and bool not in wanted)
        if not right:
            yield f"{here} is {_kind(value)}, wanted {_NAMES[wanted[-1]]}"
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{here} is too large a number"


_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _kind(value: Any) -> str:
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)
