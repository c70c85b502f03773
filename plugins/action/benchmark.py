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

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import comparison
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.table import summary_table
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.reports import load as documents
from ansible_collections.inference.fleet.plugins.plugin_utils.long_task import LongTaskAction, display

try:
    import jmespath
    from jmespath.exceptions import JMESPathError
except ImportError:
    jmespath = None

MODULE = "inference.fleet.benchmark"
PUBLISHED, PREVIOUS = "published", "previous"
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
            named = args.pop("baselines", None)
            baselines = find_baselines(["published"] if named is None else named, folder)
            if not self._task.check_mode:
                prepare(folder)
            args.setdefault("run_host", task_vars.get("inventory_hostname"))
            args.setdefault("client_host", self._task.delegate_to or task_vars.get("inventory_hostname"))
            done = self.run_long(MODULE, args, task_vars, self._timeout(args))
            result.update(done)
            if "result" not in result:
                return result
            document = result["result"]
            document["baselines"] = compare(document, baselines, folder)
            document["gates"] = judge(gates, document)
            path = write(document, folder)
            result["path"] = str(path)
            result["table"] = summary_table(document)
            # Two hosts may end at once: one call keeps a table in one piece.
            display.display(f"\n{result['table']}\n  Result: {path}\n")
            missed = [gate for gate in document["gates"] if not gate["passed"]]
            result["result"] = without_raw(document)
            if result.get("failed"):
                count = len(document["sweep"]["points"])
                raise FleetError(f"{result['msg']}\nThe {count} points before it are kept in {path}.")
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
            points = len(args.get("sweep") or ()) + 1
            runs = int(args.get("repeats") or 3) + 1
            each = runs * int(args.get("timeout") or 3600) + int(args.get("wait_idle") or 0)
            return points * each + OVERHEAD_SECONDS
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


def find_baselines(names: Any, folder: Path) -> list[str | dict[str, Any]]:
    """Return what to compare with: a word, or an earlier document. FleetError before a run that cannot be compared."""
    if not isinstance(names, list):
        raise FleetError(f"baselines: wanted a list, found {names!r}")
    found: list[str | dict[str, Any]] = []
    for name in map(str, names):
        if name in (PUBLISHED, PREVIOUS):
            found.append(name)
            continue
        paths = [Path(name).expanduser(), folder / f"{name}.json"]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise FleetError(
                f"baselines: wanted {PUBLISHED}, {PREVIOUS}, a run id in {folder} or the path of a result document, "
                f"found {name!r}. There is no such file on the control host."
            )
        try:
            found.append(documents.read(path))
        except ValueError as error:
            raise FleetError(f"baselines: {path} on the control host is no result to compare with: {error}") from error
    return found


def compare(document: dict[str, Any], baselines: list[str | dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Return the document beside each baseline that there is."""
    compared = []
    for baseline in baselines:
        if baseline == PUBLISHED:
            row = comparison.published_row(document)
            compared += [comparison.with_published(row, document)] if row else []
        else:
            other = previous(document, folder) if baseline == PREVIOUS else baseline
            compared += [comparison.with_run(other, document)] if other else []
    return compared


def previous(document: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """Return the newest other document of the same host, engine, model and workload; damaged ones are passed over."""
    # Run ids, and so the names of files, sort by time, and have the host in them.
    host = document["run_id"].partition("-")[2].rpartition("-")[0]
    for path in sorted(folder.glob(f"*-{host}-*.json"), reverse=True):
        try:
            other = documents.read(path)
        except ValueError:
            continue
        if other["run_id"] != document["run_id"] and comparison.same_subject(document, other):
            return other
    return None


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

    def lighter(part: dict[str, Any]) -> dict[str, Any]:
        repeats = [{key: value for key, value in repeat.items() if key != "raw"} for repeat in part["repeats"]]
        return {**part, "repeats": repeats}

    sweep = document["sweep"]
    if sweep:
        sweep = {**sweep, "points": [lighter(point) for point in sweep["points"]]}
    return {**lighter(document), "sweep": sweep}


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
