# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a gateway reaches over a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.gateway.spec import tls_hosts

DOCUMENTATION = r"""
name: gateway_tls_hosts
version_added: "0.1.0"
short_description: Tell which hosts a gateway reaches over TLS
author: inference.fleet contributors (@inference-fleet)
description:
  - Returns the hosts of endpoints that are on other machines than a gateway, once each. Those it reaches over TLS, as
    M(inference.fleet.gateway_tls) takes it there, where the user does not say that prompts may go in the clear.
options:
  _input:
    description: Endpoints, as P(inference.fleet.endpoints#lookup) tells them.
    type: list
    elements: dict
    required: true
  gateway:
    description: The gateway's name in the inventory.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Tell which hosts need a certificate
  ansible.builtin.debug:
    msg: "{{ query('inference.fleet.endpoints', *groups['h100']) | inference.fleet.gateway_tls_hosts('gateway-1') }}"
"""

RETURN = r"""
_value:
  description: Names of hosts.
  type: list
  elements: str
  sample: [h100-1, h100-2]
"""


class FilterModule:
    """Ansible finds filters here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return filters by name."""
        return {"gateway_tls_hosts": tls_hosts}
