# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints of a host, from its variables: the one place that derives them. All pure."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.inference.fleet.plugins.module_utils import addresses
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving.entries import expand, slot
from ansible_collections.inference.fleet.plugins.plugin_utils import groups
from ansible_collections.inference.fleet.plugins.plugin_utils.catalogue import are_entries, with_models

# What is not set for a host is not among its variables: the role's own defaults are read where they stand.
ROLE_DEFAULTS = Path(__file__).resolve().parents[2] / "roles/engine/defaults/main.yml"
# Options of the module engine, and the role's variables that set them.
OPTIONS = {
    "engine": "engine_name",
    **{
        name: f"engine_{name}"
        for name in (
            "model",
            "catalogue",
            "state",
            "served_model_name",
            "served_model_aliases",
            "task",
            "revision",
            "slot",
            "container_name",
            "port",
            "bind_address",
            "api_key",
            "cache_dir",
            "compile_cache_dir",
            "docker_host",
            "replicas",
            "replica",
            "instances",
        )
    },
}

EXTERNAL_ADDRESS = "engine_external_address"
# What ``-e model=NAME`` sets, for short, of hosts however their inventory has it.
MODEL = "model"
# How Ansible itself reaches the host.
WAY = ("ansible_host", "ansible_connection")


def endpoints(host: str, variables: Mapping[str, Any], followers: bool = False) -> list[dict[str, Any]]:
    """Return the endpoints of a host, one for each engine that its variables describe, in their order.

    The shape is that of the lookup plugin endpoints. A host of a group has none unless it is the head; with *followers*
    its engine is told of as well, without a URL. FleetError where a variable cannot be what it has to be.
    """
    group = groups.members(host, variables)
    follows = host not in group[:1] if group else False
    if follows and not followers:
        return []
    given = {option: _value(variables, name) for option, name in OPTIONS.items()}
    given["group"] = group
    given["model"] = variables.get(MODEL) or given["model"]
    entries = given["instances"] = given["instances"] or []
    if not are_entries(entries):
        raise FleetError(f"{host}: engine_instances: wanted a list of dictionaries, found {entries!r}.")
    numbers = itertools.count()
    try:
        engines = expand(
            with_models(given),
            lambda entry: {"entry": next(numbers)} | {key: value for key, value in entry.items() if value is not None},
        )
    except FleetError as error:
        raise FleetError(f"{host}: {error}") from error
    found = [_endpoint(host, engine, address(host, variables), _is_local(variables)) for engine in engines]
    nowhere = {"url": "", "external_url": ""} if follows else {}
    return [{**each, **nowhere, "group": group} for each in _services(found, engines)]


def _services(found: Sequence[dict[str, Any]], engines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return endpoints with what several of them are one of: the slot of the first replica, which comes first."""
    service, result = "", []
    for endpoint, engine in zip(found, engines, strict=True):
        number = engine.get("replica") or 1
        service = endpoint["slot"] if number == 1 else service or endpoint["slot"]
        several = {"service": service, "replica": number, "replicas": int(engine.get("replicas") or 1)}
        result.append({**endpoint, **several, "entry": engine.get("entry", 0)})
    return result


def address(host: str, variables: Mapping[str, Any]) -> str:
    """Return where other machines reach a host."""
    return str(variables.get(EXTERNAL_ADDRESS) or variables.get("ansible_host") or host)


def _is_local(variables: Mapping[str, Any]) -> bool:
    return variables.get("ansible_connection") == "local"


def _endpoint(host: str, engine: Mapping[str, Any], host_address: str, local: bool) -> dict[str, Any]:
    port = _port(host, engine["port"])
    bound = addresses.normal(_text(engine["bind_address"]))
    url = addresses.url(bound, port)
    # Of a host with a local connection the control host is no other machine.
    external = url if local else addresses.external_url(bound, port, host_address)
    served = _text(engine["served_model_name"])
    place = slot({**engine, "slot": _text(engine["slot"]), "container_name": _text(engine["container_name"])})
    return {
        "host": host,
        "name": place.container,
        "slot": place.name,
        "engine": _text(engine["engine"]),
        "url": url,
        "external_url": external or "",
        "address": addresses.LOOPBACK if local else host_address,
        "port": port,
        "bind_address": bound,
        "api_key": _text(engine["api_key"]),
        "model": _text(engine["model"]),
        "revision": _text(engine["revision"]),
        "served_model_name": served,
        "served_model_names": list(dict.fromkeys([served, *map(_text, _list(host, engine["served_model_aliases"]))])),
        "task": _text(engine["task"]),
        "cache_dir": _text(engine["cache_dir"]),
        "compile_cache_dir": _text(engine["compile_cache_dir"]),
        "docker_host": _text(engine["docker_host"]),
    }


def _value(variables: Mapping[str, Any], name: str) -> Any:
    value = variables.get(name)
    return _defaults().get(name) if value is None else value


@functools.cache
def _defaults() -> dict[str, Any]:
    """Return the role's defaults but those that follow from others, which expand works out."""
    read = yaml.safe_load(ROLE_DEFAULTS.read_text(encoding="utf-8"))
    return {name: value for name, value in read.items() if "{{" not in str(value)}


def _port(host: str, value: Any) -> int:
    number = int(str(value)) if str(value).strip().isdecimal() else 0
    if not 0 < number < 65536:
        raise FleetError(f"{host}: engine_port: wanted a port from 1 to 65535, found {value!r}.")
    return number


def _list(host: str, value: Any) -> list[Any]:
    if value in (None, ""):
        return []
    if not isinstance(value, (list, tuple)):
        raise FleetError(f"{host}: engine_served_model_aliases: wanted a list of names, found {value!r}.")
    return list(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def templated(
    variables: Mapping[str, Any], template: Callable[[Any], Any], inventory: Mapping[str, Any]
) -> dict[str, Any]:
    """Return of a task's variables those that endpoints reads, with what they are made of worked out.

    Where the host is and how it is reached is the inventory's word alone: in a task that is delegated, Ansible puts the
    other host's way there under the same names.
    """
    names = (*OPTIONS.values(), EXTERNAL_ADDRESS, groups.GROUP, MODEL)
    own = {name: template(variables[name]) for name in names if name in variables}
    return {**own, **{name: inventory[name] for name in WAY if name in inventory}}
