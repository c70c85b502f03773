# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the acceptance test: the fleet's other tests beside it, and its document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept, verdict
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import store
from ansible_collections.inference.fleet.plugins.plugin_utils.long_task import LongTaskAction, display

MODULE = "inference.fleet.gpu_acceptance"
# Pulling an image, and what the program may take beside its load, in seconds.
_OVERHEAD = 3600 + 1200


class ActionModule(LongTaskAction):
    """Runs the test detached on the host, judges it beside others, and keeps it."""

    _ends_when_interrupted = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        args = dict(self._task.args)
        args.setdefault("run_host", task_vars.get("inventory_hostname"))
        folder = Path(args.get("results_dir") or "results").expanduser().absolute()
        try:
            seconds = int(args.get("seconds") or 60)
        except ValueError:
            # What is no number the module refuses.
            seconds = 60
        try:
            if not self._task.check_mode:
                store.prepare(folder / kept.FOLDER)
            result.update(self.run_long(MODULE, args, task_vars, seconds + _OVERHEAD))
            if "result" in result:
                self._tell(result, folder, args)
        except FleetError as error:
            result.update({**error.details, "failed": True, "msg": str(error)})
            # A failure prints all of its result, and the table was printed.
            for key in ("result", "lines", "table"):
                result.pop(key, None)
        return result

    def _tell(self, result: dict[str, Any], folder: Path, args: dict[str, Any]) -> None:
        others = kept.load(folder).documents
        document = kept.beside(result["result"], others, float(args.get("sick_percent") or 25))
        sick = document["verdict"] == verdict.SICK
        result |= {
            "result": document,
            "verdict": document["verdict"],
            "lines": document["verdicts"],
            "table": kept.table(document),
            "msg": kept.sentence(document),
        }
        first_look = args.get("keep") == "sick" and not sick
        if self._task.check_mode or first_look:
            result["changed"] = False
            if not first_look:
                display.display(f"\n{result['table']}\n")
            return
        path = store.add(document, folder / kept.FOLDER)
        result["path"] = str(path)
        display.display(f"\n{result['table']}\n  Acceptance: {path}\n")
        if sick and boolean(args.get("fail", True)):
            found = "\n".join(kept.troubles(document))
            raise FleetError(
                f"{document['host']} is not sound:\n{found}\n"
                f"Have it replaced, or give it back. The whole test is in {path}."
            )
