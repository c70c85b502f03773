# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the report of a folder of result documents, on the control host and without a connection."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

from ansible.utils.display import Display

from ansible_collections.inference.fleet.plugins.action.regressions import (
    RULE,
    Finder,
    accepted_worse,
    finder,
    measured,
)
from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept as evaluations
from ansible_collections.inference.fleet.plugins.module_utils.history import regressions
from ansible_collections.inference.fleet.plugins.module_utils.history.acknowledged import Acknowledgement
from ansible_collections.inference.fleet.plugins.module_utils.reports import (
    html,
    markdown,
    overview,
    spreadsheet,
    summary,
    tables,
)
from ansible_collections.inference.fleet.plugins.module_utils.results import load, words
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.plugins.plugin_utils import files
from ansible_collections.inference.fleet.plugins.plugin_utils.local_task import LocalAction

display = Display()

# Beyond this many damaged files one more warning says how many there are; all are in the result.
_WARNINGS = 20


class ActionModule(LocalAction):
    """Reads the folder, and brings the report's files up to date."""

    ARGUMENTS: ClassVar = {
        "results_dir": {"type": "path", "required": True},
        "path": {"type": "path"},
        "markdown_path": {"type": "path"},
        "markdown_whole": {"type": "bool", "default": False},
        "csv_path": {"type": "path"},
        "rent_csv_path": {"type": "path"},
        "json_path": {"type": "path"},
        **RULE,
        "show": {"type": "bool", "default": False},
    }

    def act(self, options: dict[str, Any]) -> dict[str, Any]:
        folder = Path(options["results_dir"]).absolute()
        path = Path(options["path"]).absolute() if options["path"] else folder / "report.html"
        others = {
            name: Path(options[name]).absolute()
            for name in ("markdown_path", "csv_path", "rent_csv_path", "json_path")
            if options[name] is not None
        }
        find = finder(folder, {**options, **measured(options["hosts"], self.hostvars)})
        try:
            result = report(
                folder,
                path,
                **others,
                markdown_whole=options["markdown_whole"],
                find=find,
                known=accepted_worse(folder, options),
                check_mode=self._task.check_mode,
                diff_mode=self._task.diff,
            )
        except FleetError as error:
            raise FleetError(str(error), **{"path": str(path), "results_dir": str(folder), **error.details}) from error
        if options["show"]:
            where = "would be written to" if self._task.check_mode and result["changed"] else "is at"
            display.display(f"\n{result['table']}\nThe report {where} {path}" if "table" in result else result["msg"])
        return result


