# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy on an engine's host, which takes TLS from gateways alone and hands on what is in it. For HAProxy 2.6 and
newer.

The engine stays as it is, and hears of it nothing but a connection from its own host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils import addresses
from ansible_collections.inference.fleet.plugins.module_utils.gateway import certificates, config
from ansible_collections.inference.fleet.plugins.module_utils.gateway.service import Service

NAME = "inference-fleet-tls"


@dataclass(frozen=True)
class Settings:
    """The host's name in the inventory, the URLs at which it reaches its engines, and where TLS is taken."""

    host: str
    urls: tuple[str, ...]
    directory: str
    run_directory: str
    bind: tuple[str, ...] = ("0.0.0.0",)
    port: int = 8443
    max_connections: int = 4000
    log: str = "/dev/log"


def service(directory: str, run_directory: str, port: int = 0) -> Service:
    """Return it as a service of its host."""
    return Service(NAME, "TLS before engines", directory, run_directory, (port,) if port else ())


def text(settings: Settings, *, root: bool = True) -> str:
    """Return the configuration. *root*: whether HAProxy is started by root, and is to become its own user."""
    place = settings.directory
    engines = sorted(_engine(url) for url in settings.urls)
    options = (
        f"ssl crt {place}/{config.CERTIFICATE} ca-file {place}/{config.TRUSTED} verify required ssl-min-ver TLSv1.3"
    )
    lines = [
        "# Made by inference.fleet's role gateway; changes by hand are lost.",
        "global",
        f"    log {settings.log} len 4096 local0 info",
        f"    log-tag {NAME}",
        *(["    user haproxy", "    group haproxy"] if root else []),
        f"    stats socket {settings.run_directory}/{config.ADMIN_SOCKET} mode 600 level admin expose-fd listeners",
        f"    maxconn {settings.max_connections}",
        "    # A process that a reload replaced ends with its last stream, or then.",
        "    hard-stop-after 1d",
        "",
        "defaults",
        "    mode tcp",
        "    log global",
        "    # The gateway logs each request.",
        "    option dontlog-normal",
        "    option dontlognull",
        "    timeout connect 1s",
        "    # How long either side may be silent the gateway says, which ends its connections itself.",
        "    timeout client 1d",
        "    timeout server 1d",
        "    option clitcpka",
        "    option srvtcpka",
        "",
        "frontend tls",
        *(f"    bind {addresses.at(address, settings.port)} {options}" for address in settings.bind),
        *(
            f"    use_backend engine.{port} if {{ ssl_fc_sni -i {certificates.engine_name(settings.host, port)} }}"
            for port, _address in engines
        ),
    ]
    for port, address in engines:
        lines += ["", f"backend engine.{port}", f"    server engine {addresses.at(address, port)}"]
    return "\n".join(lines) + "\n"


def _engine(url: str) -> tuple[int, str]:
    parts = urlsplit(url)
    return parts.port or 80, parts.hostname or ""


def files(settings: Settings, *, root: bool) -> dict[str, str]:
    """Return every file of the directory that follows from what is wanted, by its name."""
    return {config.FILE: text(settings, root=root)}


def clashes(settings: Settings) -> Sequence[int]:
    """Return the engines' ports that are the port for TLS as well."""
    return [port for port, _address in map(_engine, settings.urls) if port == settings.port]
