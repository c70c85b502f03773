# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of Lambda Cloud, in groups that appear by themselves."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lambda_cloud
version_added: "0.1.0"
short_description: Hosts of Lambda Cloud
author: inference.fleet contributors (@inference-fleet)
description:
  - Lists the instances of an account, and makes groups of them by their GPUs (C(h100), C(a100_40gb)), hardware profile
    (C(h100x4)), region (C(region_us_west_1)), status (C(status_active)) and tags (C(tag_KEY_VALUE), C(tag_KEY)).
  - A host's variables say how it is reached - the user and Python of Lambda's images, and a host key that is learnt at
    the first contact with an instance and checked after. The key is remembered by the instance and not by its address,
    so one that the cloud gives again does not trip it.
  - C(lambda_cloud) has the instance as M(inference.fleet.lambda_instance_info) returns it.
extends_documentation_fragment:
  - inference.fleet.lambda_cloud
  - constructed
  - inventory_cache
options:
  plugin:
    description: The plugin's name. The file that has it ends in C(lambda.yml) or C(lambda_cloud.yml), .yaml likewise.
    required: true
    choices: [inference.fleet.lambda_cloud]
  statuses:
    description: Instances in one of these are hosts.
    type: list
    elements: str
    choices: [booting, active, unhealthy, terminating, terminated, preempted]
    default: [active]
  only_ours:
    description: Whether only what this collection launched is a host.
    type: bool
    default: true
  connect_by:
    description: The address by which Ansible reaches a host. One that has none yet is left out.
    type: str
    choices: [public, private]
    default: public
  hostname:
    description:
      - A Jinja2 expression, as in O(compose), that gives a host its name, with the keys of C(lambda_cloud) at hand.
      - Where two instances get the same name, the younger has its id behind it.
    type: str
    default: name or hostname or id
  ansible_user:
    description: The user of the image.
    type: str
    default: ubuntu
  ansible_python_interpreter:
    description: The Python of the image.
    type: str
    default: /usr/bin/python3
"""

EXAMPLES = r"""
# inventories/lambda/lambda.yml. Then: ansible-playbook inference.fleet.deploy -i inventories/lambda -l h100
plugin: inference.fleet.lambda_cloud

---
# All instances of the account, reached by their private addresses, and asked for once in five minutes.
plugin: inference.fleet.lambda_cloud
only_ours: false
connect_by: private
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/inference.fleet/lambda
cache_timeout: 300
keyed_groups:
  - key: lambda_cloud.instance_type
    prefix: type
"""

from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import pace
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import (
    STATUSES,
    Machine,
    machine,
    oldest_first,
)
from ansible_collections.inference.fleet.plugins.plugin_utils import lambda_hosts
from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_task import api

_SUFFIXES = tuple(f"{name}.{end}" for name in ("lambda", "lambda_cloud") for end in ("yml", "yaml"))


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """The plugin."""

    NAME = "inference.fleet.lambda_cloud"

    def verify_file(self, path: str) -> bool:
        """Tell whether a file is for this plugin, by its name."""
        return bool(super().verify_file(path)) and path.endswith(_SUFFIXES)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the hosts."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        found = [machine(raw) for raw in self._instances(path, cache)]
        try:
            self._add(found)
        except FleetError as error:
            raise AnsibleParserError(str(error)) from error

    def _instances(self, path: str, cache: bool) -> list[dict[str, Any]]:
        """Return the instances as the API gives them, without secrets. While the cache is fresh, nobody is asked."""
        key = self.get_cache_key(path)
        use, update = self.get_option("cache"), self.get_option("cache")
        if use and cache:
            try:
                return self._cache[key]
            except KeyError:
                update = True
        names = ("api_key", "api_key_file", "api_url", "request_interval", "settle_timeout", "api_timeout")
        options = {name: self.get_option(name) for name in names}
        try:
            account = api({**options, "launch_interval": pace.LAUNCH_SECONDS}, say=self.display.vv)
            found = [lambda_hosts.without_secrets(raw) for raw in account.get("instances")]
        except FleetError as error:
            raise AnsibleParserError(str(error)) from error
        if update:
            self._cache[key] = found
        return found

    def _add(self, found: list[Machine]) -> None:
        statuses, by = self.get_option("statuses"), self.get_option("connect_by")
        unknown = [status for status in statuses if status not in STATUSES]
        if unknown:
            raise FleetError(f"statuses: {', '.join(unknown)}; wanted some of {', '.join(STATUSES)}")
        strict = self.get_option("strict")
        names: set[str] = set()
        now = datetime.now(timezone.utc)
        for each in oldest_first(found):
            if each.status not in statuses or (self.get_option("only_ours") and not each.ours):
                continue
            told = each.told(now)
            if lambda_hosts.address(told, by) is None:
                if each.status == "active":
                    self.display.warning(f"{each.name or each.id} is active and has no {by} address yet: left out.")
                continue
            name = self._hostname(told)
            if name in names:
                name = f"{name}-{each.id[:8]}"
            names.add(name)
            self.inventory.add_host(name)
            user, python = (self.get_option(option) for option in ("ansible_user", "ansible_python_interpreter"))
            variables = lambda_hosts.variables(told, by, user, python)
            for key, value in variables.items():
                self.inventory.set_variable(name, key, value)
            for group in lambda_hosts.groups(told):
                self.inventory.add_child(self.inventory.add_group(group), name)
            self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
            self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)

    def _hostname(self, told: dict[str, Any]) -> str:
        expression = self.get_option("hostname")
        try:
            return str(self._compose(expression, told) or told["id"])
        except AnsibleError as error:
            raise AnsibleParserError(f"hostname: {expression}: {error}") from error