def report(
    folder: Path,
    path: Path,
    markdown_path: Path | None = None,
    csv_path: Path | None = None,
    json_path: Path | None = None,
    rent_csv_path: Path | None = None,
    markdown_whole: bool = False,
    find: Finder = regressions.find,
    known: Sequence[Acknowledgement] = (),
    check_mode: bool = False,
    diff_mode: bool = False,
) -> dict[str, Any]:
    """Bring the report's files up to date with the documents of *folder*; return the task's result.

    *path* is the page's, *find* looks through the history, *known* are models that are known to score worse. Raises
    FleetError where there is nothing to report (outside check mode), where the folder or a file cannot be read or
    written, and where two files are to be one.
    """
    paths = {"path": path, "markdown_path": markdown_path, "csv_path": csv_path, "rent_csv_path": rent_csv_path}
    paths["json_path"] = json_path
    wanted = {name: found for name, found in paths.items() if found is not None}
    _refuse_same(wanted)
    loaded = load.opened(folder)
    tests, evaluated = kept.load(folder), evaluations.load(folder)
    damaged = (
        *loaded.damaged,
        *(
            load.Damaged(f"{name}/{file}", reason)
            for name, of in ((kept.FOLDER, tests), (evaluations.FOLDER, evaluated))
            for file, reason in of.damaged
        ),
    )
    found = overview.report(loaded.documents, PUBLISHED, damaged, find(loaded.documents))
    found = replace(
        found,
        acceptances=tuple(kept.latest(tests.documents).values()),
        evaluations=tuple(evaluations.told(evaluated.documents, known)),
    )
    result: dict[str, Any] = {
        "changed": False,
        **{name: str(file) for name, file in wanted.items()},
        "results_dir": str(folder),
        "runs": len(loaded.documents),
        "evaluations": len(found.evaluations),
        "series": len(found.series),
        "simulated": found.simulated,
        "absent": [asdict(item) for item in found.found.absent],
        "damaged": [{"file": words.clean(item.file), "reason": item.reason} for item in damaged],
        "warnings": _warnings(folder, damaged),
    }
    if not (loaded.documents or found.evaluations or found.acceptances):
        message = _nothing(folder, loaded)
        if not check_mode:
            raise FleetError(message, **result)
        return {**result, "msg": message}

    result["table"] = tables.text(found)
    new = {"path": html.page(found, result["table"])}
    if markdown_path:
        new["markdown_path"] = markdown.page(found, markdown_whole)
    if csv_path:
        new["csv_path"] = spreadsheet.text(loaded.documents)
    if rent_csv_path:
        new["rent_csv_path"] = spreadsheet.offers(found)
    if json_path:
        new["json_path"] = summary.text(found)
    stale = {}
    for name, text in new.items():
        old = _read(wanted[name])
        if old != text.encode("utf-8"):
            stale[name] = old
    result["changed"] = bool(stale)
    if diff_mode and stale:
        shown = {**new, "path": result["table"]}
        result["diff"] = [_difference(name, wanted[name], old, shown[name]) for name, old in stale.items()]
    if not check_mode:
        for name in stale:
            _write(wanted[name], new[name].encode("utf-8"))
    return result


def _refuse_same(wanted: dict[str, Path]) -> None:
    """Raise FleetError where two of the report's files are one."""
    names: dict[Path, str] = {}
    for name, file in wanted.items():
        other = names.setdefault(Path(os.path.normpath(file)), name)
        if other != name:
            raise FleetError(f"{other} and {name} are both {file}. Give each a file of its own.")


def _nothing(folder: Path, loaded: load.Loaded) -> str:
    if loaded.damaged:
        found = f"none of the {len(loaded.damaged)} files in {folder} can be read as one"
    else:
        found = f"{folder} " + ("is empty" if folder.is_dir() else "does not exist")
        if folder.is_dir() and any(folder.iterdir()):
            found = f"{folder} holds no .json file"
    return (
        f"There is no result document to report: {found}. "
        "Run the playbook benchmark.yml first, or name the folder that has them."
    )


def _warnings(folder: Path, damaged: tuple[load.Damaged, ...]) -> list[str]:
    found = [
        f"Left out of the report: {folder / words.clean(item.file)}: {item.reason}" for item in damaged[:_WARNINGS]
    ]
    if len(damaged) > _WARNINGS:
        found.append(f"Left out of the report: {len(damaged) - _WARNINGS} more files of {folder}, named in the result")
    return found


def _read(path: Path) -> bytes | None:
    """Return what a file holds; None where there is none."""
    try:
        return path.read_bytes() if path.exists() else None
    except OSError as error:
        raise FleetError(f"The report {path} cannot be read: {error.strerror}.") from error


def _difference(name: str, path: Path, old: bytes | None, text: str) -> dict[str, str]:
    """Return the difference of a file; of the page that of its printed tables, else it would be plots, line by line."""
    before = "" if old is None else old.decode("utf-8", errors="replace")
    if name == "path" and old is not None:
        before = html.text_of(before) or "(not a report of this collection)\n"
        if before == text:
            before += "(the same tables on a page with other details)\n"
    return {"before_header": str(path), "after_header": str(path), "before": before, "after": text}


def _write(path: Path, content: bytes) -> None:
    try:
        files.replace(path, content)
    except OSError as error:
        raise FleetError(f"The report cannot be written to {path}: {error.strerror}.") from error
