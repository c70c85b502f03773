# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring about a firewall ruleset of a Lambda Cloud account."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import resources
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_task import LambdaAction


class ActionModule(LambdaAction):
    """Rules of an instance. Those of the account are never written."""

    OWN: ClassVar = {
        "name": {"type": "str", "required": True},
        "region": {"type": "str"},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        "rules": {"type": "list", "elements": "dict", "default": []},
    }

    def act_on(self, account: Api, options: dict[str, Any]) -> dict[str, Any]:
        present = options["state"] == "present"
        if present and not options["region"]:
            raise FleetError("region: wanted, as a ruleset goes only with instances of its own region.")
        return resources.firewall_ruleset(
            account, options["name"], options["region"], options["rules"], present, self._task.check_mode
        )
