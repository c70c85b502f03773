# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts of an inventory are there to serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: host_pattern
version_added: "0.1.0"
short_description: Tell which hosts of an inventory are there to serve
author: inference.fleet contributors (@inference-fleet)
description:
  - Returns the pattern of the hosts on which the collection's playbooks work - all of the inventory but those of the
    group C(control), which run benchmarks on a timer, and of the group C(gateway), which are what clients talk to.
  - The variable C(fleet_hosts) takes its place in the playbooks, as in C(-e fleet_hosts=h100).
options:
  _input:
    description: The inventory's groups, as C(groups).
    type: dict
    required: true
  empty:
    description: The pattern where the inventory has no host.
    type: str
    default: all
"""

EXAMPLES = r"""
- name: A playbook of one's own, for the hosts that deploy.yml is for
  hosts: "{{ fleet_hosts | default(groups | inference.fleet.host_pattern, true) }}"
  gather_facts: false
  tasks: []
"""

RETURN = r"""
_value:
  description: A pattern as C(hosts) of a play and C(-l) take it.
  type: str
  sample: all:!control
"""

OTHERS = ("control", "gateway")


def host_pattern(groups: Mapping[str, Sequence[str]], empty: str = "all") -> str:
    """Return the pattern. Only groups that there are stand in it: Ansible warns of others.

    >>> host_pattern({"all": ["a", "b"], "h100": ["a"], "control": ["b"]}), host_pattern({"all": []}, "localhost")
    ('all:!control', 'localhost')
    """
    if not groups.get("all"):
        return empty
    return ":!".join(["all", *(name for name in OTHERS if name in groups)])


class FilterModule:
    """Ansible finds filters here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"host_pattern": host_pattern}
