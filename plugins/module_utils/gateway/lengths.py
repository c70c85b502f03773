# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The context lengths that engines tell, for clients of a gateway to know theirs."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.inference.fleet.plugins.module_utils.gateway import routes
from ansible_collections.inference.fleet.plugins.module_utils.gateway.spec import Pool, Server

_SECONDS = 3
# An engine is asked itself, whatever proxies the host has.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def asked(pools: Iterable[Pool], before: Mapping[str, str]) -> dict[str, int]:
    """Return the context length of each model, the shortest that its engines tell; 0 where nobody does.

    An engine that does not answer now has what it had *before*, which are the models' objects as the gateway has them.
    """
    servers = [(server, pool) for pool in pools for server in pool.servers]
    with ThreadPoolExecutor(max_workers=16) as executor:
        told = list(executor.map(lambda each: _ask(each[0], each[1].api_key), servers))
    found: dict[str, int] = {}
    for (_server, pool), lengths in zip(servers, told, strict=True):
        for model in pool.models:
            if lengths.get(model):
                found[model] = min(lengths[model], found.get(model) or lengths[model])
    kept = {model: known(text) for model, text in before.items()}
    return {model: found.get(model) or kept.get(model, 0) for _server, pool in servers for model in pool.models}


def known(text: str) -> int:
    """Return the length that a model's object has, 0 for none.

    >>> known('{"id":"m","max_model_len":4096}'), known('{"id":"m"}')
    (4096, 0)
    """
    return int(json.loads(text).get(routes.LENGTH) or 0)


def _ask(server: Server, key: str) -> dict[str, int]:
    address = f"[{server.address}]" if ":" in server.address else server.address
    request = urllib.request.Request(f"http://{address}:{server.port}/v1/models")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with _OPENER.open(request, timeout=_SECONDS) as answer:
            models = json.load(answer)["data"]
        return {each["id"]: int(each.get(routes.LENGTH) or 0) for each in models}
    except (OSError, ValueError, KeyError, TypeError):
        # An engine that is not there yet is no fault of the gateway's: its clients are told later.
        return {}
