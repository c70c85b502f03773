# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which machine images Lambda Cloud has."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import resources
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_task import LambdaAction


class ActionModule(LambdaAction):
    """Reads, and changes nothing."""

    OWN: ClassVar = {"family": {"type": "str"}, "region": {"type": "str"}}

    def act_on(self, account: Api, options: dict[str, Any]) -> dict[str, Any]:
        return {"changed": False, "images": resources.images(account, options["family"], options["region"])}
