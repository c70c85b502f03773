# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway on its host: what stands there, how it differs from what is wanted, and how it becomes that."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import (
    certificates,
    config,
    drain,
    identity,
    lengths,
    maps,
    metrics,
    reach,
    routes,
    service,
    shown,
    sockets,
    store,
    tokens,
)
from ansible_collections.inference.fleet.plugins.module_utils.gateway.service import Outcome, Service
from ansible_collections.inference.fleet.plugins.module_utils.gateway.spec import Pool, Settings
from ansible_collections.inference.fleet.plugins.module_utils.gateway.store import Clients

SELF_SIGNED = "self-signed.pem"


def gateway(directory: str, run_directory: str, ports: Sequence[int] = ()) -> Service:
    """Return the gateway as a service of its host."""
    return Service(config.NAME, "gateway", directory, run_directory, tuple(port for port in ports if port))


def wanted(settings: Settings, pools: Sequence[Pool], clients: Clients, objects: Mapping[str, Any]) -> dict[str, str]:
    """Return every file of the gateway's directory that follows from what is wanted, by its name.

    *objects* are the models as clients see them.
    """
    every = {**maps.of_pools(pools, objects), **maps.of_clients(clients.known, objects)}
    return {
        config.FILE: config.text(settings, pools, root=os.geteuid() == 0),
        store.FILE: clients.text(),
        metrics.FILE: metrics.service(settings.directory),
        tokens.FILE: tokens.program(),
        **{name: maps.text(entries) for name, entries in every.items()},
    }


def _self_signed(path: Path, names: Sequence[str], outcome: Outcome, *, check_mode: bool) -> list[str]:
    """Make a self-signed certificate where one is needed; return what there is to warn of."""
    why = certificates.self_signed_reason(path, datetime.now(timezone.utc))
    if not why:
        return []
    told = [f"the self-signed certificate {path} is another now ({why}): clients have to be told of it."]
    told = told if path.exists() else []
    outcome.steps.append(f"make a self-signed certificate for {', '.join(names)}: {why}")
    if not check_mode:
        store.write(path, certificates.self_signed(names))
    return told


def bring(
    settings: Settings, pools: Sequence[Pool], clients: Clients, *, check_mode: bool, names: Sequence[str]
) -> tuple[Outcome, list[str]]:
    """Bring the gateway to what is wanted; *names* are what a self-signed certificate is made out to.

    Return what was done, and what there is to warn of. What HAProxy does not take is never put in place, and what
    cannot be started is taken back.
    """
    outcome = Outcome()
    directory = Path(settings.directory)
    own, warnings = Path(settings.certificate or directory / SELF_SIGNED), []
    if not settings.certificate:
        settings = replace(settings, certificate=str(own))
        warnings += _self_signed(own, names, outcome, check_mode=check_mode)
    elif not Path(settings.certificate).is_file():
        raise FleetError(
            f"gateway_certificate: wanted a PEM file of the chain and its key on the gateway, at "
            f"{settings.certificate}, found none."
        )
    trust = identity.Place(directory)
    if any(server.tls_name for pool in pools for server in pool.servers) and not (check_mode or trust.complete()):
        raise FleetError(
            f"wanted a certificate of the fleet's authority in {directory}, with which the gateway reaches engines "
            "on other hosts, found none: run the whole playbook gateway.yml, and without -l."
        )
    before = service.read(directory, [maps.OBJECTS, metrics.CERTIFICATES, config.FILE, config.STATE_FILE])
    told = lengths.asked(pools, maps.parsed(before[maps.OBJECTS] or ""), trust)
    if not check_mode:
        reach.refuse_outage(told.troubles, before[config.FILE] or "")
    objects = {model: routes.model_object(model, length) for model, length in told.lengths.items()}
    ends = metrics.certificates(
        {
            # One of the user's own changes without gateway.yml, and who watches it asks for it.
            metrics.FOR_CLIENTS: certificates.end_of(own) if own.parent == directory else None,
            metrics.between(): certificates.end_of(trust.certificate),
            **{metrics.between(other): end for other, end in told.ends.items()},
        },
        maps.parsed(before[metrics.CERTIFICATES] or ""),
        [server.host for pool in pools for server in pool.servers if server.tls_name],
    )

    # Who was taken out stays so, at the port and by the way that he has now.
    out = drain.fitting(before[config.STATE_FILE] or "", [server for pool in pools for server in pool.servers])

    def files(place: str) -> dict[str, str]:
        followed = wanted(replace(settings, directory=place), pools, clients, objects)
        return {**followed, metrics.CERTIFICATES: maps.text(ends), config.STATE_FILE: out}

    ports = (settings.port, settings.redirect_port, settings.metrics_port)
    service.bring(
        gateway(settings.directory, settings.run_directory, ports),
        files,
        outcome,
        check_mode=check_mode,
        unread=shown.is_old(settings.run_directory, own) or bool(warnings),
    )
    # Before there is a gateway, check mode has nothing to ask engines with.
    return outcome, warnings + ([] if check_mode else list(told.troubles.values()))


def use_clients(directory: Path, run_directory: str, clients: Clients) -> None:
    """Keep other clients, on disk and in a running HAProxy, without a reload."""
    kept = maps.parsed((directory / maps.OBJECTS).read_text(encoding="utf-8"))
    objects = {model: json.loads(text) for model, text in kept.items()}
    now = service.read(directory, maps.OF_CLIENTS)
    before = {name: maps.parsed(text or "") for name, text in now.items()}
    after = maps.of_clients(clients.known, objects)
    mark = directory / service.UNREAD
    was = mark.exists()
    store.write(mark, "")
    # The disk first: whatever happens then, nobody who was revoked is let in again.
    store.write(directory / store.FILE, clients.text())
    for name, entries in after.items():
        store.write(directory / name, maps.text(entries))
    path = service.admin_socket(run_directory)
    if sockets.answers(path):
        sockets.tell(path, maps.changes(str(directory), before, after))
    if not was:
        mark.unlink()
