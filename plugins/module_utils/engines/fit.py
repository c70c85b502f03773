# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tensor parallel sizes a model's own sizes allow: the engines fail on others, after minutes. All pure.

Sources: the checks of vLLM 0.32.0 (config/model.py, fused_moe/oracle/fp8.py) and of SGLang 0.5.23
(model_runner_components/moe_ep_setup.py, layers/quantization/fp8.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import Parallel
from ansible_collections.inference.fleet.plugins.module_utils.models.architecture import Shape, shape


def misfit(
    config: Mapping[str, Any], spread: Parallel, most: int, whole_experts: str, finest: int | None = None
) -> str | None:
    """Return, in a sentence, why a model cannot be spread so, with the tensor parallel sizes that can on *most* GPUs.

    *whole_experts* is the flag that has whole experts on each GPU; *finest* the smallest block in which the engine can
    store quantised weights anew, where it can.
    """
    sizes = shape(config)
    reasons = _reasons(sizes, spread, finest)
    if not reasons:
        return None
    fit = [
        size
        for size in range(1, most + 1)
        for other in [spread._replace(tensor=size)]
        if other.gpus <= most and not _reasons(sizes, other, finest)
    ]
    apart = spread._replace(experts=True)
    advice = [f"Set tensor_parallel_size to one that fits: {_listed(fit)}"] if fit else ["Choose another model"]
    if sizes.block and not spread.experts and not _reasons(sizes, apart, finest):
        advice.append(f"or add {whole_experts} to extra_args, which has whole experts on each GPU")
    return f"tensor parallel size: wanted {spread.tensor}, found that {' and '.join(reasons)}. {'; '.join(advice)}."


def _reasons(sizes: Shape, spread: Parallel, finest: int | None) -> list[str]:
    # Groups of attention share the GPUs of one copy: each is divided among its own.
    among = max(1, spread.tensor // spread.attention)
    reasons = [
        f"the model's {count} {name} cannot be divided among {among}" for name, count in sizes.heads if count % among
    ]
    kv = sizes.kv_heads
    if kv and not reasons and kv % among and among % kv:
        reasons.append(f"the model's {kv} key-value heads can neither be divided among {among} nor repeated on them")
    if sizes.expert and sizes.block and not spread.experts and spread.tensor > 1:
        part = sizes.expert / spread.tensor
        if any(part % side for side in sizes.block) and not _finer(sizes.block, part, finest):
            reasons.append(
                f"each GPU would have {part:g} of an expert's {sizes.expert} columns, which are quantised in blocks of "
                f"{sizes.block[0]}"
            )
    return reasons


def _finer(block: tuple[int, int], part: float, finest: int | None) -> bool:
    return finest is not None and part == int(part) and math.gcd(*block, int(part)) >= finest


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
