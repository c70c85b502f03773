# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's place in its engine group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.plugin_utils import groups

DOCUMENTATION = r"""
name: group_member
version_added: "0.1.0"
short_description: Tell a host's place among the hosts that serve one model together
author: inference.fleet contributors (@inference-fleet)
description:
  - Reads C(engine_group) and what belongs to it from the variables of a host and of the others of its group.
options:
  _input:
    description: The host's name in the inventory.
    type: str
    required: true
  hostvars:
    description: The variables of all hosts, which Ansible has under this name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Tell which host is the head
  ansible.builtin.debug:
    msg: "{{ (inventory_hostname | inference.fleet.group_member(hostvars)).names | first }}"
  when: engine_group is defined
"""

RETURN = r"""
_value:
  description: The option O(inference.fleet.engine#module:group) for the host; empty where it serves alone.
  type: dict
"""


def group_member(host: str, hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the place."""
    try:
        return groups.member(host, hostvars)
    except FleetError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter, under its name."""

    def filters(self) -> dict[str, Any]:
        """Return it."""
        return {"group_member": group_member}
