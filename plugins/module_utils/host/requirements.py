# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image asks of the driver and the GPUs, as the NVIDIA container toolkit checks it. All pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# What the toolkit takes for yes.
_TRUE = ("1", "t", "T", "true", "TRUE", "True")


def requirements(image: Mapping[str, Any] | None, environment: Mapping[str, str]) -> list[str]:
    """Return what an image asks of driver and GPUs, in NVIDIA's words, as C(cuda>=12.8 brand=tesla,driver>=535).

    The container's variables come before the image's. With NVIDIA_DISABLE_REQUIRE nobody checks any of it.
    """
    own = ((image or {}).get("Config") or {}).get("Env") or ()
    variables = {**{name: text for name, _sign, text in (item.partition("=") for item in own)}, **environment}
    if variables.get("NVIDIA_DISABLE_REQUIRE", "") in _TRUE:
        return []
    return [text for name, text in sorted(variables.items()) if name.startswith("NVIDIA_REQUIRE_") and text.split()]


def satisfied(requirement: str, cuda: str | None, driver: str | None, brand: str | None = None) -> bool:
    """Tell whether a driver and a GPU meet a requirement: one of its words, each of whose parts holds.

    Parts about what is not known are taken as met. Source: the NVIDIA container toolkit's documentation.

    >>> satisfied("cuda>=12.8 brand=tesla,driver>=535,driver<536", "12.2", "535.183.01", "Tesla")
    True
    >>> satisfied("cuda>=12.8 brand=tesla,driver>=535,driver<536", "12.2", "535.183.01", "GeForce")
    False
    """
    facts = {"cuda": cuda, "driver": driver, "brand": "".join(brand.lower().split()) if brand else None}
    return not requirement.split() or any(
        all(_holds(part, facts) for part in word.split(",")) for word in requirement.split()
    )


def _holds(part: str, facts: Mapping[str, str | None]) -> bool:
    match = re.fullmatch(r"(cuda|driver|brand)(>=|<=|!=|=|<|>)([\w.]+)", part)
    found = facts[match.group(1)] if match else None
    if match is None or found is None:
        return True
    name, operator, wanted = match.groups()
    if name == "brand":
        return (found == wanted.lower()) != (operator == "!=")
    # 535 means the whole branch: no more numbers are compared than are wanted.
    theirs = _numbers(wanted)
    ours = _numbers(found)[: len(theirs)]
    return {
        ">=": ours >= theirs,
        "<=": ours <= theirs,
        ">": ours > theirs,
        "<": ours < theirs,
        "=": ours == theirs,
        "!=": ours != theirs,
    }[operator]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
