# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring about an SSH key of a Lambda Cloud account."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import resources
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_task import LambdaAction


class ActionModule(LambdaAction):
    """The private key stays where it is: none is made here, and none is sent."""

    OWN: ClassVar = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        "public_key": {"type": "str"},
        "public_key_file": {"type": "path"},
    }

    def act_on(self, account: Api, options: dict[str, Any]) -> dict[str, Any]:
        present = options["state"] == "present"
        key, path = options["public_key"], options["public_key_file"]
        if present and (key is None) == (path is None):
            raise FleetError("Wanted either public_key or public_key_file, such as ~/.ssh/id_ed25519.pub.")
        if present and path:
            try:
                key = Path(path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise FleetError(f"public_key_file: {path}: {getattr(error, 'strerror', None) or error}") from error
        return resources.ssh_key(account, options["name"], key, present, self._task.check_mode)
