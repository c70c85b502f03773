# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This host's place among several that serve one model together: addresses worked out, its interface found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import addresses
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import Device, RestartPolicy, Ulimit
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import DOCKER_HOST
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import Group
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import names
from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand, run

# Devices for remote direct memory access, where a host has them.
RDMA = Path("/dev/infiniband")
Resolve = Callable[[str], str]


def resolve(name: str) -> str:
    """Return the address of a name, IPv4 before IPv6."""
    try:
        return names.addresses(name)[0]
    except OSError as error:
        raise FleetError(
            f"engine_group: the address {name!r} of a member means nothing to this host ({error}). Set "
            "engine_group_address of that member to its address in figures."
        ) from error


def group(given: Mapping[str, Any], docker_host: str, resolved: Resolve = resolve, command: RunCommand = run) -> Group:
    """Return a group from the options of the module engine. FleetError where its members cannot talk safely."""
    if docker_host != DOCKER_HOST:
        raise FleetError(
            f"engine_group: wanted Docker of the host itself, {DOCKER_HOST}, found {docker_host}: of another machine's "
            "network nothing is known here."
        )
    hosts, rank = tuple(given["names"]), given["rank"]
    places = tuple(resolved(address) for address in given["addresses"])
    for host, address in zip(hosts, places, strict=True):
        _refuse_address(host, address, bool(given.get("public")))
    twice = [address for address in places if places.count(address) > 1]
    if twice:
        sharing = [host for host, address in zip(hosts, places, strict=True) if address == twice[0]]
        raise FleetError(
            f"engine_group: {' and '.join(sharing)} have the same address, {twice[0]}. Set engine_group_address of "
            "each to its own."
        )
    interface = given.get("interface") or _interface(hosts[rank], places[rank], command)
    return Group(rank, hosts, places, interface, given["port"], RDMA.is_dir())


def _refuse_address(name: str, address: str, public: bool) -> None:
    if addresses.is_loopback(address):
        raise FleetError(
            f"engine_group: the address of {name} is {address}, at which only that host reaches itself. Set "
            "engine_group_address of it to its address on the network of the group."
        )
    if not (public or addresses.is_private(address)):
        raise FleetError(
            f"engine_group: the address of {name} is {address}, which is not of a private network. What members say to "
            "each other is neither encrypted nor authenticated. Set engine_group_address of each member to its "
            "address on a private network; or, where a firewall keeps others out, set engine_group_public."
        )


def _interface(name: str, address: str, command: RunCommand) -> str:
    """Return the interface that has this host's own address."""
    code, output, error = command(["ip", "-json", "address", "show"])
    if code:
        raise FleetError(
            f"engine_group: this host does not tell its interfaces: {error.strip() or code}. Install iproute2, or set "
            "engine_group_interface."
        )
    own = {entry["local"]: link["ifname"] for link in json.loads(output) for entry in link.get("addr_info", ())}
    if address not in own:
        listed = ", ".join(f"{there} on {interface}" for there, interface in own.items() if interface != "lo")
        raise FleetError(
            f"engine_group: wanted the address {address} of {name} on an interface of this host, found {listed}. Set "
            f"engine_group_address of {name} to that of these by which the other members reach it."
        )
    return own[address]


def container(member: Group, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a container as those of a member have to be.

    Its connections to the others come from any port. Docker starts none of them by itself: half a group serves nobody.
    """
    own = {**fields, "network": "host", "restart_policy": RestartPolicy("no")}
    if member.rdma:
        own["devices"] = (*fields.get("devices", ()), Device(str(RDMA)))
        own["cap_add"] = (*fields.get("cap_add", ()), "IPC_LOCK")
        if not any(limit.name == "memlock" for limit in fields.get("ulimits", ())):
            own["ulimits"] = (*fields.get("ulimits", ()), Ulimit("memlock", -1, -1))
    return own
