# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model's config.json tells of it: what is divided among GPUs, and what a token takes of KV cache. All pure.

Sources: the configurations of vLLM 0.32.0 (transformers_utils, v1/kv_cache_interface.py and v1/core/kv_cache_utils.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_FULL, _SLIDING, _LINEAR = "full", "sliding", "linear"
_KINDS = {
    "full_attention": _FULL,
    "attention": _FULL,
    "sliding_attention": _SLIDING,
    "chunked_attention": _SLIDING,
    "linear_attention": _LINEAR,
    "mamba": _LINEAR,
}
# Of Nemotron-H's pattern, a letter a layer: the others have no cache.
_LETTERS = {"*": _FULL, "M": _LINEAR}
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "fp8": 1}
# Tokens of a block are a multiple of this, in vLLM.
_BLOCK = 16
# DeepSeek's sparse attention keeps a key of 8 bits a number, and a scale of 4 bytes, for its index.
_INDEX_SCALE = 4


@dataclass(frozen=True)
class Shape:
    """What of a model is divided among GPUs; ``None`` and empty where its config.json does not tell.

    C(heads) are (what, number); C(kv_heads) may also be repeated on several GPUs. C(expert) is the size of each expert
    between its two matrices, and C(block) the blocks in which weights are quantised.
    """

    heads: tuple[tuple[str, int], ...] = ()
    kv_heads: int | None = None
    expert: int | None = None
    block: tuple[int, int] | None = None


@dataclass(frozen=True)
class Cache:
    """What a model keeps of each request.

    C(full), C(sliding) and C(linear) are numbers of layers. A layer with attention keeps C(per_head) bytes a token for
    each of C(heads) key-value heads, or C(latent) bytes a token that no GPU has a part of, and one with a sliding
    window no more than C(window) tokens of it. A layer with linear attention keeps C(state) bytes a request,
    however long.
    """

    full: int
    sliding: int = 0
    linear: int = 0
    heads: int = 0
    per_head: float = 0
    latent: float = 0
    window: int = 0
    state: float = 0

    def per_token(self, tensor: int = 1) -> float:
        """Return the bytes of a token, in a layer with attention, on each of the GPUs that divide the layer."""
        return self.latent or math.ceil(self.heads / tensor) * self.per_head

    def block(self, tensor: int = 1) -> int:
        """Return the tokens of a block: those whose cache in a layer is as large as a state of linear attention."""
        if not (self.linear and self.full):
            return _BLOCK
        return max(_BLOCK, math.ceil(self.state / tensor / self.per_token(tensor) / _BLOCK) * _BLOCK)

    def bytes(self, context: int, tensor: int = 1) -> float:
        """Return the bytes on each GPU of a request of so many tokens, in whole blocks.

        States of linear attention lie in blocks too, a layer of theirs beside one with attention.
        """
        block, each = self.block(tensor), self.per_token(tensor)
        blocks = math.ceil(context / block)
        seen = math.ceil(min(context, self.window) / block) if self.window else blocks
        attention = (self.full * blocks + self.sliding * seen) * block * each
        if not self.linear:
            return attention
        if not self.full:
            return attention + self.linear * self.state / tensor
        return attention + math.ceil(self.linear / self.full) * self.full * block * each

    def longest(self, room: float, tensor: int = 1, most: int = 2**24) -> int:
        """Return the longest request that so many bytes on each GPU hold, 0 where they hold none."""
        block = self.block(tensor)
        least, beyond = 0, most // block + 1
        while beyond - least > 1:
            middle = (least + beyond) // 2
            if self.bytes(middle * block, tensor) <= room:
                least = middle
            else:
                beyond = middle
        return least * block


def shape(config: Mapping[str, Any]) -> Shape:
    """Read a model's config.json, in which one that also sees or hears has its text model's sizes apart."""
    text = _text(config)
    kinds = (
        ("attention heads", "num_attention_heads"),
        ("key heads of linear attention", "linear_num_key_heads"),
        ("value heads of linear attention", "linear_num_value_heads"),
    )
    heads = tuple((name, count) for name, key in kinds for count in [_count(text.get(key))] if count)
    quantised = text.get("quantization_config") or config.get("quantization_config")
    block = quantised.get("weight_block_size") if isinstance(quantised, dict) else None
    pair = [_count(side) for side in block] if isinstance(block, list) else []
    # Multi-head latent attention keeps one latent vector, whatever is said of heads.
    kv_heads = None if text.get("kv_lora_rank") else _count(text.get("num_key_value_heads"))
    return Shape(
        heads,
        kv_heads,
        _count(text.get("moe_intermediate_size")),
        (pair[0], pair[1]) if len(pair) == 2 and pair[0] and pair[1] else None,
    )


