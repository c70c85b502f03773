#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lambda_instance_info
version_added: "0.1.0"
short_description: Tell which instances run in an account of Lambda Cloud
author: inference.fleet contributors (@inference-fleet)
description:
  - Lists instances with what they cost, names those past the end of their lease, and tells all that bills.
  - Changes nothing.
extends_documentation_fragment:
  - inference.fleet.attributes
  - inference.fleet.lambda_cloud
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description: Only instances of this name or group.
    type: str
  only_ours:
    description: Only what this collection launched.
    type: bool
    default: false
  over_too:
    description: Also what bills no more, while the API still lists it.
    type: bool
    default: false
seealso:
  - module: inference.fleet.lambda_instance
"""

EXAMPLES = r"""
- name: Tell what runs and what it costs
  inference.fleet.lambda_instance_info:
  run_once: true
  register: found
"""

RETURN = r"""
instances:
  description: The instances.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Lambda's id.
      type: str
    name:
      description: Its name, without an extended lease.
      type: str
    status:
      description: V(booting), V(active), V(unhealthy), V(terminating), V(terminated) or V(preempted).
      type: str
    instance_type:
      description: Its type.
      type: str
    region:
      description: Its region.
      type: str
    profile:
      description: Its hardware shape, such as C(h100x4).
      type: str
    gpus:
      description: How many GPUs it has.
      type: int
    gpu_description:
      description: The kind of GPU in Lambda's words.
      type: str
    hourly_usd:
      description: What it costs an hour, in US dollars.
      type: float
    cost_usd:
      description: What it has cost since its launch. None where this collection did not launch it.
      type: float
    launched_at:
      description: When it was launched, in UTC.
      type: str
    lease_until:
      description: When its lease ends, in UTC. None where it has none.
      type: str
    overdue:
      description: Whether it bills although its lease is over.
      type: bool
    ours:
      description: Whether this collection launched it.
      type: bool
    ip:
      description: Its public address. None until it has one.
      type: str
    private_ip:
      description: Its private address, likewise.
      type: str
    hostname:
      description: Its own name of itself.
      type: str
    tags:
      description: Its tags.
      type: dict
    ssh_key_names:
      description: The SSH keys that it takes.
      type: list
      elements: str
    file_system_names:
      description: The file systems that it mounts.
      type: list
      elements: str
hourly_usd:
  description: What they cost an hour, in US dollars.
  returned: always
  type: float
cost_usd:
  description: What they have cost so far.
  returned: always
  type: float
overdue:
  description: Names of what is ours and bills although its lease is over.
  returned: always
  type: list
  elements: str
left:
  description: What bills in the account after all.
  returned: always
  type: dict
  contains:
    hourly_usd:
      description: What all instances cost an hour.
      type: float
    instances:
      description: The instances, each with C(id), C(name), C(ours) and C(hourly_usd).
      type: list
      elements: dict
    file_systems:
      description: The file systems, which bill by what they hold, each with C(name), C(region) and C(gib).
      type: list
      elements: dict
msg:
  description: The same in a sentence.
  returned: always
  type: str
"""
