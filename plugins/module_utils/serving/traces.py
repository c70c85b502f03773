# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host keeps of an engine, where a key must not stand."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils.addresses import is_loopback
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

if TYPE_CHECKING:
    from ansible_collections.inference.fleet.plugins.module_utils.containers.daemon import Daemon

# Lines of the log, from its end: a key is printed at the start, and with requests.
_LINES = 50000


def traces(daemon: Daemon, name: str) -> dict[str, str]:
    """Return what stands in a container's settings and log, and in the arguments of the host's processes."""
    settings = daemon.inspection(name)
    if settings is None:
        raise FleetError(
            f"There is no container {name}. inference.fleet.engine_info tells the names of those there are."
        )
    return {
        "the container's settings": json.dumps(settings),
        "its log": daemon.logs(name, tail=_LINES),
        "the arguments of processes": "\n".join(_arguments()),
    }


def _arguments() -> Iterator[str]:
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        # A process may end meanwhile.
        with suppress(OSError):
            yield place.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


def elsewhere(url: str, interfaces: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the URLs at which an endpoint of a loopback address must not be reached: the host's other addresses.

    *interfaces* is what ``ip -j addr`` tells.
    """
    parts = urlsplit(url)
    if not is_loopback(parts.hostname or ""):
        return ()
    found = []
    for address in (told.get("local", "") for item in interfaces for told in item.get("addr_info", ())):
        known = ipaddress.ip_address(address)
        if not known.is_loopback and not known.is_link_local:
            host = f"[{known}]" if known.version == 6 else str(known)
            found.append(f"{parts.scheme}://{host}:{parts.port or 80}")
    return tuple(found)
