# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Close a playbook with one table of its hosts, failures last, and the same as JSON."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Close a playbook with one table of its hosts, and the same as a JSON file
version_added: "0.1.0"
author: inference.fleet contributors (@inference-fleet)
description:
  - Prints, when a playbook ends, a row for each engine of each host - profile, engine and version, image digest, state,
    what changed, seconds, endpoint. Hosts that failed or could not be reached come last, each with its reason and what
    to do.
  - In check mode it tells what would change, field by field, which makes C(deploy.yml --check) a report of drift.
  - Writes the same as JSON, whole or not at all. Where Ansible's own output is JSON, prints nothing.
  - The collection's own playbooks have it without being told. For other playbooks name it in C(callbacks_enabled).
requirements:
  - for playbooks of your own, C(callbacks_enabled = inference.fleet.summary) in ansible.cfg
options:
  path:
    description:
      - The JSON file. A relative path is one under the variable C(fleet_dir) where that is given with C(-e), else under
        the directory in which Ansible runs. C({playbook}) is the name of the playbook's file without its ending.
        Nothing is written where it is empty.
    type: str
    default: reports/summary-{playbook}.json
    env:
      - name: INFERENCE_FLEET_SUMMARY
    ini:
      - section: inference_fleet
        key: summary
"""

import json
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.callback import CallbackBase

from ansible_collections.inference.fleet.plugins.plugin_utils import endpoints, files, summary


class CallbackModule(CallbackBase):
    """Notes what tasks return, and says it at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "inference.fleet.summary"
    CALLBACK_NEEDS_ENABLED = True
    # It may be loaded twice, enabled and beside the collection's playbooks; the first one speaks.
    _speaker: CallbackModule | None = None

    def __init__(self, display: Any = None, options: Any = None) -> None:
        super().__init__(display, options)
        if CallbackModule._speaker is None:
            CallbackModule._speaker = self
        self._records: dict[str, summary.HostRecord] = {}
        self._hosts: dict[str, Any] = {}
        self._started: set[str] = set()
        self._running: dict[tuple[str, str], float] = {}
        self._playbook, self._folder = "playbook", ""
        self._begun, self._begun_at = time.monotonic(), datetime.now(timezone.utc)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._playbook = Path(playbook._file_name).stem
        self._begun, self._begun_at = time.monotonic(), datetime.now(timezone.utc)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        # All hosts of the play, not only those of its first batch.
        self._variables = play.get_variable_manager()
        variables = self._variables.get_vars(play=play)
        self._folder = str(variables.get("fleet_dir") or "")
        for name in variables.get("ansible_play_hosts_all", ()):
            self._record(name)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._started.add(host.get_name())
        self._running[host.get_name(), task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        record = self._ended(result)
        for each in result.result.get("results") or [result.result]:
            summary.note(record, _action(result.task), _title(result.task), each)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._ended(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        record = self._ended(result)
        if not ignore_errors:
            summary.note_failure(record, _action(result.task), _title(result.task), result.result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        record = self._ended(result)
        # It may be another host that did not answer, which the play goes on without.
        if not (result.task.delegate_to and result.task.ignore_unreachable):
            summary.note_unreachable(record, _title(result.task), result.result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if CallbackModule._speaker is not self:
            return
        for name, record in self._records.items():
            if not (stats.failures.get(name) or stats.dark.get(name)):
                # What failed was rescued.
                record.reason = record.failed_task = None
            if any(map(summary.is_open, record.engines.values())):
                record.address = _address(self._variables.get_vars(host=self._hosts[name]), name)
        troubled = bool(stats.failures or stats.dark)
        made = summary.document(
            self._playbook,
            list(self._records.values()),
            # With run_once most hosts have nothing to do: only a play that was stopped leaves hosts out.
            self._started if troubled else self._records,
            check_mode=bool(context.CLIARGS.get("check")),
            started_at=self._begun_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=time.monotonic() - self._begun,
        )
        text = summary.table(made)
        # What another program is to read must stay in one piece.
        quiet = "json" in C.DEFAULT_STDOUT_CALLBACK
        if text and not quiet:
            self._display.banner("SUMMARY")
            self._display.display(text)
        leases = {name: (host.vars.get("lambda_cloud") or {}).get("lease_until") for name, host in self._hosts.items()}
        over = summary.overdue(leases, datetime.now(timezone.utc))
        if over and not quiet:
            self._display.warning(over)
        self._write(made, quiet)

    def _write(self, made: dict[str, Any], quiet: bool) -> None:
        named = self.get_option("path")
        if not named:
            return
        path = Path(self._folder, Path(named.replace("{playbook}", self._playbook)).expanduser()).absolute()
        try:
            files.replace(path, (json.dumps(made, indent=1) + "\n").encode())
        except OSError as error:
            self._display.warning(f"The summary could not be written to {path}: {error.strerror}.")
            return
        if not quiet:
            self._display.display(f"\nSummary: {path}")

    def _record(self, name: str) -> summary.HostRecord:
        return self._records.setdefault(name, summary.HostRecord(name))

    def _ended(self, result: Any) -> summary.HostRecord:
        """Return the host's record, with the time that the task took for it."""
        name = result.host.get_name()
        record = self._record(name)
        self._hosts[name] = result.host
        begun = self._running.pop((name, result.task._uuid), None)
        record.seconds += time.monotonic() - begun if begun is not None else 0.0
        return record


def _address(variables: Mapping[str, Any], name: str) -> str:
    """Return where others reach a host, as the inventory has it; what is made of other variables is not worked out."""
    given = endpoints.address(name, variables)
    return "" if "{{" in given or variables.get("ansible_connection") == "local" else given


def _action(task: Any) -> str:
    return str(task.resolved_action or task.action)


def _title(task: Any) -> str:
    """Return a task's name without that of its role."""
    return str(task.name or task.get_name())
