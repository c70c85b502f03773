# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an instance of Lambda Cloud, as the modules return it, to a host of an inventory. All pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import (
    GROUP,
    LAUNCH,
    UNTIL,
)
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import LAUNCHED as LAUNCHED_AT
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.pace import state_folder

USER = "ubuntu"
PYTHON = "/usr/bin/python3"
# The group of what a playbook has just launched.
LAUNCHED = "lambda_launched"
_SECRETS = ("jupyter_token", "jupyter_url", "user_data")


def without_secrets(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return an instance of the API's without what opens it: it may be kept in a cache."""
    return {key: value for key, value in raw.items() if key not in _SECRETS}


def address(instance: Mapping[str, Any], by: str) -> str | None:
    """Return the address by which a host is reached; *by* is public or private."""
    return instance["ip" if by == "public" else "private_ip"]


def variables(instance: Mapping[str, Any], by: str, user: str = USER, python: str = PYTHON) -> dict[str, Any]:
    """Return a host's variables.

    Its host key is learnt at the first contact and checked after, by the instance's id: an address that the cloud gives
    to another instance is another host. So is a connection that still stands to the one before.
    """
    options = (
        f"-o HostKeyAlias=lambda-{instance['id']}",
        f"-o UserKnownHostsFile={state_folder() / 'known_hosts'}",
        "-o StrictHostKeyChecking=accept-new",
    )
    return {
        "ansible_host": address(instance, by),
        "ansible_user": user,
        "ansible_python_interpreter": python,
        "ansible_ssh_common_args": " ".join(options),
        "ansible_control_path": f"%(directory)s/lambda-{instance['id'][:16]}-%%r",
        "lambda_cloud": dict(instance),
    }


def groups(instance: Mapping[str, Any]) -> list[str]:
    """Return the groups of a host: by its GPUs, profile, region, status, tags and count."""
    family, _count = profiles.split(instance["profile"])
    names = [family, instance["profile"], f"region_{instance['region']}", f"status_{instance['status']}"]
    for key, value in instance["tags"].items():
        # What one launch has alone makes no group.
        if key not in (LAUNCH, LAUNCHED_AT, UNTIL):
            names += [f"tag_{key}", f"tag_{key}_{value}"]
    if instance["tags"].get(GROUP):
        names.append(f"lambda_{instance['tags'][GROUP]}")
    return list(dict.fromkeys(re.sub(r"[^A-Za-z0-9_]", "_", name) for name in names))


def inventory(instances: Iterable[Mapping[str, Any]], by: str = "public") -> dict[str, Any]:
    """Return an inventory of instances as a YAML file has it, with all of them in the group LAUNCHED."""
    children: dict[str, Any] = {LAUNCHED: {"hosts": {}}}
    for instance in instances:
        name = instance["name"] or instance["id"]
        children[LAUNCHED]["hosts"][name] = variables(instance, by)
        for group in groups(instance):
            children.setdefault(group, {"hosts": {}})["hosts"][name] = {}
    return {"all": {"children": children}}
