# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The map files of a gateway: what HAProxy looks up at each request, and what can change while it runs. All pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.gateway import routes
from ansible_collections.inference.fleet.plugins.module_utils.gateway.spec import Client, Pool

ROUTES = "routes.map"
# A model's name → its back end, and → itself as an object.
MODELS = "models.map"
OBJECTS = "objects.map"
# The SHA-256 of a key → its client.
KEYS = "keys.map"
# Client → what it may.
EXPIRES = "expires.map"
RATES = "rates.map"
CONCURRENT = "concurrent.map"
LISTS = "lists.map"
# Client/model → 1.
ALLOWED = "allowed.map"
OF_CLIENTS = (KEYS, EXPIRES, RATES, CONCURRENT, LISTS, ALLOWED)

Map = dict[str, str]


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def of_pools(pools: Iterable[Pool], objects: Mapping[str, Any]) -> dict[str, Map]:
    """Return the maps that follow from the engines; *objects* are their models as clients see them."""
    models = {model: pool.name for pool in pools for model in pool.models}
    return {
        ROUTES: {f"{method}:{path}": name for (method, path), name in routes.ROUTES.items()},
        MODELS: models,
        OBJECTS: {model: _compact(objects[model]) for model in models},
    }


def of_clients(clients: Iterable[Client], objects: Mapping[str, Any]) -> dict[str, Map]:
    """Return the maps that follow from the clients. They alone change while HAProxy runs.

    *objects* are the models as clients see them, by name.
    """
    found: dict[str, Map] = {name: {} for name in OF_CLIENTS}
    for client in clients:
        may = sorted(model for model in objects if not client.models or model in client.models)
        found[KEYS][client.key_sha256] = client.name
        found[LISTS][client.name] = _compact(routes.model_list([objects[model] for model in may]))
        found[ALLOWED].update({f"{client.name}/{model}": "1" for model in may})
        for name, number in (
            (EXPIRES, client.expires),
            (RATES, client.requests_per_minute),
            (CONCURRENT, client.concurrent_requests),
        ):
            if number:
                found[name][client.name] = str(number)
    return found


def text(entries: Mapping[str, str]) -> str:
    """Return a map as its file has it, in one order."""
    return "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))


def parsed(content: str) -> Map:
    """Return a map from its file.

    >>> parsed(text({"a": "b c"}))
    {'a': 'b c'}
    """
    return dict(line.split(" ", 1) for line in content.splitlines() if line.strip() and not line.startswith("#"))


def changes(directory: str, before: Mapping[str, Map], after: Mapping[str, Map]) -> list[str]:
    """Return the commands of HAProxy's socket that make the maps of clients that are in use others.

    Keys that go go first and keys that come come last, so that nobody may for a moment what neither side allows.
    """
    going, between, coming = [], [], []
    for name in OF_CLIENTS:
        path, old, new = f"{directory}/{name}", before.get(name, {}), after.get(name, {})
        (going if name == KEYS else between).extend(f"del map {path} {key}" for key in sorted(old.keys() - new.keys()))
        for key, value in sorted(new.items()):
            if key not in old:
                (coming if name == KEYS else between).append(f"add map {path} {key} {value}")
            elif old[key] != value:
                between.append(f"set map {path} {key} {value}")
    return going + between + coming
