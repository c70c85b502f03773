# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine as its gateway reaches it: over TLS with the fleet's own certificates, or in the clear."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway.spec import Server
from ansible_collections.inference.fleet.plugins.module_utils.host import names

_SECONDS = 3
# As HAProxy's configuration has the engines, the name that it asks for over TLS last.
_SERVER = re.compile(r"^    server (\S+) (\S+):(\d+)(?: ssl .*\bsni str\(([^)]*)\))?", re.M)


def resolved(name: str) -> list[str]:
    """Return the addresses of a name as this host knows them, none where it does not."""
    try:
        return sorted(names.addresses(name))
    except OSError:
        return []


class Unreached(Exception):
    """An engine that is not reached over TLS, with what a person can do about it."""

    def __init__(self, server: Server, what: str) -> None:
        super().__init__(f"{server.name} at {server.address}:{server.port}: {what}")


def connection(server: Server, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
    """Return a connection to an engine. Unreached where its host and the gateway do not agree on TLS, else OSError."""
    found = http.client.HTTPConnection(server.address, server.port, timeout=_SECONDS)
    if not server.tls_name:
        return found
    if context is None:
        raise Unreached(server, "the gateway has no certificate for it. Run gateway.yml.")
    try:
        plain = socket.create_connection((server.address, server.port), _SECONDS)
    except OSError as error:
        raise Unreached(
            server,
            f"its host does not take TLS there ({error.strerror or error}). Run gateway.yml without -l, and see that "
            "no firewall is between them.",
        ) from error
    try:
        found.sock = context.wrap_socket(plain, server_hostname=server.tls_name)
    except OSError as error:
        plain.close()
        raise Unreached(server, in_words(error)) from error
    return found


def in_words(error: OSError) -> str:
    """Return why TLS with an engine's host did not come about.

    >>> in_words(ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required"))
    "its host does not take the gateway's certificate. Run gateway.yml without -l."
    """
    text = str(getattr(error, "verify_message", "") or error)
    if isinstance(error, ssl.SSLCertVerificationError):
        if "ostname mismatch" in text:
            what = "the certificate there is another host's"
        elif "expired" in text:
            what = "the certificate there has expired"
        else:
            what = f"the certificate there is not of the fleet's authority ({text})"
        return f"{what}, and the gateway sends nothing there. Run gateway.yml without -l."
    if "alert" in text.lower():
        return "its host does not take the gateway's certificate. Run gateway.yml without -l."
    return f"what is there does not speak TLS ({text}). Run gateway.yml without -l."


def servers(text: str) -> dict[str, Server]:
    """Return the engines of a gateway's configuration by their names.

    >>> text = "    server a:1 10.0.0.1:8443 ssl verify required sni str(1.a.x) check\\n"
    >>> text += "    server b:1 [::2]:8000 check"
    >>> [(server.name, server.address, server.port, server.tls_name) for server in servers(text).values()]
    [('a:1', '10.0.0.1', 8443, '1.a.x'), ('b:1', '::2', 8000, '')]
    """
    found = [
        Server(name, address.strip("[]"), int(port), tls or "") for name, address, port, tls in _SERVER.findall(text)
    ]
    return {server.name: server for server in found}


def refuse_outage(troubles: Mapping[str, str], before: str) -> None:
    """Raise FleetError where engines would be lost over TLS that the configuration *before* has in the clear."""
    plain = {name for name, server in servers(before).items() if not server.tls_name}
    lost = [told for name, told in troubles.items() if name in plain]
    if lost:
        raise FleetError(
            f"engines that are served in the clear now would be lost over TLS, and nothing was changed: "
            f"{' '.join(lost)} Until then, gateway_engines_without_tls: true leaves them as they are."
        )


def end(greeted: http.client.HTTPConnection) -> datetime:
    """Return when the certificate ends that an engine's host showed."""
    shown = greeted.sock.getpeercert()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), timezone.utc)


def looked(found: Mapping[str, Server], context: ssl.SSLContext | None) -> tuple[dict[str, str], dict[str, datetime]]:
    """Return what keeps a gateway from engines over TLS, by their names, and when certificates end, by hosts."""
    troubles, ends = {}, {}
    for name, server in found.items():
        if server.tls_name:
            try:
                ends[server.host] = _greet(server, context)
            except Unreached as error:
                troubles[name] = str(error)
    return troubles, ends


def _greet(server: Server, context: ssl.SSLContext | None) -> datetime:
    greeted = connection(server, context)
    last = end(greeted)
    # With TLS 1.3 the host's word on the gateway's certificate comes with what it answers.
    try:
        greeted.request("GET", "/health")
        greeted.getresponse()
    except ssl.SSLError as error:
        raise Unreached(server, in_words(error)) from error
    except (OSError, http.client.HTTPException):
        # The engine's own trouble, which its host's checks tell.
        pass
    finally:
        with suppress(OSError):
            greeted.close()
    return last
