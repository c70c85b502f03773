# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway serves and to whom: models with their engines, clients, settings. All pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils import addresses
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import certificates

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._:-]+")
# A shorter key could be found by trying.
LEAST_KEY = 16


@dataclass(frozen=True)
class Server:
    """One engine behind the gateway. *name* is its host and slot, as HAProxy's socket and log have it.

    *tls_name* is what its host is asked for over TLS, empty where it is reached in the clear.
    """

    name: str
    address: str
    port: int
    tls_name: str = ""

    @property
    def host(self) -> str:
        """Its host, as the name has it."""
        return self.name.rpartition(":")[0]


@dataclass(frozen=True)
class Pool:
    """Engines that serve the same models, with the key that all of them take (empty: none)."""

    name: str
    models: tuple[str, ...]
    servers: tuple[Server, ...]
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Client:
    """Who may ask, for which models (none named: all), how often a minute and how much at once (0: no limit).

    *expires* is a time in seconds since 1970, 0 for never. *source* tells whether the inventory has it (inventory) or
    gateway_key made it (host).
    """

    name: str
    key_sha256: str
    models: tuple[str, ...] = ()
    requests_per_minute: int = 0
    concurrent_requests: int = 0
    expires: int = 0
    source: str = "inventory"


@dataclass(frozen=True)
class Settings:
    """How HAProxy is set up. Times in seconds, sizes in bytes; a port of 0 is not opened."""

    directory: str
    run_directory: str
    bind: tuple[str, ...] = ("0.0.0.0",)
    port: int = 443
    redirect_port: int = 80
    acme_port: int = 0
    metrics_port: int = 8405
    certificate: str = ""
    affinity: str = "none"
    max_body: int = 4 * 1024 * 1024
    max_header: int = 16 * 1024
    idle_timeout: int = 1800
    max_connections: int = 4000
    log: str = "/dev/log"
    stream_tokens: bool = False
    # The directory of the files by which engines' hosts and the gateway know each other.
    trust: str = ""


def hashed(key: str) -> str:
    """Return a key as it is kept."""
    return hashlib.sha256(key.encode()).hexdigest()


def server_name(host: str, slot: str) -> str:
    """Return what an engine is called in HAProxy's socket and log.

    >>> server_name("h100-1", "8000")
    'h100-1:8000'
    """
    return _NOT_IN_A_NAME.sub("_", f"{host}:{slot}")


def is_elsewhere(endpoint: Mapping[str, Any], gateway: str) -> bool:
    """Tell whether an engine is on another machine than the gateway, which is its host's name."""
    return endpoint["host"] != gateway and not addresses.is_loopback(_address(endpoint))


def _address(endpoint: Mapping[str, Any]) -> str:
    """Return where others reach an engine's host: on the network that it is bound to, where it is bound to one."""
    return urlsplit(endpoint["external_url"]).hostname or endpoint.get("address") or endpoint["host"]


def tls_hosts(endpoints: Iterable[Mapping[str, Any]], gateway: str) -> list[str]:
    """Return the hosts whose engines a gateway reaches over TLS, where the user does not say otherwise."""
    return list(dict.fromkeys(each["host"] for each in endpoints if is_elsewhere(each, gateway)))


def pools(
    endpoints: Iterable[Mapping[str, Any]],
    gateway: str,
    without_tls: bool = False,
    tls_port: int = 8443,
    resolve: Callable[[str], Sequence[str]] = lambda name: [name],
) -> list[Pool]:
    """Return the pools behind a gateway, from what the lookup endpoints tells; *gateway* is its host's name.

    An engine on another host is reached over TLS, on *tls_port* of that. In the clear only by the user's word,
    *without_tls*, and on a private network; *resolve* tells the addresses of a name.
    """
    faults: list[str] = []
    servers: dict[str, dict[Server, str]] = {}
    for endpoint in endpoints:
        name = server_name(endpoint["host"], endpoint["slot"])
        elsewhere = is_elsewhere(endpoint, gateway)
        fault = _in_the_clear(endpoint, gateway, resolve) if elsewhere and without_tls else ""
        if fault:
            faults.append(f"{endpoint['host']}: {fault}")
            continue
        if elsewhere and not without_tls:
            tls_name = certificates.engine_name(endpoint["host"], endpoint["port"])
            server = Server(name, _address(endpoint), tls_port, tls_name)
        else:
            parts = urlsplit(endpoint["url"] if endpoint["host"] == gateway else endpoint["external_url"])
            server = Server(name, parts.hostname or "", parts.port or 80)
        for model in endpoint["served_model_names"]:
            servers.setdefault(model, {})[server] = endpoint["api_key"]
    faults += [f"the model name {name!r} has a space in it" for name in servers if re.search(r"\s", name) or not name]
    for model, keys in servers.items():
        if len(set(keys.values())) > 1:
            named = ", ".join(server.name for server in keys)
            faults.append(
                f"the engines of {model} ({named}) have different keys. A request must be right for each of them: give "
                "them one engine_api_key"
            )
    if faults:
        raise FleetError(f"the gateway {gateway} cannot serve these engines: {'; '.join(sorted(set(faults)))}.")
    return _pooled(servers)


_OR_TLS = "leave gateway_engines_without_tls out, and gateway.yml puts TLS before the engine, which stays as it is"


