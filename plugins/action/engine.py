# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the module engine: look first, then do the long work with progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.validation import check_type_int

from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import Timeouts
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue
from ansible_collections.inference.fleet.plugins.plugin_utils.instance_secrets import without_secrets
from ansible_collections.inference.fleet.plugins.plugin_utils.long_task import LongTaskAction

MODULE = "inference.fleet.engine"
KINDS = Timeouts._fields


class ActionModule(LongTaskAction):
    """One remote call where nothing differs; detached work with progress where something does."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        try:
            args = catalogue.with_models(self._task.args)
        except FleetError as error:
            return {**result, "failed": True, "msg": str(error)}
        if catalogue.are_entries(args.get("instances")):
            args["instances"], args["instance_secrets"] = without_secrets(args["instances"])
        look = self._look(args, task_vars)
        if look.get("failed") or self._task.check_mode or not look.get("steps"):
            result.update(look)
            return result
        result.update(self.run_long(MODULE, args, task_vars, time_limit(args)))
        return result

    def _look(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the module in check mode, which is a look at what there is to do."""
        check_mode = self._task.check_mode
        self._task.check_mode = True
        try:
            return self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
        finally:
            self._task.check_mode = check_mode


def time_limit(args: Mapping[str, Any]) -> int:
    """Return the time that the module may take, in seconds: another run's, for which it waits, and its own.

    *args* are the task's own, which the module has found good: a result need not say what it was called with.
    """
    total = 0
    for entry in args.get("instances") or [{}]:
        given = {kind: entry.get(f"{kind}_timeout", args.get(f"{kind}_timeout")) for kind in KINDS}
        limits = {kind: check_type_int(value) for kind, value in given.items() if value is not None}
        replicas = check_type_int(entry.get("replicas") or args.get("replicas") or 1)
        total += Timeouts(**limits).longest * replicas
    return 2 * total
