# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the module benchmark: show its progress, keep its document, judge its gates."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.table import summary_table
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.plugin_utils.long_task import LongTaskAction, display

try:
    import jmespath
    from jmespath.exceptions import JMESPathError
except ImportError:
    jmespath = None

MODULE = "inference.fleet.benchmark"
# For what a module does around its client: pulling an image, starting, reading results.
OVERHEAD_SECONDS = 1800


class ActionModule(LongTaskAction):
    """Runs the benchmark detached on the host and writes the document here."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        args = dict(self._task.args)
        try:
            folder = Path(args.pop("results_dir", None) or "results").expanduser().absolute()
            gates = check_gates(args.pop("gates", None) or [])
            if not self._task.check_mode:
                prepare(folder)
            args.setdefault("run_host", task_vars.get("inventory_hostname"))
            done = self.run_long(MODULE, args, task_vars, self._timeout(args))
            result.update(done)
            if result.get("failed") or "result" not in result:
                return result
            document = result["result"]
            document["gates"] = judge(gates, document)
            path = write(document, folder)
            result["path"] = str(path)
            result["table"] = summary_table(document)
            # Two hosts may end at once: one call keeps a table in one piece.
            display.display(f"\n{result['table']}\n  Result: {path}\n")
            missed = [gate for gate in document["gates"] if not gate["passed"]]
            result["result"] = without_raw(document)
            if missed:
                listed = "; ".join(
                    f"{gate['message']} ({gate['condition']} gave {json.dumps(gate['value'])})" for gate in missed
                )
                raise FleetError(
                    f"{len(missed)} of {len(gates)} gates not met: {listed}. The result is kept in {path}."
                )
        except FleetError as error:
            result.update({**error.details, "failed": True, "msg": str(error)})
        return result

    @staticmethod
    def _timeout(args: dict[str, Any]) -> int:
        """Return the time that the module may take, in seconds. What is no number, the module itself will refuse."""
        try:
            runs = int(args.get("repeats") or 3) + 1
            return runs * int(args.get("timeout") or 3600) + OVERHEAD_SECONDS
        except (TypeError, ValueError):
            return OVERHEAD_SECONDS


def check_gates(gates: Any) -> list[dict[str, Any]]:
    """Return gates that can be judged. FleetError before an hour is spent on a run that they cannot judge."""
    if gates and jmespath is None:
        raise FleetError("gates need jmespath on the control host: pip install jmespath")
    checked = []
    for gate in gates:
        if not isinstance(gate, dict) or not gate.get("condition") or not gate.get("message"):
            raise FleetError(f"a gate needs a condition and a message, found {gate!r}")
        try:
            jmespath.compile(str(gate["condition"]))
        except JMESPathError as error:
            raise FleetError(
                f"the gate's condition {gate['condition']!r} is not JMESPath: {str(error).splitlines()[0]}"
            ) from error
        checked.append({"condition": str(gate["condition"]), "message": str(gate["message"])})
    return checked


def judge(gates: list[dict[str, Any]], document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each gate with what its condition gave; it is met by the value true and by no other."""
    judged = []
    for gate in gates:
        try:
            value = jmespath.search(gate["condition"], document)
        except JMESPathError as error:
            value = str(error).splitlines()[0]
        judged.append({**gate, "value": value, "passed": value is True})
    return judged


def without_raw(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document for the task's result: the raw output is large, and in the file."""
    return {
        **document,
        "repeats": [{key: value for key, value in repeat.items() if key != "raw"} for repeat in document["repeats"]],
    }


def prepare(folder: Path) -> None:
    """Make the folder for documents. FleetError where it cannot be, before a benchmark is run for nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FleetError(f"results_dir {folder} on the control host cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FleetError(f"results_dir {folder} on the control host cannot be written to by this user")


def write(document: dict[str, Any], folder: Path) -> Path:
    """Write a document whole or not at all, and never over another one."""
    path = folder / f"{document['run_id']}.json"
    temporary = None
    try:
        if path.exists():
            raise FleetError(f"there is a result {path} already; results are never written over")
        # A dot in front: reports leave such files alone.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{document['run_id']}.", suffix=".json", dir=folder)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1, allow_nan=False)
            stream.write("\n")
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        os.rename(temporary, path)
        temporary = None
    except (OSError, ValueError) as error:
        raise FleetError(f"the result could not be written to {path} on the control host: {error}") from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
    return path
