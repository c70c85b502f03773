# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's hardware shape as one word: h100x4, b200x2, a100-40gbx8, rtx-pro-6000x2, cpu."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

CPU = "cpu"

# Sizes in which one name was sold; the first, unmarked, is the one the published figures use, or the commonest.
_MEMORY_VARIANTS_GIB = {
    "a100": (80, 40, 64),
    "a800": (80, 40),
    "h100": (80, 64, 94, 96),
    "h20": (96, 141),
    "gh200": (96, 144),
    "v100": (16, 32),
    "p100": (16, 12),
    "rtx-3060": (12, 8),
    "rtx-3080": (10, 12),
    "rtx-4060-ti": (8, 16),
    "rtx-5060-ti": (8, 16),
}
# What nvidia-smi tells of the memory of one GPU, in MiB.
MEMORY_MIB = {
    "b200": 183359,
    "h200": 143771,
    "h100": 81559,
    "a100": 81920,
    "a100-40gb": 40960,
    "rtx-pro-6000-server": 97887,
    "l40s": 46068,
    "a10": 23028,
    "l4": 23034,
}
# Cards of these lines are told apart by all of their name, and not by its first word.
_LINES = ("rtx", "gtx", "titan", "quadro")
# What a name has besides what tells a kind from another.
_NOISE = {"nvidia", "tesla", "geforce", "gpu", "generation", "edition", "blackwell", "workstation"}


def family(name: str, memory_mib: int | None) -> str:
    """Return the short name of a GPU, as it stands in a profile. Some have no memory of their own to tell.

    >>> family("NVIDIA H100 80GB HBM3", 81559)
    'h100'
    >>> family("NVIDIA A100-SXM4-40GB", 40960)
    'a100-40gb'
    >>> family("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887), family("NVIDIA GB10", None)
    ('rtx-pro-6000-server', 'gb10')
    """
    words = [word for word in name.lower().split() if word not in _NOISE and not re.fullmatch(r"\d+gb", word)]
    short = "-".join(words) if words[:1] and words[0] in _LINES else re.split("-", words[0] if words else "gpu")[0]
    sizes = _MEMORY_VARIANTS_GIB.get(short, ())
    if sizes and memory_mib:
        size = min(sizes, key=lambda gib: abs(gib * 1024 - memory_mib))
        if size != sizes[0]:
            return f"{short}-{size}gb"
    return short


def part(parent: str, slice_name: str) -> str:
    """Return the family of what MIG makes of a GPU: another kind than the whole one.

    >>> part("h100", "1g.10gb")
    'h100-1g.10gb'
    """
    return f"{parent}-{slice_name.lower()}"


def profile(gpus: Iterable[Mapping[str, object]]) -> str:
    """Return the profile of a host's GPUs.

    *gpus* are mappings with ``name`` and ``memory_mib``, which may be ``None``. GPUs of several kinds give their parts
    joined by ``+``, most numerous first.
    """
    counts: dict[str, int] = {}
    for gpu in gpus:
        memory = gpu["memory_mib"]
        short = family(str(gpu["name"]), int(memory) if memory else None)  # type: ignore[call-overload]
        counts[short] = counts.get(short, 0) + 1
    return joined(counts)


def joined(counts: Mapping[str, int]) -> str:
    """Return the profile of so many GPUs of each family."""
    if not counts:
        return CPU
    return "+".join(f"{short}x{count}" for short, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def grouped(names: Sequence[str]) -> str:
    """Return the profile of hosts that serve one model together, from that of each; no single host has it.

    >>> grouped(["h100x8", "h100x8"]), grouped(["h100x8", "a100x8"])
    ('2xh100x8', 'h100x8/a100x8')
    """
    return f"{len(names)}x{names[0]}" if len(set(names)) == 1 else "/".join(names)


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
