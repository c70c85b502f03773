# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which instances run in an account of Lambda Cloud, and what they cost."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import ending
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import machine
from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_task import LambdaAction, now


class ActionModule(LambdaAction):
    """Reads, and changes nothing."""

    OWN: ClassVar = {
        "name": {"type": "str"},
        "only_ours": {"type": "bool", "default": False},
        "over_too": {"type": "bool", "default": False},
    }

    def act_on(self, account: Api, options: dict[str, Any]) -> dict[str, Any]:
        found = [machine(raw) for raw in account.get("instances")]
        moment = now(account)
        chosen = [
            each
            for each in found
            if options["name"] in (None, each.name, each.group)
            and (each.ours or not options["only_ours"])
            and (each.live or options["over_too"])
        ]
        live = [each for each in chosen if each.live]
        left = ending.left(account, found)
        return {
            "changed": False,
            "instances": [each.told(moment) for each in chosen],
            "hourly_usd": round(sum(each.hourly_usd for each in live), 2),
            "cost_usd": round(sum(each.cost_usd(moment) or 0.0 for each in live), 2),
            "overdue": [each.name for each in found if each.overdue(moment)],
            "left": left,
            "msg": ending.left_in_words(left),
        }
