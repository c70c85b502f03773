# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of who gets in, and of what the host keeps of the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import Check, Target, Unmet, mapping
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import Client, EndpointError

_LEVEL = "security"
_REFUSED = (401, 403)
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")
# Where an engine does not list its routes: those that matter most.
_KNOWN = {"/v1/models": ("GET",), "/v1/chat/completions": ("POST",), "/invocations": ("POST",), "/metrics": ("GET",)}
# A request without content to these does nothing. Others may stop or unload an engine that is open, which is no test.
_HARMLESS = ("/v1/chat", "/v1/completions", "/v1/messages", "/v1/responses", "/invocations", "/tokenize", "/generate")


def routes(target: Target) -> dict[str, tuple[str, ...]]:
    """Return the endpoint's paths with the methods of each, as its OpenAPI document lists them."""
    try:
        listed = mapping(target.client.get_json("/openapi.json").get("paths"))
    except EndpointError:
        return dict(_KNOWN)
    found = {
        str(path): tuple(method.upper() for method in mapping(methods) if method.upper() in _METHODS)
        for path, methods in listed.items()
    }
    return {**_KNOWN, **found}


def _requests(path: str, methods: tuple[str, ...]) -> Iterator[str]:
    """Yield the methods to try: the route's own where it does no harm, and one that it does not have."""
    for method in methods:
        if method == "GET" or path.startswith(_HARMLESS):
            yield method
    other = next((method for method in ("GET", *_METHODS[2:]) if method not in methods), None)
    if other:
        yield other


def _closed(client: Client, target: Target, who: str) -> str:
    open_, count, paths = [], 0, routes(target)
    for path, methods in paths.items():
        if path in target.open_paths:
            continue
        for method in _requests(path, methods):
            place = path.replace("{", "").replace("}", "")
            status = client.ask(method, place, **({"json": {}} if method in ("POST", "PUT", "PATCH") else {})).status
            count += 1
            # 404 and 405 are the router's answers: whoever gets one was let in.
            if status not in _REFUSED:
                open_.append(f"{method} {path} {status}")
    open_ = [told for told in open_ if not _absent(told, target)]
    if open_:
        raise Unmet(f"{who} was let in: {', '.join(open_)}")
    return f"{count} requests {who} to {len(paths)} paths were refused"


def _absent(told: str, target: Target) -> bool:
    """Tell whether a path of the known ones is not there at all, for whoever has the key either."""
    method, path, status = told.split(" ")
    return status == "404" and path in _KNOWN and target.client.ask(method, path).status == 404


def _without(target: Target) -> str:
    return _closed(_guest(target.anonymous), target, "without the key")


def _wrong(target: Target) -> str:
    return _closed(_guest(target.stranger), target, "with a wrong key")


def _guest(client: Client | None) -> Client:
    if client is None:
        raise ValueError("there is no key to be without")
    return client


def _loopback(target: Target) -> str:
    reached = [url for url in target.elsewhere if _answers(url)]
    if reached:
        raise Unmet(f"it is reached at {', '.join(reached)} too")
    return (
        f"it is not reached at {', '.join(target.elsewhere)}" if target.elsewhere else "the host has no other address"
    )


def _answers(url: str) -> bool:
    try:
        Client(url, timeout=5).ask("GET", "/health")
    except EndpointError:
        return False
    return True


def _secret(target: Target) -> str:
    traces = target.traces or {}
    if not traces:
        raise Unmet("no container whose traces could be looked at: name it")
    found = [place for place, text in traces.items() if target.key and target.key in text]
    if found:
        raise Unmet(f"the API key stands in {', '.join(found)}")
    return f"the API key stands in none of {', '.join(traces)}"


CHECKS: Mapping[str, Check] = {
    "routes_without_key": Check("every route refused without the API key", _without, _LEVEL, keyed=True),
    "routes_with_wrong_key": Check("every route refused with a wrong API key", _wrong, _LEVEL, keyed=True),
    "loopback": Check("no answer at the host's other addresses, where bound to 127.0.0.1", _loopback, _LEVEL),
    "no_secret": Check("no API key in the container's settings, arguments and log", _secret, _LEVEL, keyed=True),
}
