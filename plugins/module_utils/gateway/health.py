# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a gateway is, and what about it a person has to mend."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.gateway import certificates, config, maps
from ansible_collections.inference.fleet.plugins.module_utils.gateway.sockets import ServerState

# Of a certificate: what renews one does so before.
LEAST_DAYS = 14
# Of one between gateways and engines, which every run of gateway.yml renews in its last 90 days.
BETWEEN_DAYS = 30


def certificate(directory: Path) -> tuple[str, datetime | None]:
    """Return the path of the certificate that the gateway shows, and when it ends (None: it cannot be read)."""
    found = re.search(r" ssl crt (\S+)", (directory / config.FILE).read_text(encoding="utf-8"))
    path = found[1] if found else ""
    return path, certificates.end_of(Path(path))


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
    troubles: Mapping[str, str],
    between: Mapping[str, datetime | None],
) -> list[str]:
    """Return what a person has to mend, a sentence each; *pools* are the models with their back ends.

    *troubles* are what keeps the gateway from engines, by their names; *between* is when the certificates end by which
    it and the hosts of engines know each other, by whose they are.
    """
    found = []
    if end is None:
        found.append(f"The certificate {path} cannot be read.")
    elif (end - now).days < LEAST_DAYS:
        word = "ended" if end < now else "ends"
        found.append(f"The certificate {path} {word} on {end:%Y-%m-%d}: renew it, and reload the gateway.")
    for whose, last in sorted(between.items()):
        if last is None or (last - now).days < BETWEEN_DAYS:
            when = f"ends on {last:%Y-%m-%d}" if last else "cannot be read"
            found.append(
                f"The certificate of {whose}, between gateways and engines, {when}: run gateway.yml without -l."
            )
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
        elif each.name in troubles:
            found.append(troubles[each.name])
        elif not each.drained and not is_up(each):
            found.append(f"{each.name} is {each.status}: its host's 'doctor.yml' and 'deploy.yml' say why.")
    return list(dict.fromkeys(found))
