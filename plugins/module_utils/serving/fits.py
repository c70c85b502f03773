# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the catalogue fits the GPUs of a host, with the arithmetic. All pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.engines import engine
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import Parallel
from ansible_collections.inference.fleet.plugins.module_utils.models import memory
from ansible_collections.inference.fleet.plugins.module_utils.models.model import SIZES, Model, gpus, sizes


@dataclass(frozen=True)
class Hardware:
    """GPUs of one kind; their memory in MiB, ``None`` where it is not known."""

    family: str
    count: int
    memory_mib: float | None

    @property
    def profile(self) -> str:
        """The GPUs in one word."""
        return f"{self.family}x{self.count}" if self.count else profiles.CPU


def fits(
    known: Model,
    engine_name: str,
    hardware: Hardware,
    weights_gib: float | None = None,
    config: Mapping[str, Any] | None = None,
    context: int | None = None,
) -> dict[str, Any]:
    """Return whether a model fits hardware, how it would be spread, and in C(arithmetic) why.

    *weights_gib* and *config* are what the model's own files tell. C(fits) is ``None`` where nothing tells.
    """
    weights = weights_gib or known.weights_gib
    needs = known.needed(engine_name, hardware.family, hardware.memory_mib)
    source = "known to work" if known.shape(engine_name, hardware.family) else "by memory"
    if needs is None and weights and hardware.memory_mib and hardware.count:
        count = memory.needed(weights, hardware.memory_mib / 1024)
        needs, source = (sizes({"tensor_parallel_size": count}) if count else None), "by the weights' size"
    told: dict[str, Any] = {
        "fits": None,
        "gpus": gpus(needs) if needs else None,
        "replicas": None,
        "weights_gib": round(weights, 1) if weights else None,
        "kv_cache_tokens": None,
        "longest_context": None,
        **(needs or {name: None for name in SIZES}),
    }
    if not hardware.count:
        return {**told, "arithmetic": "no GPU"}
    if needs is None:
        return {**told, "arithmetic": "its size is not known: nothing tells how many GPUs it needs"}
    have, takes = hardware.count, gpus(needs)
    reasons = [_room(known, takes, hardware, source)]
    told |= {"fits": takes <= have, "replicas": have // takes}
    if takes > have:
        smaller = known.smaller(engine_name, hardware.family, hardware.memory_mib, have)
        reasons.append(
            f"it needs {takes} GPUs, and there are {have}: {-(-takes // have)} hosts like this one have them"
        )
        reasons += [f"{' or '.join(smaller)} fits"] if smaller else []
    elif weights and hardware.memory_mib:
        told |= _cache(reasons, needs, weights, hardware.memory_mib / 1024, config, context)
        spread = Parallel(tensor=needs["tensor_parallel_size"], pipeline=needs["pipeline_parallel_size"])
        misfit = engine(engine_name).misfit(config, spread, have) if config else None
        if misfit:
            told["fits"] = False
            reasons.append(misfit)
    if told["fits"] and not known.made_for(hardware.family):
        told["fits"] = None
        reasons.append(f"{known.precision} is for {', '.join(known.gpus)}")
    return {**told, "arithmetic": "; ".join(reasons)}


def _room(known: Model, takes: int, hardware: Hardware, source: str) -> str:
    """Tell the memory that a model takes, and that of the GPUs that are to hold it."""
    if not hardware.memory_mib:
        return f"{takes} GPUs, {source}"
    each = hardware.memory_mib * 2**20 / 1e9
    wanted = f"{known.memory_gb:.0f} GB wanted, " if known.memory_gb else ""
    return f"{wanted}{takes} x {each:.0f} GB = {takes * each:.0f} GB, {source}"


def _cache(
    reasons: list[str],
    needs: Mapping[str, Any],
    weights: float,
    each: float,
    config: Mapping[str, Any] | None,
    context: int | None,
) -> dict[str, Any]:
    """Return what becomes of the KV cache, and tell the arithmetic."""
    tensor, pipeline = needs["tensor_parallel_size"], needs["pipeline_parallel_size"]
    fit = memory.fit(config, weights, each, tensor, pipeline, context=context)
    reasons.append(
        f"{each:.1f} GiB x {memory.SHARE:.0%} - {weights:.1f} GiB / {tensor * pipeline} - {memory.WORKING_GIB:g} GiB = "
        f"{fit.cache_gib:.1f} GiB of KV cache on each"
    )
    if fit.tokens is not None:
        reasons.append(
            f"a request of {fit.context:,} tokens takes {fit.request_gib:.2f} GiB on each: {fit.tokens:,} tokens at "
            f"once, the longest request {fit.longest:,}"
        )
    return {"fits": fit.fits, "kv_cache_tokens": fit.tokens, "longest_context": fit.longest}
