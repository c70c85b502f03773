# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which hosts are ready for an engine, on the control host and without a connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible import constants as C
from ansible.utils.color import stringc
from ansible.utils.display import Display

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import doctor, engine_group
from ansible_collections.inference.fleet.plugins.plugin_utils import files
from ansible_collections.inference.fleet.plugins.plugin_utils.local_task import LocalAction

display = Display()


class ActionModule(LocalAction):
    """Prints the table, and keeps what it was made of."""

    _supports_diff = False
    ARGUMENTS: ClassVar = {
        "results": {"type": "dict", "required": True},
        "ignored_checks": {"type": "dict", "default": {}},
        "groups": {"type": "dict", "default": {}},
        "members": {"type": "dict", "default": {}},
        "answers": {"type": "dict", "default": {}},
        "path": {"type": "path"},
        "results_dir": {"type": "path"},
        "fail": {"type": "bool", "default": True},
    }

    def act(self, options: dict[str, Any]) -> dict[str, Any]:
        ignored = options["ignored_checks"]
        results = with_groups(options["results"], options["groups"], options["members"], options["answers"])
        if options["results_dir"]:
            results = with_acceptance(results, Path(options["results_dir"]))
        rows = [doctor.row(host, found, ignored.get(host, ())) for host, found in results.items()]
        report = doctor.document(rows)
        display.display(f"\n{doctor.table(rows, _paint)}\n")
        # All that is known is in the file: a failure prints the whole result.
        hosts = {item.host: f"{item.state}{f': {item.text}' if item.text else ''}" for item in rows}
        ready = {item.host: item.state == doctor.WELL for item in rows}
        result: dict[str, Any] = {"changed": False, "hosts": hosts, "ready": ready, "ok": report["ok"]}
        result |= {"msg": f"{doctor.summary(rows)}.", "failed": options["fail"] and not report["ok"]}
        if options["path"]:
            result["path"] = str(Path(options["path"]).absolute())
            result["changed"] = _keep(Path(result["path"]), report, result, self._task.check_mode)
        return result


def with_acceptance(results: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return results with a check more on each host that has GPUs: how its last acceptance test went."""
    tests = kept.latest(each for each in kept.load(folder).documents if not each["simulated"])
    found = {}
    for host, result in results.items():
        gpus = (result.get("host") or {}).get("gpus")
        check = [kept.check(tests.get(host), gpus)] if gpus and "checks" in result else []
        found[host] = {**result, "checks": [*result["checks"], *check]} if check else result
    return found


def with_groups(
    results: Mapping[str, Any], groups: Mapping[str, Any], members: Mapping[str, Any], answers: Mapping[str, Any]
) -> dict[str, Any]:
    """Return results with a check more on each host that serves a model with others: whether all of them do."""
    found = dict(results)
    for host, names in groups.items():
        if names and "checks" in found.get(host, {}):
            check = engine_group.check(names, members, answers.get(names[0]) or {})
            found[host] = {**found[host], "checks": [*found[host]["checks"], check]}
    return found


def _paint(text: str, well: bool) -> str:
    return stringc(text, C.COLOR_OK if well else C.COLOR_ERROR)


def _keep(path: Path, report: dict[str, Any], result: dict[str, Any], check_mode: bool) -> bool:
    """Bring the document at *path* up to date; tell whether it said something else."""
    content = (json.dumps(report, indent=2) + "\n").encode()
    try:
        if path.exists() and path.read_bytes() == content:
            return False
        if not check_mode:
            files.replace(path, content)
    except OSError as error:
        raise FleetError(f"The doctor's report cannot be written to {path}: {error.strerror}.", **result) from error
    return True
