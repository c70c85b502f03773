# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of Lambda Cloud as an inventory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_hosts import inventory

DOCUMENTATION = r"""
name: lambda_inventory
version_added: "0.1.0"
short_description: Make an inventory of instances of Lambda Cloud
author: inference.fleet contributors (@inference-fleet)
description:
  - Takes what M(inference.fleet.lambda_instance) returned in C(instances), and returns an inventory with the groups and
    the variables that the inventory plugin P(inference.fleet.lambda_cloud#inventory) gives them. All of them are in the
    group C(lambda_launched) too.
options:
  _input:
    description: The instances.
    type: list
    elements: dict
    required: true
  by:
    description: The address by which they are reached.
    type: str
    choices: [public, private]
    default: public
"""

EXAMPLES = r"""
- name: Write an inventory of what was launched
  ansible.builtin.copy:
    content: "{{ launched.instances | inference.fleet.lambda_inventory | to_nice_yaml }}"
    dest: launched.yml
    mode: "0600"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The inventory, with C(all) at its top.
  type: dict
"""


class FilterModule:
    """Ansible finds filters here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"lambda_inventory": inventory}
