# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts about a model that a deployment needs, as the controller hands them over. All pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

# The parallel sizes of a shape, by the names of the options.
SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
EXPERTS = "expert_parallel"


@dataclass(frozen=True)
class Model:
    """One model of the hub, in one precision. What is not known is ``None`` or empty.

    ``entry`` is its name in the catalogue. ``memory_gb`` is what serving it takes of GPU memory, in GB of 10^9 bytes,
    ``weights_gib`` the size of its files. ``engines`` has, by engine, the parsers and the version from which it serves
    the model. ``settings`` are arguments and environment, each under the conditions that it names. ``shapes`` are
    parallel sizes that are known to work on a kind of GPU, or to fail. ``gpus`` are kinds that its precision is for,
    where it is not for all. ``variants`` are the model's other precisions.
    ``speculative_decoding`` is what speeds it up for who asks for it, by engine.
    """

    id: str = ""
    entry: str | None = None
    precision: str | None = None
    served_model_name: str | None = None
    trust_remote_code: bool = False
    weights_gib: float | None = None
    memory_gb: float | None = None
    context: int | None = None
    engines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: Sequence[Mapping[str, Any]] = ()
    shapes: Sequence[Mapping[str, Any]] = ()
    gpus: Sequence[str] = ()
    variants: Sequence[Mapping[str, Any]] = ()
    speculative_decoding: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Model:
        """Return the model of facts that were handed over."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in facts.items() if name in known and value is not None})

    def parser(self, engine: str, kind: str) -> str | None:
        """Return an engine's parser; *kind* is ``tool_call_parser`` or ``reasoning_parser``."""
        return (self.engines.get(engine) or {}).get(kind)

    def oldest(self, engine: str) -> str | None:
        """Return the version of an engine from which it serves the model."""
        return (self.engines.get(engine) or {}).get("from")

    def arguments(self, engine: str, family: str) -> dict[str, Any]:
        """Return an engine's arguments on a kind of GPU: a flag, and its value, or True for a switch."""
        return self._set("arguments", engine, family)

    def environment(self, engine: str, family: str) -> dict[str, str]:
        """Return an engine's environment on a kind of GPU."""
        return {name: str(value) for name, value in self._set("environment", engine, family).items()}

    def _set(self, what: str, engine: str, family: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for rule in self.settings:
            if self._holds(rule, engine, family):
                found |= rule.get(what) or {}
        return found

    def _holds(self, rule: Mapping[str, Any], engine: str, family: str) -> bool:
        return (
            rule.get("engine") in (None, engine)
            and (not rule.get("gpus") or family in rule["gpus"])
            and (not rule.get("precisions") or self.precision in rule["precisions"])
        )

    def shape(self, engine: str, family: str) -> dict[str, Any] | None:
        """Return the parallel sizes that are known to work: those of a kind of GPU, else of any."""
        fit = [
            shape
            for shape in self.shapes
            if not shape.get("fails") and shape.get("engine") in (None, engine) and shape.get("gpu") in (None, family)
        ]
        found = next((shape for shape in fit if shape.get("gpu")), None) or next(iter(fit), None)
        return sizes(found) if found else None

    def fails(self, engine: str, family: str, given: Mapping[str, Any]) -> str | None:
        """Return why parallel sizes are known to fail, ``None`` where they are not."""
        asked = sizes(given)
        for shape in self.shapes:
            there = shape.get("engine") in (None, engine) and shape.get("gpu") in (None, family)
            if shape.get("fails") and there and sizes(shape) == asked:
                return str(shape["fails"])
        return None

    def needed(self, engine: str, family: str, memory_mib: float | None) -> dict[str, Any] | None:
        """Return the parallel sizes for a kind of GPU: known ones, else the fewest GPUs that have the memory it takes.

        ``None`` where neither is known.
        """
        known = self.shape(engine, family)
        if known or not (self.memory_gb and memory_mib):
            return known
        count = 1
        while count * memory_mib * 2**20 < self.memory_gb * 10**9 or self.fails(
            engine, family, {"tensor_parallel_size": count}
        ):
            # Heads, of which there are powers of two and multiples of these, have to be divided.
            count *= 2
            if count > _MOST:
                return None
        return sizes({"tensor_parallel_size": count})

    def made_for(self, family: str) -> bool:
        """Tell whether the precision was made for a kind of GPU; others may have to emulate it, or refuse."""
        return not self.gpus or family in self.gpus

    def smaller(self, engine: str, family: str, memory_mib: float | None, count: int) -> list[str]:
        """Return the names of the model's other precisions that so many GPUs hold."""
        names = []
        for variant in self.variants:
            other = Model.of({**variant, "engines": self.engines})
            needs = other.needed(engine, family, memory_mib)
            if needs and gpus(needs) <= count and other.made_for(family):
                names.append(str(variant["served_model_name"]))
        return names


_MOST = 64


def sizes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parallel sizes with the ones that are not given."""
    return {**{name: int(given.get(name) or 1) for name in SIZES}, EXPERTS: bool(given.get(EXPERTS))}


def gpus(shape: Mapping[str, Any]) -> int:
    """Return the number of GPUs that a shape takes."""
    count = 1
    for name in SIZES:
        count *= int(shape.get(name) or 1)
    return count


def served_name(model: str) -> str:
    """Return the name by which a model is served where nobody gives one: the last of its own name, in small letters.

    >>> served_name("openai/gpt-oss-120b"), served_name("/models/Tiny/")
    ('gpt-oss-120b', 'tiny')
    """
    return model.rstrip("/").rpartition("/")[2].lower()


def is_older(version: str, oldest: str) -> bool:
    """Tell whether a version is older than another, by the numbers that they begin with.

    >>> is_older("v0.9.2", "0.10.0"), is_older("0.10.0rc1", "0.10.0"), is_older("latest", "0.10.0")
    (True, False, False)
    """
    found, wanted = (re.match(r"v?(\d+(?:\.\d+)+)", text) for text in (version, oldest))
    if not (found and wanted):
        return False
    return tuple(map(int, found.group(1).split("."))) < tuple(map(int, wanted.group(1).split(".")))
