# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the module engine: look first, then do the long work with progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.common.validation import check_type_int

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import Timeouts
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue, groups
from ansible_collections.inference.fleet.plugins.plugin_utils.instance_secrets import without_secrets
from ansible_collections.inference.fleet.plugins.plugin_utils.long_task import LongTaskAction

MODULE = "inference.fleet.engine"
KINDS = Timeouts._fields
# What the role registers, by which hosts of a group know of each other.
RESULT = "engine_result"


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
        if args.get("stage"):
            return {**result, **self._stage(args, task_vars)}
        look = self._look(args, task_vars)
        if look.get("failed") or self._task.check_mode or not look.get("steps"):
            result.update(look)
            return result
        result.update(self.run_long(MODULE, args, task_vars, time_limit(args)))
        return result

    def _stage(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Do this host's part of a stage of its group's deployment. What fails is the group's to decide of, in TELL."""
        hostvars, host = task_vars["hostvars"], task_vars["inventory_hostname"]
        stage, names = args.pop("stage"), args["group"]["names"]
        if stage == groups.LOOK:
            look = self._caught(lambda: {**self._look(args, task_vars), "changed": False})
            # What it found to differ is what the deployment changes, whatever its stages do for it.
            looked = {key: look[key] for key in ("name", "diff") if key in look}
            return {**look, "looked": looked, groups.HISTORY: {stage: groups.outcome(look)}}
        histories = {name: groups.history(hostvars[name].get(RESULT) or {}) for name in names if name in hostvars}
        known = groups.before(stage, names, histories, task_vars["ansible_play_batch"])
        own = task_vars.get(RESULT) or {}
        kept = {"done": own.get("done", []), "looked": own.get("looked", {}), "engine": own.get("engine", {})}
        if stage == groups.TELL:
            failure = groups.told(names, known)
            ended = {"ready": known.ready or not known.differs}
            if failure:
                ended = {"failed": True, "msg": f"{failure[0].upper()}{failure[1:]}"}
            return {**kept, **kept["looked"], "changed": bool(kept["done"]), "steps": kept["done"], **ended}
        result: dict[str, Any] = {"changed": False, "ready": bool(own.get("ready"))}
        for order in groups.orders(stage, known, names.index(host)):
            given = {**args, **({"state": order} if order == plan.PREFETCHED else {"stage": order})}
            result = self._caught(lambda given=given: self.run_long(MODULE, given, task_vars, time_limit(given)))
            kept["done"] = [*kept["done"], *result.get("steps", [])]
            if result.get("error"):
                break
        kept["engine"] = result.get("engine") or kept["engine"]
        return {**result, **kept, groups.HISTORY: {**histories[host], stage: groups.outcome(result)}}

    @staticmethod
    def _caught(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what work did; where it failed, or the host was not reached, with the reason under C(error)."""
        try:
            found = work()
        except AnsibleConnectionFailure as error:
            return {"error": f"it was not reached: {error}"}
        if not found.get("failed"):
            return found
        return {**found, "failed": False, "error": found.get("msg") or "it failed without a word"}

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
