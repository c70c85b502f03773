#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lambda_firewall_ruleset
version_added: "0.1.0"
short_description: Bring about a firewall ruleset of a Lambda Cloud account
author: inference.fleet contributors (@inference-fleet)
description:
  - Creates or changes a ruleset, which instances of its region get at their launch, or removes one.
  - The rules of the whole account are never written.
  - Without any, an instance is reached by SSH and ICMP alone; in the region C(us-south-1) no rule has an effect.
extends_documentation_fragment:
  - inference.fleet.attributes
  - inference.fleet.lambda_cloud
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Its name.
    type: str
    required: true
  region:
    description: Its region.
    type: str
  state:
    description: Whether there is one.
    type: str
    choices: [present, absent]
    default: present
  rules:
    description:
      - All of its rules, each with C(protocol) (V(tcp), V(udp), V(icmp) or V(all)), C(source_network) (such as
        V(192.0.2.0/24)), for TCP and UDP C(port_range) (two ports), and C(description).
    type: list
    elements: dict
    default: []
seealso:
  - module: inference.fleet.lambda_instance
"""

EXAMPLES = r"""
- name: Open HTTPS to the office
  inference.fleet.lambda_firewall_ruleset:
    name: office
    region: us-west-1
    rules:
      - protocol: tcp
        port_range: [443, 443]
        source_network: 192.0.2.0/24
        description: the office
  run_once: true
"""

RETURN = r"""
firewall_ruleset:
  description: It, with C(id), C(name), C(region), C(rules) and C(instance_ids). None where there is none.
  returned: success
  type: dict
"""
