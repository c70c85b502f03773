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
    element where the host has no list; and where replicas are wanted, one for each of them.
    """
    if params.get("group"):
        _require_one_engine(params)
    hidden = params.get("instance_secrets") or ()
    host = {key: value for key, value in params.items() if key not in ("instances", "instance_secrets")}
    expanded = [] if params.get("instances") else _replicas(_served(host))
    for index, entry in enumerate(params.get("instances") or ()):
        given = validated({**entry, **(hidden[index] if index < len(hidden) else {})})
        one = {**host, **given}
        renamed = "served_model_name" in given or ("model" in given and not host.get("served_model_name"))
        if renamed and "container_name" not in given:
            # The host's name is that of what the host's other variables describe.
            one["container_name"] = None
        # So is the host's slot.
        one["slot"] = given.get("slot")
        expanded += _replicas(_served(one))
    if len(expanded) == 1:
        return expanded
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
            "Set container_name, or port, in each entry; replicas have the ports after that of the first."
        )
    return expanded


def _require_one_engine(params: Params) -> None:
    """Raise FleetError where a host of a group has more than the engine that it has with the others."""
    replicas = _number(params, "replicas") or 1
    found = "instances" if params.get("instances") else f"{replicas} replicas" if replicas > 1 else ""
    if found:
        raise FleetError(
            f"group: wanted one engine on each host of a group, found {found}. Leave that out, or have each host serve "
            "alone."
        )


def _replicas(one: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the engines that divide among them what one would have; each at a port of its own, from the one's on.

    The first is called as one alone would be, and has its port and its slot: so it stays when the others come or go.
    """
    count, alone = _number(one, "replicas") or 1, _number(one, "replica")
    if alone and alone > count:
        raise FleetError(f"replica: wanted one of {count} replicas, counted from 1, found {alone}.")
    if count == 1:
        return [{**one, "replica": 1}] if alone else [one]
    found = []
    for number in [alone] if alone else range(1, count + 1):
        own = {"replica": number, "port": _port(one["port"], number)}
        if number > 1 and not alone:
            # What is derived follows from port and number. Who means one of them alone names it by its own name.
            own |= {name: f"{one[name]}-{number}" for name in ("container_name", "slot") if one.get(name)}
        found.append({**one, **own})
    return found


def _number(one: Params, option: str) -> int | None:
    value = one.get(option)
    if value in (None, "") or (option == "replica" and str(value) == "0"):
        return None
    if not str(value).isdecimal() or int(value) < 1:
        raise FleetError(f"{option}: wanted a whole number of at least 1, found {value!r}.")
    return int(value)


def _port(first: Any, number: int) -> Any:
    """Return the port of a replica; what is no port is refused by who reads it."""
    return int(first) + number - 1 if str(first).strip().isdecimal() else first


def _served(one: dict[str, Any]) -> dict[str, Any]:
    """Return an engine's options with the name by which its model is served, where nobody gives one."""
    return {**one, "served_model_name": one.get("served_model_name") or served_name(str(one["model"]))}


def slot(params: Params) -> Slot:
    """Return the slot of an engine, and the name that its container is to have in it."""
    default = container_name(str(params["served_model_name"]), params.get("replica") or 1)
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