def _in_the_clear(endpoint: Mapping[str, Any], gateway: str, resolve: Callable[[str], Sequence[str]]) -> str:
    """Return in words why a gateway does not reach an engine in the clear, or should not. Empty where it may."""
    url = endpoint["external_url"]
    if not url:
        return (
            f"the engine on port {endpoint['port']} is bound to {endpoint['bind_address']}, which the gateway "
            f"{gateway} does not reach in the clear. Either {_OR_TLS}; or set engine_bind_address to an address of a "
            "private network, and engine_api_key; or leave the host out of gateway_engine_hosts"
        )
    name = urlsplit(url).hostname or ""
    found = resolve(name)
    public = [address for address in found if not addresses.is_private(address)]
    if found and not public:
        return ""
    what = (
        f"over {public[0]}, which is not of a private network" if public else f"and the gateway cannot resolve {name}"
    )
    return (
        f"prompts would go to {url} in the clear, {what}. Either {_OR_TLS}; or set engine_bind_address or "
        "engine_external_address to an address of a private network"
    )


def _pooled(servers: Mapping[str, Mapping[Server, str]]) -> list[Pool]:
    models: dict[tuple[Server, ...], list[str]] = {}
    for model, keys in servers.items():
        models.setdefault(tuple(sorted(keys, key=lambda server: server.name)), []).append(model)
    found = []
    for members, names in sorted(models.items(), key=lambda item: min(item[1])):
        names.sort()
        found.append(
            Pool("model." + _NOT_IN_A_NAME.sub("_", names[0]), tuple(names), members, servers[names[0]][members[0]])
        )
    # Two names may be one once what HAProxy cannot spell is gone.
    labels = [pool.name for pool in found]
    return [
        Pool(pool.name if labels.count(pool.name) == 1 else f"{pool.name}.{index}", *_rest(pool))
        for index, pool in enumerate(found)
    ]


def _rest(pool: Pool) -> tuple[tuple[str, ...], tuple[Server, ...], str]:
    return pool.models, pool.servers, pool.api_key


def client(given: Mapping[str, Any], models: Sequence[str] | None = None, source: str = "inventory") -> Client:
    """Return a client from what the user gave; *models* are those there are, where known. FleetError of faults."""
    name = str(given.get("name") or "")
    if not _NAME.fullmatch(name):
        raise FleetError(
            f"gateway client {name!r}: wanted a name of up to 64 letters, digits, '.', '_' and '-', beginning with a "
            "letter or a digit."
        )
    faults = []
    key, key_sha256 = given.get("key") or "", str(given.get("key_sha256") or "").lower()
    if bool(key) == bool(key_sha256):
        faults.append("wanted key or key_sha256, found " + ("both" if key else "neither"))
    elif key and (len(key) < LEAST_KEY or re.search(r"\s", key)):
        faults.append(f"wanted a key of {LEAST_KEY} characters or more, without spaces")
    elif key_sha256 and not _HASH.fullmatch(key_sha256):
        faults.append("key_sha256: wanted 64 hexadecimal digits")
    numbers = {name: given.get(name) or 0 for name in ("requests_per_minute", "concurrent_requests")}
    faults += [f"{name}: wanted 0 (no limit) or more, found {value}" for name, value in numbers.items() if value < 0]
    wanted = tuple(given.get("models") or ())
    unknown = [model for model in wanted if models is not None and model not in models]
    if unknown:
        there = ", ".join(models or ()) or "none"
        faults.append(f"models: {', '.join(unknown)} is served by no engine behind the gateway. There is: {there}")
    expires = 0
    try:
        expires = moment(given.get("expires") or "")
    except ValueError:
        faults.append(f"expires: wanted a date such as 2027-01-31, or 2027-01-31T12:00:00Z, found {given['expires']!r}")
    if faults:
        raise FleetError(f"gateway client {name}: {'; '.join(faults)}.")
    return Client(name, key_sha256 or hashed(key), wanted, expires=expires, source=source, **numbers)


def moment(text: str) -> int:
    """Return the seconds since 1970 of a date, at whose end it is meant, or of a time. UTC where it does not say.

    >>> moment("1970-01-01"), moment("1970-01-01T01:00:00Z"), moment("")
    (86400, 3600, 0)
    """
    text = str(text).strip()
    if not text:
        return 0
    found = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    if found.tzinfo is None:
        found = found.replace(tzinfo=timezone.utc)
    return int(found.timestamp()) + (86400 if len(text) == len("1970-01-01") else 0)


def clients(given: Iterable[Mapping[str, Any]], models: Sequence[str] | None = None) -> list[Client]:
    """Return clients from what the user gave, each with a name and a key of its own."""
    found = [client(each, models) for each in given]
    return unique(found)


def unique(found: Sequence[Client]) -> list[Client]:
    """Return the clients. FleetError where two have one name or one key."""
    for attribute, word in (("name", "name"), ("key_sha256", "key")):
        seen: dict[str, str] = {}
        for each in found:
            value = getattr(each, attribute)
            if value in seen:
                raise FleetError(
                    f"gateway clients: {seen[value]} and {each.name} have the same {word}. Each needs one of its own."
                )
            seen[value] = each.name
    return list(found)
