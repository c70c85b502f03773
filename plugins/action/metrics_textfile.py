# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the last runs and evaluations for node_exporter, on the control host and without a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import kept as evaluations
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import textfile as evaluated
from ansible_collections.inference.fleet.plugins.module_utils.history import textfile
from ansible_collections.inference.fleet.plugins.module_utils.results import load, words
from ansible_collections.inference.fleet.plugins.plugin_utils import files
from ansible_collections.inference.fleet.plugins.plugin_utils.local_task import LocalAction


class ActionModule(LocalAction):
    """Compares what the history says with what the file says."""

    ARGUMENTS: ClassVar = {
        "results_dir": {"type": "path", "required": True},
        "path": {"type": "path", "required": True},
        "regressions": {"type": "list", "elements": "dict", "default": []},
        "absent": {"type": "list", "elements": "dict", "default": []},
        "worse": {"type": "list", "elements": "dict", "default": []},
    }

    def act(self, options: dict[str, Any]) -> dict[str, Any]:
        folder, path = (Path(options[name]).absolute() for name in ("results_dir", "path"))
        found = (options[name] for name in ("regressions", "absent", "worse"))
        return write(folder, path, *found, check_mode=self._task.check_mode, diff_mode=self._task.diff)


def write(
    folder: Path,
    path: Path,
    found: Sequence[Mapping[str, Any]] = (),
    absent: Sequence[Mapping[str, Any]] = (),
    worse: Sequence[Mapping[str, Any]] = (),
    *,
    check_mode: bool = False,
    diff_mode: bool = False,
) -> dict[str, Any]:
    """Bring the textfile at *path* up to date with the documents of *folder*; return the task's result.

    FleetError where either cannot be read or written, or *path* is not what node_exporter would read.
    """
    if path.suffix != ".prom":
        raise FleetError(f"path: node_exporter reads files that end in .prom, found {path.name}")
    loaded = load.opened(folder)
    try:
        new = textfile.text(loaded.documents, found, len(loaded.damaged), absent)
        new += evaluated.text(evaluations.load(folder).documents, worse)
    except KeyError as error:
        raise FleetError(
            f"regressions, absent and worse: wanted what inference.fleet.regressions returned; {error} is missing"
        ) from error
    try:
        old = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        result: dict[str, Any] = {"changed": old != new, "path": str(path), "runs": len(loaded.documents)}
        if result["changed"] and not check_mode:
            files.replace(path, new.encode(), mode=0o644)
    except OSError as error:
        raise FleetError(f"The textfile {path} cannot be written: {error.strerror}.") from error
    if loaded.damaged:
        result["warnings"] = [
            f"Not read: {folder / words.clean(item.file)}: {item.reason}" for item in loaded.damaged[:20]
        ]
    if diff_mode and result["changed"]:
        result["diff"] = {"before_header": str(path), "after_header": str(path), "before": old, "after": new}
    return result
