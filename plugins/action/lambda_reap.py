# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End the instances of Lambda Cloud whose lease is over."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import ending
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import machine
from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_task import LambdaAction, now


class ActionModule(LambdaAction):
    """Looks at all that is ours, and ends what is past its lease; nothing else."""

    OWN: ClassVar = {"wait_timeout": {"type": "int", "default": int(ending.TIMEOUT)}}

    def act_on(self, account: Api, options: dict[str, Any]) -> dict[str, Any]:
        found = [machine(raw) for raw in account.get("instances")]
        moment = now(account)
        over = [each for each in found if each.overdue(moment)]
        if over and not self._task.check_mode:
            account.say(f"past the end of their leases: ending {', '.join(each.name for each in over)}")
            ending.end(account, over, options["wait_timeout"])
            found = [machine(raw) for raw in account.get("instances")]
        else:
            found = [each for each in found if each not in over]
        left = ending.left(account, found)
        result = {
            "changed": bool(over),
            "ended": [each.told(moment) for each in over],
            "kept": [each.told(moment) for each in found if each.ours and each.live],
            "left": left,
            "msg": ending.in_words(over, now(account), left, self._task.check_mode),
        }
        account.say(str(result["msg"]))
        if over:
            before = {each.name: each.told(moment)["lease_until"] for each in over}
            result["diff"] = {"before": before, "after": {}}
        return result
