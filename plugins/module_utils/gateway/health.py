# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a gateway is, and what about it a person has to mend."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.gateway import config, maps
from ansible_collections.inference.fleet.plugins.module_utils.gateway.sockets import ServerState
from ansible_collections.inference.fleet.plugins.module_utils.host.command import run

# Of a certificate: what renews one does so before.
LEAST_DAYS = 14


def certificate(directory: Path) -> tuple[str, datetime | None]:
    """Return the path of the certificate that the gateway shows, and when it ends (None: it cannot be read)."""
    found = re.search(r" ssl crt (\S+)", (directory / config.FILE).read_text(encoding="utf-8"))
    path = found[1] if found else ""
    code, output, _error = run(["openssl", "x509", "-noout", "-enddate", "-in", path])
    return path, ends(output) if code == 0 else None


def ends(told: str) -> datetime | None:
    """Return the time that openssl tells.

    >>> ends("notAfter=Nov  6 14:00:09 2027 GMT").isoformat()
    '2027-11-06T14:00:09+00:00'
    """
    text = " ".join(told.partition("=")[2].split())
    try:
        return datetime.strptime(text, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def models(directory: Path) -> dict[str, str]:
    """Return the models that are served, each with its back end."""
    return maps.parsed((directory / maps.MODELS).read_text(encoding="utf-8"))


def is_up(each: ServerState) -> bool:
    """Tell whether an engine gets requests."""
    return each.status.startswith("UP") and not each.drained


def problems(
    servers: Sequence[ServerState],
    owners: Mapping[str, str],
    pools: Mapping[str, str],
    path: str,
    end: datetime | None,
    now: datetime,
) -> list[str]:
    """Return what a person has to mend, a sentence each; *pools* are the models with their back ends."""
    found = []
    if end is None:
        found.append(f"The certificate {path} cannot be read.")
    elif (end - now).days < LEAST_DAYS:
        word = "ended" if end < now else "ends"
        found.append(f"The certificate {path} {word} on {end:%Y-%m-%d}: renew it, and reload the gateway.")
    for model, pool in sorted(pools.items()):
        mine = [each for each in servers if each.pool == pool]
        if not any(is_up(each) for each in mine):
            told = ", ".join(f"{each.name} is {'out' if each.drained else each.status}" for each in mine)
            found.append(f"No engine of {model} is there: {told}.")
    for each in sorted(servers, key=lambda server: server.name):
        if each.drained and owners.get(each.name):
            found.append(
                f"{each.name} was taken out by {owners[each.name]} and not brought back: run deploy.yml for it."
            )
        elif not each.drained and not is_up(each):
            found.append(f"{each.name} is {each.status}: its host's 'doctor.yml' and 'deploy.yml' say why.")
    return list(dict.fromkeys(found))
