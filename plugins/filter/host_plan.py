# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host role's decisions, in Python."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.inference.fleet.plugins.module_utils.host.plan import Wishes, plan

DOCUMENTATION = r"""
name: host_plan
version_added: "0.1.0"
short_description: Plan what brings a host to where an engine can run
author: inference.fleet contributors (@inference-fleet)
description:
  - Takes what M(inference.fleet.host_info) returned, and tells what the role P(inference.fleet.host#role) does then.
  - Changes nothing, and connects to nothing.
options:
  _input:
    description: The result of M(inference.fleet.host_info), with C(host) and C(checks).
    type: dict
    required: true
  wishes:
    description:
      - What the role may do, and with which packages, by the names of the role's variables without C(host_) and
        C(nvidia_), such as C(driver_version).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Look at the host
  inference.fleet.host_info:
  register: found

- name: Tell what the role would do
  ansible.builtin.debug:
    msg: "{{ (found | inference.fleet.host_plan({'driver_version': '580'})).steps }}"
"""

RETURN = r"""
_value:
  description:
    - The plan. C(steps) says in words what would be done; C(blocked) why the role may not go on; C(beyond) has the
      failing checks that the role cannot mend.
  type: dict
"""


def host_plan(state: dict[str, Any], wishes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the plan for a host."""
    try:
        return plan(state["host"], state["checks"], Wishes(**(wishes or {})))
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(f"host_plan wants the result of inference.fleet.host_info: {error}") from error


class FilterModule:
    """Ansible finds filters here."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"host_plan": host_plan}
