# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that serve one model together, of which the head is measured. All pure.

A member is one of the others: C(host), its name; C(engine) and C(hardware), as engine_info and host_info tell of it, or
None; C(price_per_hour), that of its GPUs in US dollars, or None.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import disturbances
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.remarks import NOTE, Remark
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

Member = Mapping[str, Any]
NO_ENERGY = "the energy is not known: not all GPUs of the hosts that serve together were sampled"


def size(engine: Mapping[str, Any] | None) -> int:
    """Return how many hosts serve what an engine serves, by its own word; 1 for one that serves alone."""
    return len(((engine or {}).get("group") or {}).get("names") or ()) or 1


def is_one(engine: Mapping[str, Any] | None, members: Sequence[Member]) -> bool:
    """Tell whether an engine serves together with other hosts, of which *members* may not be all."""
    return bool(members) or size(engine) > 1


def require_running(members: Sequence[Member]) -> None:
    """Raise FleetError where the engine of a member does not run: the head then fails at its next request."""
    states = {member["host"]: (member["engine"] or {}).get("state") for member in members}
    found = [
        f"{host} has {f'one that is {state}' if state else 'none'}"
        for host, state in states.items()
        if state != "running"
    ]
    if found:
        raise FleetError(
            f"members: wanted an engine that runs on each host of the group, found that {', '.join(found)}. Run "
            "deploy.yml on all of its hosts, which starts the group anew."
        )


def price(own: float | None, members: Sequence[Member]) -> float | None:
    """Return what all hosts cost, in US dollars an hour; None where that of one is not known."""
    prices = [own, *(member["price_per_hour"] for member in members)]
    return sum(each for each in prices if each) if all(prices) else None


def remarks(
    engine: Mapping[str, Any] | None, members: Sequence[Member], recorded_hosts: Collection[str] = ()
) -> list[Remark]:
    """Return what is known beforehand of every repeat because several hosts serve together.

    Of *recorded_hosts* the GPUs are known when the run is over.
    """
    recorded = bool(members) and all(member["host"] in recorded_hosts for member in members)
    strangers = [
        replace(remark, text=f"{member['host']}: {remark.text}")
        for member in members
        for remark in disturbances.strangers(member["engine"], member["hardware"])
    ]
    return [*strangers, *([Remark(NOTE, NO_ENERGY)] if is_one(engine, members) and not recorded else [])]


def parts(host: str, engine: Mapping[str, Any] | None, members: Sequence[Member]) -> list[dict[str, Any]]:
    """Return what each host has of the engine, for the result document; nothing where one serves alone."""
    if not is_one(engine, members):
        return []
    named = ((engine or {}).get("group") or {}).get("names") or ()
    others = [(member["host"], member["engine"]) for member in members] or [(name, None) for name in named[1:]]
    return [
        {"host": name, "profile": (of or {}).get("profile"), "gpus": list((of or {}).get("gpus") or ())}
        for name, of in ((host, engine), *others)
    ]
