# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task that speaks with Lambda Cloud from the control host: its options, its key, and what it says meanwhile."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

from ansible.utils.display import Display

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import pace
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import URL, Api
from ansible_collections.inference.fleet.plugins.plugin_utils.local_task import LocalAction

display = Display()

OPTIONS: dict[str, dict[str, Any]] = {
    "api_key": {"type": "str", "no_log": True},
    "api_key_file": {"type": "path"},
    "api_url": {"type": "str"},
    "request_interval": {"type": "float", "default": pace.REQUEST_SECONDS},
    "launch_interval": {"type": "float", "default": pace.LAUNCH_SECONDS},
    "settle_timeout": {"type": "float", "default": 120.0},
    "api_timeout": {"type": "float", "default": 60.0},
}


def api(options: Mapping[str, Any], say: Callable[[str], None] | None = None) -> Api:
    """Return the account's API from the options that every module and the inventory share.

    FleetError where no key is given.
    """
    return Api(
        key(options),
        options.get("api_url") or os.environ.get("LAMBDA_API_URL") or URL,
        timeout=options["api_timeout"],
        settle=options["settle_timeout"],
        request_seconds=options["request_interval"],
        launch_seconds=options["launch_interval"],
        say=say or display.display,
    )


def key(options: Mapping[str, Any]) -> str:
    """Return the API key: from the option, from its file, or from the environment. FleetError where there is none."""
    if options.get("api_key"):
        return str(options["api_key"]).strip()
    if options.get("api_key_file"):
        path = Path(options["api_key_file"])
        try:
            found = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise FleetError(f"api_key_file: {path}: {error.strerror}") from error
        if not found:
            raise FleetError(f"api_key_file: {path} is empty; wanted the key in it")
        return found
    if os.environ.get("LAMBDA_API_KEY", "").strip():
        return os.environ["LAMBDA_API_KEY"].strip()
    raise FleetError(
        "No key for Lambda Cloud: set LAMBDA_API_KEY, or the option api_key_file or api_key. Lambda's console makes "
        "one (https://cloud.lambda.ai/api-keys)."
    )


class LambdaAction(LocalAction):
    """An action with the account's API at hand."""

    # What a module takes beside OPTIONS.
    OWN: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.ARGUMENTS = {**OPTIONS, **cls.OWN}

    def act(self, options: dict[str, Any]) -> dict[str, Any]:
        """Do the task with the account's API."""
        return self.act_on(api(options), options)

    @abstractmethod
    def act_on(self, account: Api, options: dict[str, Any]) -> dict[str, Any]:
        """Do the task and return its result."""


def now(account: Api) -> datetime:
    """Return the time as the account's clock has it."""
    return datetime.fromtimestamp(account.clock.now(), timezone.utc)
