# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the module weights_copy: look first, then copy with progress."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.validation import check_type_int

from ansible_collections.inference.fleet.plugins.plugin_utils.long_task import LongTaskAction

MODULE = "inference.fleet.weights_copy"
# The module's own default, in seconds.
TIMEOUT = 7200


class ActionModule(LongTaskAction):
    """One remote call where the weights are there; detached work with progress where they are not."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        args = dict(self._task.args)
        check_mode, self._task.check_mode = self._task.check_mode, True
        try:
            look = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
        finally:
            self._task.check_mode = check_mode
        if look.get("failed") or check_mode or not look.get("changed"):
            result.update(look)
            return result
        # The module found it good.
        limit = check_type_int(args.get("timeout") or TIMEOUT)
        result.update(self.run_long(MODULE, args, task_vars, limit))
        return result
