# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the module benchmark: show its progress, keep its document, judge its gates."""

from __future__ import annotations

import base64
import json
import shlex
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import recorded
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.table import summary_table
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import (
    comparison,
    series,
    spool,
    store,
    words,
)
from ansible_collections.inference.fleet.plugins.module_utils.results import load as documents
from ansible_collections.inference.fleet.plugins.module_utils.results.document import check
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import Document, Subject, points, subject
from ansible_collections.inference.fleet.plugins.plugin_utils.gates import check_gates, judge, require_met
from ansible_collections.inference.fleet.plugins.plugin_utils.long_task import LongTaskAction, display

MODULE = "inference.fleet.benchmark"
PUBLISHED, PREVIOUS = "published", "previous"
# The module's own default.
WORK_DIR = "/var/tmp/inference.fleet/benchmark"
# A run that is kept on its host: its document, its gates, what to compare it with, the hosts that recorded their GPUs.
Kept = tuple[dict[str, Any], list[dict[str, Any]], list[str], list[str]]
# For what a module does around its client: pulling an image, starting, reading results.
OVERHEAD_SECONDS = 1800


class ActionModule(LongTaskAction):
    """Runs the benchmark detached on the host and writes the document here."""

    _ends_when_interrupted = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        args = dict(self._task.args)
        try:
            folder = Path(args.pop("results_dir", None) or "results").expanduser().absolute()
            args.setdefault("run_host", task_vars.get("inventory_hostname"))
            args.setdefault("client_host", self._task.delegate_to or task_vars.get("inventory_hostname"))
            if args.get("kept"):
                self._complete(folder, result, args, task_vars)
                return result
            # The module gets both as well: it keeps them with a result that this control host may never see.
            gates = args["gates"] = check_gates(args.get("gates") or [])
            if args.get("baselines") is None:
                args["baselines"] = [PUBLISHED]
            baselines = find_baselines(args["baselines"], folder)
            if not self._task.check_mode:
                store.prepare(folder)
                collected = self._collect(folder, args, task_vars)
                if collected:
                    result["collected"] = [str(path) for path in collected]
            done = self.run_long(MODULE, args, task_vars, self._timeout(args))
            result.update(done)
            if result.get("skipped"):
                self.say(task_vars, f"skipped: {result['skip_reason']}")
            if "result" not in result:
                return result
            document = result["result"]
            if args.get("recorded_hosts"):
                if result.get("kept") and not result.get("failed"):
                    # There is no result yet.
                    del result["result"]
                    return result
                recorded.complete(document, args["recorded_hosts"], {})
            self._conclude(document, baselines, gates, folder, result, args)
        except FleetError as error:
            result.update({**error.details, "failed": True, "msg": str(error)})
        return result

    def _conclude(
        self,
        document: dict[str, Any],
        baselines: Baselines,
        gates: list[dict[str, Any]],
        folder: Path,
        result: dict[str, Any],
        args: dict[str, Any],
    ) -> None:
        """Compare a document, judge it, write and show it. FleetError where it does not meet its gates."""
        put_beside(document, baselines, folder)
        document["gates"] = judge(gates, document)
        result["table"] = summary_table(document)
        result["result"] = documents.without_raw(document)
        path = self._store(document, folder, result, args)
        result["path"] = str(path)
        # Two hosts may end at once: one call keeps a table in one piece.
        display.display(f"\n{result['table']}\n  Result: {path}\n")
        if result.get("failed"):
            count = len(document["sweep"]["points"])
            raise FleetError(f"{result['msg']}\nThe {count} points before it are kept in {path}.")
        require_met(document["gates"], path)

    def _complete(self, folder: Path, result: dict[str, Any], args: dict[str, Any], task_vars: dict[str, Any]) -> None:
        """Put what other hosts recorded into a run that is kept on the client's host, and conclude it."""
        kept = args["kept"]
        recordings = {item["host"]: item["windows"] for item in args.get("recordings") or ()}
        found = self._read(kept, task_vars)
        if found is None:
            raise FleetError(
                f"kept: wanted the run {kept} on {args['client_host']}, and could not read it. Where it is still "
                f"there, the next benchmark of {args['run_host']} brings it to {folder}."
            )
        document, gates, names, hosts = found
        recorded.complete(document, hosts, recordings)
        result.update(changed=True, kept=kept)
        self._conclude(document, _still_there(names, folder), gates, folder, result, args)

    def _read(self, file: str, task_vars: dict[str, Any]) -> Kept | None:
        """Return a run that is kept on the host; None where it cannot be had. FleetError where it is none."""
        fetched = self._execute_module("ansible.legacy.slurp", {"src": file}, task_vars=task_vars)
        if fetched.get("failed"):
            return None
        try:
            kept = json.loads(base64.b64decode(fetched["content"]))
            check(kept["document"])
            # An earlier release knew no recordings.
            return kept["document"], check_gates(kept["gates"]), kept["baselines"], kept.get("recorded_hosts", [])
        except (ValueError, KeyError, TypeError, FleetError) as error:
            raise FleetError(f"{file} on the host is no result, and was left there: {error}") from error

    def _store(self, document: dict[str, Any], folder: Path, result: dict[str, Any], args: dict[str, Any]) -> Path:
        """Add the document to the history, and have the host forget it; FleetError says where it is otherwise."""
        kept = result.pop("kept", None)
        try:
            path = store.add(document, folder)
        except store.ExistsError:
            # Run ids are never used twice: another task has just collected this very run.
            path = folder / f"{document['run_id']}.json"
        except FleetError as error:
            if not kept:
                raise
            raise FleetError(
                f"{error}. It is kept on {args['client_host']} as {kept}; the next benchmark of {args['run_host']} "
                f"brings it to {folder}.",
                kept=kept,
            ) from error
        if kept:
            self._low_level_execute_command(f"rm -f {shlex.quote(kept)}")
        return path

    def _collect(self, folder: Path, args: dict[str, Any], task_vars: dict[str, Any]) -> list[Path]:
        """Bring results of this host that never reached the control host into the history; return their paths.

        FleetError where one cannot be written: neither could that of the run that is about to begin.
        """
        work_dir = self._remote_expand_user(args.get("work_dir") or WORK_DIR)
        spooled = shlex.quote(f"{work_dir}/{spool.FOLDER}")
        listed = self._low_level_execute_command(f"find {spooled} -name '[!.]*.json' -type f 2>/dev/null | sort")
        collected = []
        for file in listed["stdout"].split():
            try:
                found = self._read(file, task_vars)
            except FleetError as error:
                display.warning(f"[{args['run_host']}] {error}")
                continue
            if found is None:
                # Another task was faster, or it will be said the next time.
                continue
            document, gates, baselines, hosts = found
            if document["host"] != args["run_host"]:
                continue
            recorded.complete(document, hosts, {})
            put_beside(document, _still_there(baselines, folder), folder)
            document["gates"] = judge(gates, document)
            try:
                collected.append(store.add(document, folder))
                self.say(task_vars, f"an earlier result that was still on the host is now in {collected[-1]}")
            except store.ExistsError:
                pass
            self._low_level_execute_command(f"rm -f {shlex.quote(file)}")
        return collected

    @staticmethod
    def _timeout(args: dict[str, Any]) -> int:
        """Return the time that the module may take, in seconds. What is no number, the module itself will refuse."""
        try:
            points = len(args.get("sweep") or ()) + 1
            runs = int(args.get("repeats") or 3) + 1
            wait = int(args.get("wait_idle") or 0)
            each = runs * int(args.get("timeout") or 3600) + wait
            # Another benchmark of the host is waited for once.
            return wait + points * each + OVERHEAD_SECONDS
        except (TypeError, ValueError):
            return OVERHEAD_SECONDS


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


