# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a gateway is, and what about it a person has to mend."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.gateway import certificates, config, maps, shown
from ansible_collections.inference.fleet.plugins.module_utils.gateway.sockets import ServerState

# Of a certificate of the user's own: what renews one does so before.
OWN_DAYS = 14
# Of those that gateway.yml renews: in the last 90 days between gateways and engines, in the last 30 a self-signed one.
DAYS = 30
_BETWEEN = ", between gateways and engines,"


@dataclass(frozen=True)
class Certificate:
    """A certificate that a gateway shows or is shown: *whose* it is, a host or a file, and when it *ends* (None: it
    cannot be read).

    It is told of *days* before that, with what a person then does, the *remedy*.
    """

    whose: str
    ends: datetime | None
    days: int = DAYS
    what: str = _BETWEEN
    remedy: str = "run gateway.yml without -l"


def certificate(directory: Path, run_directory: Path) -> tuple[Certificate, list[str]]:
    """Return the certificate that the gateway shows its clients, and a sentence where its file has another since."""
    found = re.search(r" ssl crt (\S+)", (directory / config.FILE).read_text(encoding="utf-8"))
    path = Path(found[1] if found else "")
    _serial, ends = shown.asked(str(run_directory), path)
    mine = path.parent == directory
    remedy = (
        "run gateway.yml, which makes another, and tell clients of it" if mine else "renew it, and reload the gateway"
    )
    told = f"The gateway still shows the certificate that was in {path} before"
    told += f", until {ends:%Y-%m-%d}" if ends else ""
    old = [f"{told}: systemctl reload {config.NAME}."] if shown.is_old(str(run_directory), path) else []
    ends = ends or certificates.end_of(path)
    return Certificate(str(path), ends, DAYS if mine else OWN_DAYS, "", remedy), old


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
    shows: Iterable[Certificate],
    now: datetime,
    troubles: Mapping[str, str],
) -> list[str]:
    """Return what a person has to mend, a sentence each; *pools* are the models with their back ends.

    *troubles* are what keeps the gateway from engines, by their names.
    """
    found = []
    for each in shows:
        if each.ends is None:
            found.append(f"The certificate {each.whose}{each.what} cannot be read: {each.remedy}.")
        elif last := certificates.last_days(each.ends, now, each.days):
            found.append(f"The certificate {each.whose}{each.what} {last}: {each.remedy}.")
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
