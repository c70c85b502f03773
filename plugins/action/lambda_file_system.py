# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring about a file system of a Lambda Cloud account."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import resources
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_task import LambdaAction


class ActionModule(LambdaAction):
    """What holds data goes only where that was said."""

    OWN: ClassVar = {
        "name": {"type": "str", "required": True},
        "region": {"type": "str"},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        "delete_data": {"type": "bool", "default": False},
    }

    def act_on(self, account: Api, options: dict[str, Any]) -> dict[str, Any]:
        present = options["state"] == "present"
        if present and not options["region"]:
            raise FleetError("region: wanted, as a file system stands in one and mounts only there.")
        return resources.file_system(
            account, options["name"], options["region"], present, options["delete_data"], self._task.check_mode
        )
