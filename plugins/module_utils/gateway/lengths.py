# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines tell a gateway that is set up: their context lengths, for clients to know theirs, and what they show."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from ansible_collections.inference.fleet.plugins.module_utils.gateway import reach, routes
from ansible_collections.inference.fleet.plugins.module_utils.gateway.identity import Place
from ansible_collections.inference.fleet.plugins.module_utils.gateway.spec import Pool, Server


@dataclass
class Told:
    """What engines told: *lengths* by model, 0 for one that nobody knows.

    Of those that are asked over TLS, what keeps the gateway from them, by their names, and when the certificates of the
    others end, by their hosts.
    """

    lengths: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    ends: dict[str, datetime] = field(default_factory=dict)


def asked(pools: Iterable[Pool], before: Mapping[str, str], trust: Place) -> Told:
    """Ask the engines, over TLS by the gateway's certificate in *trust*.

    A model's length is the shortest of its engines'. An engine that does not answer now has what it had *before*, which
    are the models' objects as the gateway has them.
    """
    servers = [(server, pool) for pool in pools for server in pool.servers]
    context = trust.context() if any(server.tls_name for server, _pool in servers) else None
    found = Told()

    def ask(each: tuple[Server, Pool]) -> dict[str, int]:
        try:
            return _ask(each[0], each[1].api_key, context, found.ends)
        except reach.Unreached as error:
            found.troubles[each[0].name] = str(error)
            return {}

    with ThreadPoolExecutor(max_workers=16) as executor:
        told = list(executor.map(ask, servers))
    shortest: dict[str, int] = {}
    for (_server, pool), lengths in zip(servers, told, strict=True):
        for model in pool.models:
            if lengths.get(model):
                shortest[model] = min(lengths[model], shortest.get(model) or lengths[model])
    kept = {model: known(text) for model, text in before.items()}
    found.lengths = {
        model: shortest.get(model) or kept.get(model, 0) for _server, pool in servers for model in pool.models
    }
    found.troubles = dict(sorted(found.troubles.items()))
    return found


def known(text: str) -> int:
    """Return the length that a model's object has, 0 for none.

    >>> known('{"id":"m","max_model_len":4096}'), known('{"id":"m"}')
    (4096, 0)
    """
    return int(json.loads(text).get(routes.LENGTH) or 0)


def _ask(server: Server, key: str, context: ssl.SSLContext | None, ends: dict[str, datetime]) -> dict[str, int]:
    try:
        with closing(reach.connection(server, context)) as connection:
            if server.tls_name:
                ends[server.host] = reach.end(connection)
            connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"} if key else {})
            models = json.load(connection.getresponse())["data"]
        return {each["id"]: int(each.get(routes.LENGTH) or 0) for each in models}
    except ssl.SSLError as error:
        raise reach.Unreached(server, reach.in_words(error)) from error
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        # An engine that is not there yet is no fault of the gateway's: its clients are told later.
        return {}
