# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's hardware shape as one word: h100x4, b200x2, a100-40gbx8, cpu."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

CPU = "cpu"

# Sizes in which one name was sold; the first, unmarked, is the one the published figures use.
_MEMORY_VARIANTS_GIB = {"a100": (80, 40)}


def family(name: str, memory_mib: int) -> str:
    """Return the short name of a GPU, as it stands in a profile.

    >>> family("NVIDIA H100 80GB HBM3", 81559)
    'h100'
    >>> family("NVIDIA A100-SXM4-40GB", 40960)
    'a100-40gb'
    """
    words = re.sub(r"^(NVIDIA|Tesla|GeForce|Quadro)\s+", "", name.strip(), flags=re.IGNORECASE)
    words = re.sub(r"^(GeForce|Tesla|Quadro)\s+", "", words, flags=re.IGNORECASE)
    short = re.split(r"[\s-]", words, maxsplit=1)[0].lower()
    if short in ("rtx", "gtx"):
        short = "-".join(words.lower().split()[:2])
    sizes = _MEMORY_VARIANTS_GIB.get(short, ())
    if sizes:
        size = min(sizes, key=lambda gib: abs(gib * 1024 - memory_mib))
        if size != sizes[0]:
            return f"{short}-{size}gb"
    return short


def profile(gpus: Iterable[Mapping[str, object]]) -> str:
    """Return the profile of a host's GPUs.

    *gpus* are mappings with ``name`` and ``memory_mib``. GPUs of several kinds give
    their parts joined by ``+``, most numerous first.
    """
    counts: dict[str, int] = {}
    for gpu in gpus:
        short = family(str(gpu["name"]), int(gpu["memory_mib"]))  # type: ignore[call-overload]
        counts[short] = counts.get(short, 0) + 1
    if not counts:
        return CPU
    return "+".join(f"{short}x{count}" for short, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def split(name: str) -> tuple[str, int]:
    """Return the family and the number of GPUs of a profile of one kind; ``("cpu", 0)`` for none.

    >>> split("h100x4")
    ('h100', 4)
    """
    if name == CPU:
        return CPU, 0
    match = re.fullmatch(r"([a-z0-9.-]+)x([1-9][0-9]*)", name)
    if match is None:
        raise ValueError(f"{name!r} is not a profile: wanted FAMILYxCOUNT, such as h100x4, or {CPU!r}")
    return match.group(1), int(match.group(2))
