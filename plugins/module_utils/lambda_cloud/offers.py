# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be rented: types, their prices, and where they are free now. Capacity that is listed is not reserved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api

IN_ORDER, BY_PRICE = "order", "price"


@dataclass(frozen=True)
class Offer:
    """A type of instance: ``regions`` are those that have one free now."""

    name: str
    description: str
    hourly_usd: float
    gpus: int
    gpu_description: str
    vcpus: int
    memory_gib: int
    storage_gib: int
    regions: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """Return it as a module's result."""
        return {**vars(self), "regions": list(self.regions)}


def offers(api: Api) -> dict[str, Offer]:
    """Return every type by its name."""
    return {name: _offer(item) for name, item in api.get("instance-types").items()}


def _offer(item: Mapping[str, Any]) -> Offer:
    kind = item["instance_type"]
    specs = kind["specs"]
    return Offer(
        name=kind["name"],
        description=kind["description"],
        hourly_usd=kind["price_cents_per_hour"] / 100,
        gpus=specs["gpus"],
        gpu_description=kind["gpu_description"],
        vcpus=specs["vcpus"],
        memory_gib=specs["memory_gib"],
        storage_gib=specs["storage_gib"],
        regions=tuple(sorted(region["name"] for region in item["regions_with_capacity_available"])),
    )


def known(found: Mapping[str, Offer], types: Iterable[str]) -> list[Offer]:
    """Return the offers of types, in their order; FleetError where Lambda has no such type."""
    missing = [name for name in types if name not in found]
    if missing:
        raise FleetError(f"Lambda has no instance type {', '.join(missing)}. It has: {', '.join(sorted(found))}.")
    return [found[name] for name in types]


def places(wanted: Sequence[Offer], regions: Sequence[str], order: str) -> list[tuple[Offer, str]]:
    """Return where a launch may be tried now: types in the user's order or the cheapest first, then regions.

    Without *regions* every region will do.
    """
    ordered = sorted(wanted, key=lambda each: each.hourly_usd) if order == BY_PRICE else list(wanted)
    return [(each, region) for each in ordered for region in (regions or each.regions) if region in each.regions]
