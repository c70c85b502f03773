# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an instance of Lambda Cloud to a host of an inventory. Pure but for the place of the host keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import Machine, oldest_first
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.pace import state_folder

_SECRETS = ("jupyter_token", "jupyter_url", "user_data")


def without_secrets(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return an instance of the API's without what opens it: it may be kept in a cache."""
    return {key: value for key, value in raw.items() if key not in _SECRETS}


def in_order(found: Iterable[Machine]) -> list[Machine]:
    """Return them in an order that does not change from run to run."""
    return oldest_first(found)


def address(machine: Machine, by: str) -> str | None:
    """Return the address by which a host is reached."""
    return machine.ip if by == "public" else machine.private_ip


def told(machine: Machine) -> dict[str, Any]:
    """Return the instance as the modules do, with what it costs until now."""
    return machine.told(datetime.now(timezone.utc))


def known_hosts() -> str:
    """Return the path of the file with the host keys of instances."""
    return str(state_folder() / "known_hosts")


def connection(machine: Machine, at: str, user: str) -> dict[str, Any]:
    """Return the variables with which Ansible reaches a host.

    The host key is learnt at the first contact and checked after, by the instance's id: an address that the cloud gives
    to another instance is another host.
    """
    state_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    options = (
        f"-o HostKeyAlias=lambda-{machine.id}",
        f"-o UserKnownHostsFile={known_hosts()}",
        "-o StrictHostKeyChecking=accept-new",
    )
    return {"ansible_host": at, "ansible_user": user, "ansible_ssh_common_args": " ".join(options)}


def groups(machine: Machine) -> list[str]:
    """Return the groups of a host."""
    names = [machine.family, machine.profile, f"region_{machine.region}", f"status_{machine.status}"]
    for key, value in machine.tags.items():
        names += [f"tag_{key}", f"tag_{key}_{value}"]
    if machine.group:
        names.append(f"lambda_{machine.group}")
    return list(dict.fromkeys(re.sub(r"[^A-Za-z0-9_]", "_", name) for name in names))
