# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which hosts are ready for an engine, on the control host and without a connection."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible.utils.color import stringc
from ansible.utils.display import Display

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import doctor

display = Display()


class ActionModule(ActionBase):
    """Runs in Ansible's own process: nothing is copied to, or run on, any host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "results": {"type": "dict", "required": True},
                "ignored_checks": {"type": "dict", "default": {}},
                "path": {"type": "path"},
            }
        )
        ignored = options["ignored_checks"]
        rows = [doctor.row(host, found, ignored.get(host, ())) for host, found in options["results"].items()]
        report = doctor.document(rows)
        display.display(f"\n{doctor.table(rows, _paint)}\n")
        # All that is known is in the file: a failure prints the whole result.
        hosts = {item.host: f"{item.state}{f': {item.text}' if item.text else ''}" for item in rows}
        result.update(changed=False, hosts=hosts, ok=report["ok"], msg=f"{doctor.summary(rows)}.")
        try:
            if options["path"]:
                path = Path(options["path"]).absolute()
                result.update(path=str(path), changed=write(path, report, self._task.check_mode))
        except FleetError as error:
            return {**result, "failed": True, "msg": str(error)}
        if not report["ok"]:
            result["failed"] = True
        return result


def _paint(text: str, well: bool) -> str:
    return stringc(text, C.COLOR_OK if well else C.COLOR_ERROR)


def write(path: Path, report: dict[str, Any], check_mode: bool = False) -> bool:
    """Replace the document at *path* in one step where it says something else; tell whether it did."""
    content = (json.dumps(report, indent=2) + "\n").encode()
    temporary = None
    try:
        if path.exists() and path.read_bytes() == content:
            return False
        if check_mode:
            return True
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            # mkstemp's mode is 0600; a report is to be read as any new file of the user's.
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(stream.fileno(), 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise FleetError(f"The doctor's report cannot be written to {path}: {error.strerror}.") from error
    return True
