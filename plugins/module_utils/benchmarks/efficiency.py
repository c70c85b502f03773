# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a throughput costs in GPUs, energy and money, and which points of a sweep are worth having. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import group
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.session import Repeat
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.telemetry import engine_gpus
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import spread

_MILLION, _HOUR = 1_000_000, 3600


def gpu_count(
    engine: Mapping[str, Any] | None, hardware: Mapping[str, Any] | None, members: Sequence[Mapping[str, Any]] = ()
) -> int | None:
    """Return how many GPUs an engine was given, a simulator those that it plays; None where that is not known.

    *members* are the other hosts of its group, as :mod:`.group` has them, whose GPUs count too.
    """
    counts = [_of_one(engine, hardware), *(_of_one(member["engine"], member["hardware"]) for member in members)]
    known = [count for count in counts if count]
    return sum(known) if len(known) == max(group.size(engine), len(counts)) else None


def _of_one(engine: Mapping[str, Any] | None, hardware: Mapping[str, Any] | None) -> int | None:
    simulates = (engine or {}).get("simulates")
    if simulates:
        return profiles.split(simulates["profile"])[1] * ((engine or {}).get("replicas") or 1) or None
    return len(engine_gpus(engine, hardware)) or None


def efficiency(
    repeats: Sequence[Repeat],
    metrics: Mapping[str, Mapping[str, Any]],
    gpus: int | None,
    price: float | None,
    whole: bool = True,
) -> dict[str, Any]:
    """Return the efficiency of a point, for the result document. What is not known is None.

    *whole* tells whether the GPUs that were sampled are all that did the work.

    *price* is US dollars an hour for all that the engine has. Energy is that of the GPUs, which is most of a host's
    but not all. Tokens per second per user are 1000 / mean TPOT.
    """
    output, total = metrics["output_throughput"]["mean"], metrics["total_token_throughput"]["mean"]
    tpot = metrics["mean_tpot_ms"]["mean"]
    return {
        "gpus": gpus,
        "output_throughput_per_gpu": output / gpus if gpus else None,
        "tokens_per_second_per_user": 1000 / tpot if tpot else None,
        **energy(
            [(repeat.telemetry or {}, repeat.result.duration, repeat.result.total_output_tokens) for repeat in repeats]
            if whole
            else ()
        ),
        "price_per_hour_usd": price,
        "cost_per_million_output_tokens_usd": price / _HOUR / output * _MILLION if price and output else None,
        "cost_per_million_tokens_usd": price / _HOUR / total * _MILLION if price and total else None,
    }


def energy(repeats: Sequence[tuple[Mapping[str, Any], float, int]]) -> dict[str, Any]:
    """Return what the GPUs of a point took, for the result document; None where that of one is not known.

    Of each repeat its telemetry, its duration in seconds and its output tokens.
    """
    joules = [_joules(telemetry) for telemetry, _duration, _tokens in repeats]
    known = [each for each in joules if each is not None]
    if not known or len(known) < len(joules):
        return {"gpu_power_w": None, "energy_per_output_token_j": None}
    return {
        "gpu_power_w": spread(each / row[1] for each, row in zip(known, repeats, strict=True)),
        "energy_per_output_token_j": spread(each / row[2] for each, row in zip(known, repeats, strict=True)),
    }


def _joules(telemetry: Mapping[str, Any]) -> float | None:
    """Return the energy of all the engine's GPUs in a repeat; None where one of them did not tell."""
    energies = [gpu["energy_j"] for gpu in telemetry.get("gpus") or ()]
    return sum(energies) if energies and None not in energies and not telemetry.get("missing_gpus") else None


def pareto(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Tell of each point whether no other is at least as good in both of its values and better in one.

    >>> pareto([(10.0, 1.0), (5.0, 5.0), (4.0, 4.0)])
    [True, True, False]
    """
    return [
        not any(x >= own_x and y >= own_y and (x, y) != (own_x, own_y) for x, y in points) for own_x, own_y in points
    ]
