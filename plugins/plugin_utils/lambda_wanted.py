# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a task's options to what is to be launched, held against what the account has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import machines, resources
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.launches import Wanted


def wanted(account: Api, options: Mapping[str, Any]) -> Wanted:
    """Return what to launch. FleetError for all that can be known to be wrong before anything is launched."""
    if not options["instance_types"]:
        raise FleetError("instance_types: wanted at least one type to launch (lambda_instance_type_info lists them).")
    keys = [each["name"] for each in account.get("ssh-keys")]
    key = options["ssh_key_name"] or (keys[0] if len(keys) == 1 else None)
    if key not in keys:
        wish = f"found no SSH key {key!r}" if key else "ssh_key_name: wanted the name of one"
        raise FleetError(f"{wish}. The account has: {', '.join(keys) or 'none'}. lambda_ssh_key adds one.")
    regions = tuple(options["regions"])
    image = {"id": options["image_id"]} if options["image_id"] else {"family": options["image_family"]}
    if not options["image_id"]:
        families = {each["family"] for each in resources.images(account)}
        if options["image_family"] not in families:
            raise FleetError(
                f"image_family: Lambda has no {options['image_family']!r}. It has: {', '.join(sorted(families))}."
            )
    rulesets = []
    for what, path, names in (
        ("file system", "file-systems", options["file_systems"]),
        ("firewall ruleset", "firewall-rulesets", options["firewall_rulesets"]),
    ):
        there = account.get(path) if names else []
        for name in names:
            same = [each for each in there if each["name"] == name]
            if not same:
                raise FleetError(f"The account has no {what} {name!r}.")
            places = tuple(each["region"]["name"] for each in same)
            fitting = tuple(each for each in regions if each in places) if regions else places
            if not fitting:
                raise FleetError(
                    f"The {what} {name!r} is in {', '.join(places)}, and regions are {', '.join(regions)}. "
                    "It goes only with an instance of its own region."
                )
            regions = fitting
            if what == "firewall ruleset":
                rulesets.append(next(each["id"] for each in same if each["region"]["name"] == fitting[0]))
                regions = fitting[:1]
    return Wanted(
        types=tuple(options["instance_types"]),
        ssh_key_name=str(key),
        regions=regions,
        order=options["choose_by"],
        image=image,
        lease=machines.duration(options["lease"]) if options["lease"] else None,
        tags={key: str(value) for key, value in options["tags"].items()},
        user_data=options["user_data"],
        file_system_names=tuple(options["file_systems"]),
        firewall_rulesets=tuple(rulesets),
    )
