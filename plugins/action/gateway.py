# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of a gateway: clients' keys stay here, and their hashes go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import spec

# What a gateway has to know of what the lookup endpoints tells.
KEPT = ("host", "slot", "url", "external_url", "address", "port", "bind_address", "api_key", "served_model_names")


class ActionModule(ActionBase):
    """Runs the module with less than it was given."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the module's result."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        try:
            arguments["endpoints"] = [_without(each, KEPT) for each in arguments.get("endpoints") or []]
            arguments["clients"] = [_hashed(each) for each in arguments.get("clients") or []]
        except FleetError as error:
            return {**result, "failed": True, "msg": str(error)}
        result.update(
            self._execute_module(module_name="inference.fleet.gateway", module_args=arguments, task_vars=task_vars)
        )
        return result


def _without(given: Any, kept: tuple[str, ...]) -> Any:
    return {name: given[name] for name in kept if name in given} if isinstance(given, Mapping) else given


def _hashed(given: Any) -> Any:
    """Return a client with its key's hash in the key's place. FleetError where it cannot be one."""
    if not isinstance(given, Mapping):
        return given
    read = spec.client(given)
    return {**{name: value for name, value in given.items() if name != "key"}, "key_sha256": read.key_sha256}
