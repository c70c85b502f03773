# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Lambda Cloud over real HTTP, in a time that passes only where somebody waits."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.inference.fleet.plugins.action import (
    lambda_file_system,
    lambda_firewall_ruleset,
    lambda_instance,
    lambda_instance_info,
    lambda_instance_type_info,
    lambda_reap,
    lambda_ssh_key,
)
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.pace import Clock


def _rig(name: str) -> Any:
    path = Path(__file__).resolve().parents[5] / f"tests/rigs/lambda_cloud/{name}.py"
    spec = importlib.util.spec_from_file_location(f"lambda_{name}", path)
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fake, shapes, ssh = (_rig(name) for name in ("fake", "shapes", "ssh"))

KEY = "secret_lambda-key_0123456789abcdef"
BEGIN = 1_795_600_000.0
ADDRESSES = [f"127.0.0.{number}" for number in range(11, 31)]
# Kinds of exchanges that were held against the API's description.
CHECKED: set[str] = set()
MODULES = {
    "instance": lambda_instance,
    "instance_info": lambda_instance_info,
    "instance_type_info": lambda_instance_type_info,
    "reap": lambda_reap,
    "ssh_key": lambda_ssh_key,
    "file_system": lambda_file_system,
    "firewall_ruleset": lambda_firewall_ruleset,
}


class Time(Clock):
    """Passes where somebody waits, and a little with each look at it."""

    def __init__(self) -> None:
        object.__setattr__(self, "value", BEGIN)
        object.__setattr__(self, "waits", [])
        object.__setattr__(self, "events", [])
        object.__setattr__(self, "lock", threading.Lock())

    def now(self) -> float:
        return self.value

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.waits.append(seconds)
            object.__setattr__(self, "value", self.value + seconds)
            due = [event for event in self.events if event[0] <= self.value]
            self.events[:] = [event for event in self.events if event[0] > self.value]
        for _moment, happens in due:
            happens()

    def at(self, seconds: float, happens: Any) -> None:
        """Have something happen so many seconds after the beginning."""
        self.events.append((BEGIN + seconds, happens))


class Account:
    """A cloud, its server, its time, and control hosts that ask it."""

    def __init__(self, folder: Path) -> None:
        self.time = Time()
        self.cloud = fake.Cloud(KEY, self.time.now, ADDRESSES)
        # As the real one counts.
        self.cloud.request_seconds, self.cloud.launch_seconds = 1.0, 12.0
        self.cloud.boot_seconds, self.cloud.address_seconds, self.cloud.end_seconds = 300.0, 320.0, 40.0
        self.folder = folder
        self.said: list[str] = []
        self.port = 22
        self.url = ""

    def api(self, host: str = "control", **options: Any) -> Api:
        return Api(
            options.pop("key", KEY),
            self.url,
            clock=self.time,
            folder=self.folder / host,
            say=self.said.append,
            **{"timeout": 5.0, **options},
        )

    def run(self, module: str = "instance", *, check: bool = False, host: str = "control", **options: Any) -> Any:
        """Run a module as the action does, from a control host."""
        action = MODULES[module]
        validated = ArgumentSpecValidator(action.ActionModule.ARGUMENTS).validate(options)
        assert not validated.error_messages, validated.error_messages
        if module == "instance":
            validated.validated_parameters["ssh_port"] = self.port
        this = SimpleNamespace(_task=SimpleNamespace(check_mode=check))
        result = action.ActionModule.act_on(this, self.api(host), validated.validated_parameters)
        assert "jupyter-secret" not in json.dumps(result)
        return result

    def launch(self, **options: Any) -> Any:
        return self.run(
            **{"name": "h100-1", "instance_types": ["gpu_1x_h100_sxm5"], "regions": ["us-west-1"], **options}
        )

    def fault(self, method: str, path: str, what: str, times: int = 1, **more: Any) -> None:
        self.cloud.faults.append(fake.Fault(method, path, what, times, **more))

    def asked(self, method: str, path: str) -> int:
        """Return how many requests came."""
        return sum(each.method == method and each.path == path for each in self.cloud.exchanges)


@pytest.fixture(scope="session")
def ssh_port():
    """A port at which all addresses of the fake's machines say that they are SSH servers."""
    with ssh.answering(ADDRESSES) as port:
        yield port


@pytest.fixture
def account(tmp_path, ssh_port):
    found = Account(tmp_path / "state")
    found.port = ssh_port
    with fake.Server(found.cloud) as server:
        found.url = server.url
        yield found
    description = shapes.described()
    for exchange in found.cloud.exchanges:
        shapes.check(exchange)
        if description and shapes.outline(exchange) not in CHECKED:
            shapes.check_described(exchange, description)
            CHECKED.add(shapes.outline(exchange))
        assert exchange.headers.get("Authorization", f"Bearer {KEY}").startswith("Bearer ")
        assert KEY not in json.dumps(exchange.asked)
    assert KEY not in " ".join(found.said)
