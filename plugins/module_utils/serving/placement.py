# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which GPUs an engine takes: a hardware shape, and how many of them hold one copy of the model."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ALL_GPUS, Gpus
from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import command, gpus
from ansible_collections.inference.fleet.plugins.module_utils.models import model as known_model
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request


@dataclass(frozen=True)
class Placement:
    """A profile, a tensor parallel size, and the GPUs to ask for; none on a CPU."""

    profile: str
    tensor_parallel_size: int
    gpus: Gpus | None


def placement(request: Request, found: Sequence[Mapping[str, Any]]) -> Placement:
    """Return where a request is placed on a host with the GPUs *found* (``name``, ``memory_mib``). Pure.

    What the user gives is taken as given. Otherwise the profile is what the GPUs are, and the size is what the model is
    known to need of them, or all of them. Raises :class:`FleetError` where it does not fit.
    """
    profile = request.profile or profiles.profile(found)
    try:
        family, count = profiles.split(profile)
    except ValueError as error:
        if request.profile:
            raise FleetError(str(error)) from error
        raise FleetError(
            f"the host has GPUs of several kinds ({profile}). "
            "Say which the engine takes: gpus, and profile for their kind."
        ) from error
    if request.gpus:
        count = len(request.gpus)
    if profile == profiles.CPU:
        return Placement(profile, request.tensor_parallel_size or 1, None)
    needed = known_model(request.model).gpus.get(family)
    size = request.tensor_parallel_size or (needed if needed and needed <= count else None)
    if size is None:
        if needed:
            raise FleetError(
                f"{request.model} needs {needed} GPUs of kind {family}, and the engine would have {count}. "
                "Take a host with more, or set tensor_parallel_size if you know that it fits."
            )
        size = count
    if size > count:
        raise FleetError(f"tensor_parallel_size is {size}, and the engine would have {count} GPUs ({profile}).")
    if request.gpus:
        # A part of a host's GPUs is a profile of its own.
        return Placement(request.profile or f"{family}x{count}", size, Gpus(device_ids=tuple(sorted(request.gpus))))
    if size == count and len(found) <= count:
        return Placement(profile, size, ALL_GPUS)
    # The rest of the GPUs stays free for other engines.
    return Placement(f"{family}x{size}", size, Gpus(device_ids=_first(size, family, found)))


def _first(size: int, family: str, found: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the indices of the first GPUs of a family; of those that no look has found, the first numbers."""
    indices = [
        str(gpu.get("index", position))
        for position, gpu in enumerate(found)
        if profiles.family(gpu["name"], gpu["memory_mib"]) == family
    ]
    return tuple(indices[:size] if len(indices) >= size else map(str, range(size)))


def found_gpus(request: Request) -> Sequence[Mapping[str, Any]]:
    """Ask the host for its GPUs, where something is to be derived from them.

    A profile that is set by hand tells enough where the driver does not answer; else that raises :class:`FleetError`.
    """
    if ENGINES[request.engine].SIMULATED or (request.gpus and request.profile) or request.profile == profiles.CPU:
        return []
    found = query()
    if found.error and not request.profile:
        raise FleetError(
            f"nvidia-smi does not tell the host's GPUs: {found.error}. Mend the driver, or set profile by hand."
        )
    return found.gpus


@functools.lru_cache(maxsize=1)
def query() -> gpus.Gpus:
    """Ask for the GPUs once, for however many engines: each answer may take seconds."""
    return gpus.query(command.run)
