# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until machines are active, have an address and answer SSH: each can come long before another."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import Machine, machine

# Eight H100 have taken more than twenty minutes.
TIMEOUT = 2400.0
_POLL = 10.0
# A line at least so often, in seconds.
_NEWS = 60.0
_ADDRESS = {"public": "ip", "private": "private_ip"}


def speaks_ssh(address: str, port: int, timeout: float = 5.0) -> bool:
    """Tell whether an SSH server says who it is."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=timeout) as connection:
        connection.settimeout(timeout)
        return connection.recv(4) == b"SSH-"
    return False


def until_ready(
    api: Api,
    ids: Sequence[str],
    timeout: float = TIMEOUT,
    connect: str = "public",
    port: int = 22,
    speaks: Callable[[str, int], bool] = speaks_ssh,
) -> list[Machine]:
    """Return the machines when all of them are active, addressed and answer SSH.

    FleetError names those that are not after *timeout* seconds, or that ended meanwhile, and what they cost.
    """
    began = api.clock.now()
    said: dict[str, tuple[str, float]] = {}
    ready: set[str] = set()
    # A list may lag behind: what is missing in it is gone only where it stays so.
    listed = dict.fromkeys(ids, began)
    while True:
        shown = {each.id: each for each in map(machine, api.get("instances")) if each.id in ids}
        listed.update(dict.fromkeys(shown, api.clock.now()))
        waits = {}
        for each_id in ids:
            each = shown.get(each_id)
            if each is None:
                waits[each_id] = "is not listed"
            elif not each.live:
                waits[each_id] = f"is {each.status}"
            elif each_id not in ready:
                waits[each_id] = _missing(each, connect, port, speaks)
                if not waits[each_id]:
                    ready.add(each_id)
        waits = {key: value for key, value in waits.items() if value}
        if not waits:
            return [shown[each_id] for each_id in ids]
        now = api.clock.now()
        ended = [key for key in waits if (not shown[key].live if key in shown else now - listed[key] >= api.settle)]
        if ended or now - began >= timeout:
            words = "; ".join(f"{_name(shown, key)} {value}" for key, value in waits.items())
            live = [each for each in shown.values() if each.live]
            hourly = sum(each.hourly_usd for each in live)
            bills = (
                f" Still running and billing, US$ {hourly:.2f} an hour: {', '.join(each.name for each in live)}. "
                "Run this again to go on waiting, or end them with terminate.yml."
                if live
                else " Nothing of it bills any more. Run this again to launch anew."
            )
            raise FleetError(f"After {now - began:.0f} s of {timeout:.0f}: {words}.{bills}")
        for key, value in waits.items():
            last, when = said.get(key, ("", 0.0))
            if value != last or now - when >= _NEWS:
                api.say(f"{_name(shown, key)} {value}, {now - began:.0f} s so far")
                said[key] = (value, now)
        api.clock.sleep(_POLL)


def _missing(each: Machine, connect: str, port: int, speaks: Callable[[str, int], bool]) -> str:
    """Return what a live machine lacks to be ready; empty where nothing."""
    if each.status != "active":
        return f"is {each.status}"
    address = getattr(each, _ADDRESS[connect])
    if not address:
        return f"is active and has no {connect} address yet"
    if not speaks(address, port):
        return f"is active at {address} and does not answer SSH on port {port} yet"
    return ""


def _name(shown: dict[str, Machine], key: str) -> str:
    return shown[key].name if key in shown else key