def _still_there(names: Any, folder: Path) -> list[str | dict[str, Any]]:
    """Return what an earlier run was to be compared with, as far as it can be had today."""
    found = []
    for name in names:
        try:
            found += find_baselines([name], folder)
        except FleetError as error:
            display.warning(f"an earlier result is not compared: {error}")
    return found


Baselines = list[str | dict[str, Any]]
Runs = dict[Subject, tuple[Any, ...]]


def put_beside(document: dict[str, Any], baselines: Baselines, folder: Path) -> None:
    """Give a document, and each point of its sweep, its comparisons with each baseline that there is."""
    runs = earlier(document, folder) if baselines else {}
    listed = (document.get("sweep") or {}).get("points") or ()
    for point in points(document):
        compared = compare(point, baselines, runs)
        number = point.get("point", 1)
        if number == 1:
            document["baselines"] = compared
        if listed:
            listed[number - 1]["baselines"] = compared


def compare(point: Document, baselines: Baselines, runs: Runs) -> list[dict[str, Any]]:
    """Return a document, or a point of one, beside each baseline that there is for it. *runs* is of :func:`earlier`."""
    compared = []
    mine = runs.get(subject(point), ())
    history = comparison.earlier(mine)
    for baseline in baselines:
        if baseline == PUBLISHED:
            row = comparison.published_row(point)
            found = comparison.with_published(row, point, history) if row else None
        elif baseline == PREVIOUS:
            found = _with_previous(point, history, runs)
        else:
            other = _alike(baseline, point)
            found = comparison.with_run(other, point, history) if other else None
        # Each later point of a sweep has a workload of its own. That it is not the baseline's, the first one says.
        if found and (found["same_workload"] or point.get("point", 1) == 1):
            compared.append(found)
    return compared


def _with_previous(point: Document, history: list[Any], runs: Runs) -> dict[str, Any] | None:
    """Return the comparison with the newest earlier run of the subject that counts, or why there is none."""
    if history:
        return comparison.with_run(history[-1], point, history)
    place = subject(point).place
    others = [run for of, found in runs.items() if of.place == place and of != subject(point) for run in found]
    return comparison.not_compared(series.by_time(others)[-1], point) if others else None


def _alike(document: dict[str, Any], point: Document) -> Document | None:
    """Return the point of another document that has a point's workload; that document itself where none has."""
    wanted = dict(subject(point).workload)
    return next((other for other in points(document) if dict(subject(other).workload) == wanted), document)


def earlier(document: dict[str, Any], folder: Path) -> Runs:
    """Return by subject the runs before a document, oldest first, those of sweeps' points too.

    A folder that cannot be read tells nothing; damaged files are passed over.
    """
    try:
        found = documents.load(folder).documents
    except OSError:
        return {}
    start, own = words.parse_time(document["started_at"]), document["run_id"]
    before = [run for run in found if run["run_id"] != own and words.parse_time(run["started_at"]) <= start]
    return {item.subject: item.runs for item in series.all_series(before)}
