# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines of a host, from the host's options and a list of what each engine has of its own. All pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan, slots
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import Slot
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.models.model import served_name
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import container_name

Params = Mapping[str, Any]


def expand(params: Params, validated: Callable[[Params], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the options of each engine: what its entry gives, and the host's for the rest.

    *validated* returns an entry with its values in the types of their options, or raises FleetError. The result has one
    element where the host has no list.
    """
    entries, hidden = params.get("instances") or (), params.get("instance_secrets") or ()
    host = {key: value for key, value in params.items() if key not in ("instances", "instance_secrets")}
    if not entries:
        return [_served(host)]
    expanded = []
    for index, entry in enumerate(entries):
        given = validated({**entry, **(hidden[index] if index < len(hidden) else {})})
        one = {**host, **given}
        renamed = "served_model_name" in given or ("model" in given and not host.get("served_model_name"))
        if renamed and "container_name" not in given:
            # The host's name is that of what the host's other variables describe.
            one["container_name"] = None
        # So is the host's slot.
        one["slot"] = given.get("slot")
        expanded.append(_served(one))
    names = [name_of(one) for one in expanded]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FleetError(
            f"instances: wanted a container_name of its own for each engine of a host, found {', '.join(twice)} more "
            "than once. Set container_name, or served_model_name, in each entry."
        )
    places = [slot(one).name for one in expanded]
    twice = sorted({place for place in places if places.count(place) > 1})
    if twice:
        raise FleetError(
            f"instances: wanted a slot of its own for each engine of a host, found {', '.join(twice)} more than once. "
            "Set container_name, or port, in each entry."
        )
    return expanded


def _served(one: dict[str, Any]) -> dict[str, Any]:
    """Return an engine's options with the name by which its model is served, where nobody gives one."""
    return {**one, "served_model_name": one.get("served_model_name") or served_name(str(one["model"]))}


def slot(params: Params) -> Slot:
    """Return the slot of an engine, and the name that its container is to have in it."""
    default = container_name(str(params["served_model_name"]))
    return slots.slot(params.get("slot"), params["container_name"], default, params["port"])


def name_of(params: Params) -> str:
    """Return the name of an engine's container."""
    return slot(params).container


def serves(params: Params) -> bool:
    """Tell whether an engine is to serve."""
    return params["state"] in (plan.PRESENT, plan.RESTARTED)


def siblings(instances: Sequence[Params], one: Params) -> list[Slot]:
    """Return the slots of the other engines of a task."""
    return [slot(other) for other in instances if other is not one]
