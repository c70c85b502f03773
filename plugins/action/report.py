# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the report of a folder of result documents, on the control host and without a connection."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.inference.fleet.plugins.module_utils.baselines.published import PUBLISHED
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.reports import html, load, plots, series, tables, words

display = Display()

# Beyond this many damaged files one more warning says how many there are; all are in the result.
_WARNINGS = 20


class ActionModule(ActionBase):
    """Runs in Ansible's own process: nothing is copied to, or run on, any host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "results_dir": {"type": "path", "required": True},
                "path": {"type": "path"},
                "show": {"type": "bool", "default": False},
            }
        )
        folder = Path(options["results_dir"]).absolute()
        path = Path(options["path"]).absolute() if options["path"] else folder / "report.html"
        # A folder that Ansible removes when it ends.
        plots.use_cache(Path(C.DEFAULT_LOCAL_TMP))
        try:
            result.update(report(folder, path, check_mode=self._task.check_mode, diff_mode=self._task.diff))
        except FleetError as error:
            result.update(
                {"path": str(path), "results_dir": str(folder), **error.details, "failed": True, "msg": str(error)}
            )
        if options["show"] and not result.get("failed"):
            where = "would be written to" if self._task.check_mode and result["changed"] else "is at"
            display.display(f"\n{result['table']}\nThe report {where} {path}" if "table" in result else result["msg"])
        return result


def report(folder: Path, path: Path, check_mode: bool = False, diff_mode: bool = False) -> dict[str, Any]:
    """Bring the page at *path* up to date with the documents of *folder*; return the task's result.

    Raises FleetError where there is nothing to report (outside check mode), where a folder or the
    page cannot be read or written, and where matplotlib is missing.
    """
    if folder.exists() and not folder.is_dir():
        raise FleetError(f"{folder} is not a folder. results_dir is the folder of the result documents.")
    try:
        loaded = load.load(folder)
    except OSError as error:
        raise FleetError(f"The results folder {folder} cannot be listed: {error.strerror}.") from error
    groups = series.group(loaded.documents)
    result: dict[str, Any] = {
        "changed": False,
        "path": str(path),
        "results_dir": str(folder),
        "runs": len(loaded.documents),
        "series": sum(len(item.series) for item in groups),
        "simulated": sum(document["simulated"] for document in loaded.documents),
        "damaged": [{"file": words.clean(item.file), "reason": item.reason} for item in loaded.damaged],
        "warnings": _warnings(folder, loaded.damaged),
    }
    if not loaded.documents:
        message = _nothing(folder, loaded)
        if not check_mode:
            raise FleetError(message, **result)
        return {**result, "msg": message}

    text = tables.text(groups, len(loaded.documents))
    new = html.page(groups, PUBLISHED, loaded.damaged, text).encode("utf-8")
    try:
        old = path.read_bytes() if path.exists() else None
    except OSError as error:
        raise FleetError(f"The report {path} cannot be read: {error.strerror}.") from error
    result.update(changed=old != new, table=text)
    if diff_mode and result["changed"]:
        result["diff"] = _difference(path, old, text)
    if result["changed"] and not check_mode:
        _write(path, new)
    return result


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


def _difference(path: Path, old: bytes | None, text: str) -> dict[str, str]:
    """Return the difference of the printed tables: that of the page would be plots, line by line."""
    before = ""
    if old is not None:
        before = html.text_of(old.decode("utf-8", errors="replace")) or "(not a report of this collection)\n"
        if before == text:
            before += "(the same tables on a page with other details)\n"
    return {"before_header": str(path), "after_header": str(path), "before": before, "after": text}


def _write(path: Path, content: bytes) -> None:
    """Replace the page in one step, so that a reader never sees half of it."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            # mkstemp's mode is 0600; a page is to be read as any new file of the user's.
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(stream.fileno(), 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise FleetError(f"The report cannot be written to {path}: {error.strerror}.") from error
