# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of an evaluation: show its progress, bring its log, keep its document, judge its gates."""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept
from ansible_collections.inference.fleet.plugins.module_utils.results import store
from ansible_collections.inference.fleet.plugins.plugin_utils.gates import check_gates, judge, require_met
from ansible_collections.inference.fleet.plugins.plugin_utils.long_task import LongTaskAction, display

MODULE = "inference.fleet.evaluation"
# Reading a large log, beside the run itself, in seconds.
_OVERHEAD = 3600


class ActionModule(LongTaskAction):
    """Runs the evaluation detached on the host, and keeps its document and its log here."""

    _ends_when_interrupted = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        args = dict(self._task.args)
        try:
            folder = Path(args.get("results_dir") or "results").expanduser().absolute() / kept.FOLDER
            gates = args["gates"] = check_gates(args.get("gates") or [])
            args.setdefault("run_host", task_vars.get("inventory_hostname"))
            args.setdefault("client_host", self._task.delegate_to or task_vars.get("inventory_hostname"))
            if not self._task.check_mode:
                store.prepare(folder)
            result.update(self.run_long(MODULE, args, task_vars, self._timeout(args)))
            if result.get("skipped"):
                self.say(task_vars, f"skipped: {result['skip_reason']}")
            if "result" in result:
                self._keep(result, folder, gates, task_vars)
        except FleetError as error:
            result.update({**error.details, "failed": True, "msg": str(error)})
        return result

    def _keep(
        self, result: dict[str, Any], folder: Path, gates: list[dict[str, Any]], task_vars: dict[str, Any]
    ) -> None:
        document = result["result"]
        log, place = result.pop("log"), result.pop("place")
        document["gates"] = judge(gates, document)
        path, document["log"] = self._bring(log, folder, document["run_id"], task_vars)
        result |= {"table": kept.table(document), "log_path": str(path)}
        result["path"] = str(store.add(document, folder))
        # All of it is here now. Until then the next run of the same finds it, and asks the model nothing.
        self._low_level_execute_command(f"rm -rf {shlex.quote(place)}")
        display.display(f"\n{result['table']}\n  Result: {result['path']}\n")
        require_met(document["gates"], result["path"])

    def _bring(self, log: str, folder: Path, run_id: str, task_vars: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
        """Bring the harness's log, whole or not at all; return its path, and what the document says of it."""
        path = folder / f"{run_id}.eval"
        part = path.with_name(f".{path.name}.part")
        task = self._task.copy()
        task.args = {"src": log, "dest": str(part), "flat": True}
        fetch = self._shared_loader_obj.action_loader.get(
            "ansible.legacy.fetch",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        brought = fetch.run(task_vars=task_vars)
        try:
            if brought.get("failed"):
                raise FleetError(
                    f"the log could not be brought to {folder}: {brought.get('msg')}. It is kept on the host as {log}; "
                    "the same task brings it, and evaluates nothing again."
                )
            content = part.read_bytes()
            os.replace(part, path)
        except OSError as error:
            raise FleetError(
                f"the log could not be written to {path}: {error.strerror}. It is kept on the host."
            ) from error
        return path, {"file": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    @staticmethod
    def _timeout(args: dict[str, Any]) -> int:
        """Return the time that the module may take, in seconds. What is no number, the module itself will refuse."""
        try:
            return int(args.get("timeout") or 86400) + _OVERHEAD
        except (TypeError, ValueError):
            return _OVERHEAD
