# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a model has room in the memory of GPUs, with the arithmetic. All pure.

Held against what vLLM 0.22.1 said of Qwen3-Coder-Next in FP8 on an H200: see the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.models import architecture

# What vLLM takes of a GPU's memory by default; SGLang takes about as much.
SHARE = 0.9
# For activations and CUDA graphs on each GPU, in GiB, and the least share for KV cache.
WORKING_GIB = 2.0
KV_SHARE = 0.05


def for_weights(each_gib: float, gpus: int, share: float = SHARE) -> float:
    """Return the GiB that GPUs have for weights together, where a little is left for KV cache."""
    return gpus * (each_gib * share * (1 - KV_SHARE) - WORKING_GIB)


def for_cache(each_gib: float, gpus: int, weights_gib: float, share: float = SHARE) -> float:
    """Return the GiB that each of GPUs has for KV cache beside its part of the weights; below 0 where it has none."""
    return each_gib * share - WORKING_GIB - weights_gib / gpus


def needed(weights_gib: float, each_gib: float, share: float = SHARE, most: int = 64) -> int | None:
    """Return how many GPUs hold weights, doubled from one on, as heads are divided; ``None`` beyond *most*."""
    count = 1
    while for_weights(each_gib, count, share) < weights_gib:
        count *= 2
        if count > most:
            return None
    return count


@dataclass(frozen=True)
class Fit:
    """What becomes of a model on GPUs among which it is divided.

    C(cache_gib) is the room for KV cache on each GPU, C(tokens) how many tokens it holds at once, in requests of
    C(context) tokens, and C(longest) the longest request. The last three are ``None`` where the KV cache is not known.
    """

    weights_gib: float
    cache_gib: float
    context: int | None = None
    request_gib: float | None = None
    tokens: int | None = None
    longest: int | None = None

    @property
    def fits(self) -> bool:
        """Whether the weights do, and one request as long as the context."""
        if self.cache_gib <= 0:
            return False
        return self.request_gib is None or self.request_gib <= self.cache_gib


def fit(
    config: Mapping[str, Any] | None,
    weights_gib: float,
    each_gib: float,
    tensor: int,
    pipeline: int = 1,
    share: float = SHARE,
    context: int | None = None,
    dtype: str = "auto",
) -> Fit:
    """Return what becomes of a model with such a config.json on GPUs of *each_gib*.

    Layers that are divided by *pipeline* keep their cache apart. *context* is the longest that is to be served, the
    model's own where it is not given.
    """
    room = for_cache(each_gib, tensor * pipeline, weights_gib, share)
    kept = architecture.cache(config, dtype) if config else None
    length = context or (architecture.context(config) if config else None)
    if kept is None or not length:
        return Fit(weights_gib, room, length)
    have = max(room, 0) * 2**30 * pipeline
    request = kept.bytes(length, tensor)
    return Fit(
        weights_gib,
        room,
        length,
        request / pipeline / 2**30,
        int(have / request * length),
        min(kept.longest(have, tensor), architecture.context(config or {}) or length),
    )