def context(config: Mapping[str, Any]) -> int | None:
    """Return the longest context that a model was made for, in tokens, as an engine takes it where nobody says less."""
    return _count(_text(config).get("max_position_embeddings"))


def cache(config: Mapping[str, Any], dtype: str = "auto") -> Cache | None:
    """Return what a model keeps of each request; ``None`` where its config.json does not tell, or tells of what is new.

    *dtype* is an engine's option: auto, fp8, fp8_e4m3, bfloat16 and so on.
    """
    text = _text(config)
    kinds = _layers(text)
    # Attention that compresses tokens keeps less, in ways of its own.
    if kinds is None or text.get("compress_ratios"):
        return None
    counts = {kind: kinds.count(kind) for kind in (_FULL, _SLIDING, _LINEAR)}
    own = _BYTES.get(str(text.get("dtype") or text.get("torch_dtype") or config.get("torch_dtype") or ""), 2)
    each = 1 if dtype.startswith("fp8") else _BYTES.get(dtype, own)
    state = _state(text, own) if counts[_LINEAR] else 0
    if state is None:
        return None
    found = {
        "full": counts[_FULL],
        "sliding": counts[_SLIDING],
        "linear": counts[_LINEAR],
        "window": (_count(text.get("sliding_window")) or 0) if counts[_SLIDING] else 0,
        "state": state,
    }
    rank = _count(text.get("kv_lora_rank"))
    if rank:
        index = _count(text.get("index_head_dim"))
        latent = (rank + int(text.get("qk_rope_head_dim") or 0)) * each
        return Cache(**found, latent=latent + (index + _INDEX_SCALE if index else 0))
    heads = _count(text.get("num_key_value_heads")) or _count(text.get("num_attention_heads"))
    size = _head_size(text)
    if not (heads and size):
        return None
    # A key and a value.
    return Cache(**found, heads=heads, per_head=2 * size * each)


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def _layers(text: Mapping[str, Any]) -> list[str] | None:
    """Return the kind of each layer that keeps something."""
    pattern = text.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        return [_LETTERS[letter] for letter in pattern if letter in _LETTERS]
    count = _count(text.get("num_hidden_layers"))
    listed = text.get("layer_types")
    if isinstance(listed, list):
        return [_KINDS[kind] for kind in listed] if all(kind in _KINDS for kind in listed) else None
    if not count:
        return None
    every = _count(text.get("full_attention_interval"))
    if every and text.get("linear_num_value_heads"):
        return [_FULL if (index + 1) % every == 0 else _LINEAR for index in range(count)]
    return [_FULL] * count


def _head_size(text: Mapping[str, Any]) -> int | None:
    size = _count(text.get("head_dim"))
    hidden, heads = _count(text.get("hidden_size")), _count(text.get("num_attention_heads"))
    return size or (hidden // heads if hidden and heads else None)


def _state(text: Mapping[str, Any], own: int) -> float | None:
    """Return the bytes of a layer of linear attention: the last inputs of its convolution, and its state."""
    kept = _BYTES.get(str(text.get("mamba_ssm_dtype") or ""), own)
    keys, values = _count(text.get("linear_num_key_heads")), _count(text.get("linear_num_value_heads"))
    if keys and values:
        key, value = int(text.get("linear_key_head_dim") or 0), int(text.get("linear_value_head_dim") or 0)
        inputs = 2 * keys * key + values * value
        taps = int(text.get("linear_conv_kernel_dim") or 1) - 1
        return inputs * taps * own + values * key * value * kept
    heads, size = _count(text.get("mamba_num_heads")), _count(text.get("mamba_head_dim"))
    width = _count(text.get("ssm_state_size"))
    if not (heads and size and width):
        return None
    inputs = heads * size + 2 * int(text.get("n_groups") or 1) * width
    return inputs * (int(text.get("conv_kernel") or 1) - 1) * own + heads * size * width * kept


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
