# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An action that does all its work on the control host: nothing is copied to, or run on, any host."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible.plugins.action import ActionBase

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError


class LocalAction(ActionBase):
    """Runs in Ansible's own process, without a connection."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False

    # What the task takes, as a module's argument_spec.
    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check the task's options, do it, and turn what went wrong into its failure."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.hostvars: Mapping[str, Any] = (task_vars or {}).get("hostvars") or {}
        _validation, options = self.validate_argument_spec(argument_spec=self.ARGUMENTS)
        try:
            result.update(self.act(options))
        except FleetError as error:
            result.update({**error.details, "failed": True, "msg": str(error)})
        return result

    @abstractmethod
    def act(self, options: dict[str, Any]) -> dict[str, Any]:
        """Do the task and return its result."""
