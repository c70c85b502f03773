# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several engines of one model that are measured as one service. All pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import configuration

Engine = Mapping[str, Any]


def engines(first: Engine | None, replicas: Sequence[Mapping[str, Any]]) -> list[Engine]:
    """Return each engine that is measured, as engine_info tells it; an empty one where nothing is known of it."""
    return [first or {}, *(item.get("engine") or {} for item in replicas)]


def together(every: Sequence[Engine]) -> Engine | None:
    """Return what engines are together: the first, with the GPUs and the profile of all, and their number."""
    first = every[0]
    if len(every) == 1:
        return first or None
    family, count = profiles.split(first.get("profile") or profiles.CPU)
    return {
        **first,
        "profile": f"{family}x{count * len(every)}" if count else first.get("profile"),
        "gpus": [gpu for engine in every for gpu in engine.get("gpus") or ()],
        "replicas": len(every),
    }


def require_spreading(client: ModuleType, replicas: Sequence[Any]) -> None:
    """Raise FleetError for a client that sends all its requests to one endpoint, where there are several."""
    if replicas and not getattr(client, "SPREADS", False):
        raise FleetError(
            f"replicas: wanted a client that spreads its requests over {len(replicas) + 1} endpoints, which aiperf "
            f"does, found {client.NAME}. Set client to aiperf; or measure a gateway in front of them, by its url."
        )


def require_alike(every: Sequence[Engine]) -> None:
    """Raise FleetError for engines of which one runs otherwise than the first: they are not one service."""
    first, others = every[0], every[1:]

    def runs(engine: Engine) -> Any:
        image = engine.get("image") or {}
        known = image.get("id"), engine.get("profile"), engine.get("simulates"), engine.get("model")
        return (*known, configuration(engine.get("argv") or (), engine.get("environment") or {}))

    unlike = [str(engine.get("name")) for engine in others if engine and first and runs(engine) != runs(first)]
    if unlike:
        raise FleetError(
            f"replicas: wanted engines that run alike, found that {', '.join(unlike)} has another image, other "
            f"arguments or other GPUs than {first.get('name')}. Deploy them, then run again."
        )
