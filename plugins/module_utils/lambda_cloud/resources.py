# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instances are launched with: SSH keys, file systems, firewall rulesets and images, each found by its name."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api

Diff = dict[str, Any]


def one_by_name(found: Iterable[Mapping[str, Any]], name: str, what: str, region: str | None = None) -> Any:
    """Return the item of a name, and of a region where one is given, or None. FleetError where several have it."""
    same = [each for each in found if each["name"] == name and region in (None, (each.get("region") or {}).get("name"))]
    if len(same) > 1:
        raise FleetError(
            f"{len(same)} {what}s are called {name!r}: {', '.join(each['id'] for each in same)}. Name one."
        )
    return same[0] if same else None


def public_key(text: str) -> str:
    """Return the type and the data of a public key, which two spellings of it share; FleetError where it is none."""
    words = text.split()
    try:
        if "PRIVATE KEY" in text:
            raise ValueError
        base64.b64decode(words[1], validate=True)
    except (IndexError, ValueError, binascii.Error):
        raise FleetError("public_key: wanted one line such as 'ssh-ed25519 AAAA… comment'") from None
    return " ".join(words[:2])


def ssh_key(api: Api, name: str, key: str | None, present: bool, check_mode: bool) -> dict[str, Any]:
    """Bring an SSH key about. The API cannot change one: a name that has another key is refused."""
    found = one_by_name(api.get("ssh-keys"), name, "SSH key")
    if not present:
        if found and not check_mode:
            api.repeatable("DELETE", f"ssh-keys/{found['id']}")
        return {"changed": found is not None, "ssh_key": None}
    wanted = public_key(key or "")
    if found is not None:
        if public_key(found["public_key"]) != wanted:
            raise FleetError(
                f"The SSH key {name!r} of the account is another than the one wanted. Keys cannot be changed: give "
                "another name, or remove it first (state: absent)."
            )
        return {"changed": False, "ssh_key": _key(found)}
    if check_mode:
        return {"changed": True, "ssh_key": {"name": name, "public_key": wanted}}
    made = api.once(
        lambda: api.send("POST", "ssh-keys", {"name": name, "public_key": (key or "").strip()}),
        lambda: one_by_name(api.get("ssh-keys"), name, "SSH key"),
        f"the SSH key {name}",
    )
    return {"changed": True, "ssh_key": _key(made)}


def _key(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in ("id", "name", "public_key")}


def file_system(
    api: Api, name: str, region: str | None, present: bool, delete_data: bool, check_mode: bool
) -> dict[str, Any]:
    """Bring a file system about. One that holds data is removed only where that was said."""
    found = one_by_name(api.get("file-systems"), name, "file system", region)
    if present and found is None:
        if check_mode:
            return {"changed": True, "file_system": {"name": name, "region": region}}
        found = api.once(
            lambda: api.send("POST", "filesystems", {"name": name, "region": region}),
            lambda: one_by_name(api.get("file-systems"), name, "file system", region),
            f"the file system {name}",
        )
        return {"changed": True, "file_system": _file_system(found)}
    if present:
        return {"changed": False, "file_system": _file_system(found)}
    if found is None:
        return {"changed": False, "file_system": None}
    if found.get("bytes_used", 0) and not delete_data:
        raise FleetError(
            f"The file system {name} in {found['region']['name']} holds {found['bytes_used'] / 2**30:.1f} GiB, which "
            "would be lost. Say so with delete_data: true."
        )
    if found["is_in_use"]:
        raise FleetError(f"The file system {name} is mounted by an instance. End that first (lambda_instance_info).")
    if not check_mode:
        api.repeatable("DELETE", f"filesystems/{found['id']}")
    return {"changed": True, "file_system": None}


def _file_system(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: found[key] for key in ("id", "name", "mount_point", "is_in_use")},
        "region": found["region"]["name"],
        "bytes_used": found.get("bytes_used", 0),
    }


def rule(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule in the one form in which two of them are compared; FleetError where it is none.

    >>> rule({"protocol": "TCP", "port_range": [443, 443], "source_network": "192.0.2.7"})["source_network"]
    '192.0.2.7/32'
    """
    protocol = str(given.get("protocol", "")).lower()
    if protocol not in ("tcp", "udp", "icmp", "all"):
        raise FleetError(f"rules: protocol is {given.get('protocol')!r}; wanted tcp, udp, icmp or all")
    try:
        network = ipaddress.IPv4Network(str(given["source_network"]), strict=False)
    except (KeyError, ValueError) as error:
        raise FleetError(f"rules: source_network: wanted such as 192.0.2.0/24, {error}") from None
    found = {
        "protocol": protocol,
        "source_network": str(network),
        "description": str(given.get("description") or "")[:128],
    }
    if protocol in ("tcp", "udp"):
        ports = list(map(int, given.get("port_range") or ()))
        if len(ports) != 2 or not 1 <= ports[0] <= ports[1] <= 65535:
            raise FleetError(f"rules: port_range is {given.get('port_range')!r}; wanted two ports, such as [443, 443]")
        found["port_range"] = ports
    return found


def firewall_ruleset(
    api: Api, name: str, region: str | None, rules: Sequence[Mapping[str, Any]], present: bool, check_mode: bool
) -> dict[str, Any]:
    """Bring a ruleset about. It is attached at a launch; the account's own rules are never written."""
    found = one_by_name(api.get("firewall-rulesets"), name, "firewall ruleset", region)
    if not present:
        if found and not check_mode:
            api.repeatable("DELETE", f"firewall-rulesets/{found['id']}")
        return {"changed": found is not None, "firewall_ruleset": None}
    wanted = _sorted(map(rule, rules))
    if found is None:
        if check_mode:
            return {"changed": True, "firewall_ruleset": {"name": name, "region": region, "rules": wanted}}
        made = api.once(
            lambda: api.send("POST", "firewall-rulesets", {"name": name, "region": region, "rules": wanted}),
            lambda: one_by_name(api.get("firewall-rulesets"), name, "firewall ruleset", region),
            f"the firewall ruleset {name}",
        )
        return {"changed": True, "firewall_ruleset": _ruleset(made)}
    before = _sorted(map(rule, found["rules"]))
    if before == wanted:
        return {"changed": False, "firewall_ruleset": _ruleset(found)}
    if not check_mode:
        found = api.repeatable("PATCH", f"firewall-rulesets/{found['id']}", {"rules": wanted})
    told = {**_ruleset(found), "rules": wanted}
    return {
        "changed": True,
        "firewall_ruleset": told,
        "diff": {"before": {"rules": before}, "after": {"rules": wanted}},
    }


def _sorted(rules: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rules, key=lambda each: sorted((key, str(value)) for key, value in each.items()))


def _ruleset(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: found[key] for key in ("id", "name", "rules", "instance_ids")},
        "region": found["region"]["name"],
    }


def images(api: Api, family: str | None = None, region: str | None = None) -> list[dict[str, Any]]:
    """Return the images, the newest first."""
    found = [
        {
            **{key: each[key] for key in ("id", "name", "family", "version", "architecture", "created_time")},
            "region": each["region"]["name"],
        }
        for each in api.get("images")
    ]
    fitting = (each for each in found if family in (None, each["family"]) and region in (None, each["region"]))
    return sorted(fitting, key=lambda each: each["created_time"], reverse=True)
