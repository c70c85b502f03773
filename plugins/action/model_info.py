# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the module model_info: it reads the catalogue, and hands over what is asked for."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue


class ActionModule(ActionBase):
    """One remote call."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result = super().run(tmp, task_vars)
        del tmp
        args = dict(self._task.args)
        try:
            if args.get("model"):
                known = catalogue.resolved(args, args.get("catalogue"))
                found = {"id": known["model"], **known["model_facts"]}
                args |= {"model": known["model"], "revision": known.get("revision"), "models": [found]}
            else:
                args["models"] = catalogue.all_facts(args.get("catalogue"))
        except FleetError as error:
            return {**result, "failed": True, "msg": str(error)}
        result.update(
            self._execute_module(module_name="inference.fleet.model_info", module_args=args, task_vars=task_vars)
        )
        return result
