# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which types of instance Lambda Cloud rents, for how much, and where one is free now."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import offers
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_task import LambdaAction


class ActionModule(LambdaAction):
    """Reads, and changes nothing."""

    OWN: ClassVar = {
        "instance_types": {"type": "list", "elements": "str", "default": []},
        "free_only": {"type": "bool", "default": False},
    }

    def act_on(self, account: Api, options: dict[str, Any]) -> dict[str, Any]:
        found = offers.offers(account)
        chosen = offers.known(found, options["instance_types"] or sorted(found))
        told = [each.told() for each in chosen if each.regions or not options["free_only"]]
        return {"changed": False, "instance_types": sorted(told, key=lambda each: (each["hourly_usd"], each["name"]))}
