# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the module engine_pause: an engine may take minutes to serve again."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.validation import check_type_int

from ansible_collections.inference.fleet.plugins.plugin_utils.long_task import LongTaskAction

MODULE = "inference.fleet.engine_pause"
# The module's own defaults, in seconds.
_LIMITS = {"wait_idle": 0, "start_timeout": 120, "ready_timeout": 1800, "stop_timeout": 30}
_AROUND = 300


class ActionModule(LongTaskAction):
    """Runs the module detached on the host, with its progress."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars, args = task_vars or {}, dict(self._task.args)
        if self._task.check_mode:
            result.update(self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars))
        else:
            limit = _AROUND + sum(check_type_int(args.get(name, seconds)) for name, seconds in _LIMITS.items())
            result.update(self.run_long(MODULE, args, task_vars, limit))
        if result.get("skipped"):
            self.say(task_vars, f"skipped: {result['skip_reason']}")
        return result
