#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lambda_instance
version_added: "0.1.0"
short_description: Launch, rename, restart and end instances of Lambda Cloud
author: inference.fleet contributors (@inference-fleet)
description:
  - Brings a name, or a count of like instances, to a state. A second run launches nothing.
  - Ours is what has this collection's tag B(and) the name. Nothing else is ended, but by O(id) and O(not_ours).
  - Each launch carries an id in its tags. After an answer that was lost - a time-out, a cut connection, HTTP 408, 429
    or 5xx, or what is no JSON - and in the run after one that was killed, it is looked for before anything is launched
    again. Where two control hosts launch the same at once, one of the two is ended.
  - What is launched is waited for until it is active, has an address and answers SSH.
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
    details: O(state=restarted) restarts each time.
options:
  name:
    description:
      - The instance's name. With O(exact_count) the name of the group, whose instances are NAME-1, NAME-2 and so on.
      - With O(state=absent), O(state=restarted) and O(state=extended), a group's name stands for all of its instances.
    type: str
  state:
    description:
      - V(present) - there is such an instance, and it can be reached.
      - V(absent) - there is none. The end is seen in the API, and what still bills is told.
      - V(restarted) - it was restarted, and answers again.
      - V(extended) - its lease ends no sooner than O(lease) from now.
    type: str
    choices: [present, absent, restarted, extended]
    default: present
  exact_count:
    description: How many instances the group O(name) has. The oldest are ended first.
    type: int
  id:
    description: One instance by Lambda's id, instead of O(name), to be ended or restarted.
    type: str
  not_ours:
    description: The same as O(id), said a second time, where this collection did not launch that instance.
    type: str
  new_name:
    description: The name that the instance gets instead of O(name).
    type: str
  instance_types:
    description: The types that will do, in the order in which they are tried. Needed where something is launched.
    type: list
    elements: str
    default: []
    aliases: [instance_type]
  regions:
    description: The regions that will do, in the order in which they are tried. Without one, any.
    type: list
    elements: str
    default: []
    aliases: [region]
  choose_by:
    description: Whether types are tried in their order, or the cheapest first.
    type: str
    choices: [order, price]
    default: order
  ssh_key_name:
    description: The SSH key of the account that the instance takes. Without it, the account's only one.
    type: str
  image_family:
    description: The family of the machine image; its newest image is taken.
    type: str
    default: gpu-base-24-04
  image_id:
    description: One image by its id, instead of O(image_family).
    type: str
  lease:
    description:
      - How long the instance may run, such as V(4h), V(90m) or V(2d). M(inference.fleet.lambda_reap) ends it then.
        Without it, it has no end.
      - It is written at the launch. A later run extends it only with O(state=extended).
    type: str
  tags:
    description: Tags of the user's own, written at the launch.
    type: dict
    default: {}
  user_data:
    description: Configuration for cloud-init.
    type: str
  file_systems:
    description: Names of file systems to mount. The launch is then in their region.
    type: list
    elements: str
    default: []
  firewall_rulesets:
    description: Names of firewall rulesets. The launch is then in their region.
    type: list
    elements: str
    default: []
  max_hourly_usd:
    description: What all that is ours may cost an hour after a launch, by the API's prices. Checked before each launch.
    type: float
  max_instances:
    description: How many instances all that is ours may be after a launch.
    type: int
  wait_for_capacity:
    description: Seconds to wait until an instance is free.
    type: int
    default: 0
  wait:
    description: Whether to wait until an instance is reached, or is seen to be ended.
    type: bool
    default: true
  wait_timeout:
    description: How long, in seconds. Eight H100 have taken more than twenty minutes to boot.
    type: int
    default: 2400
  connect_by:
    description: The address at which SSH has to answer.
    type: str
    choices: [public, private]
    default: public
  ssh_port:
    description: The port at which SSH has to answer.
    type: int
    default: 22
seealso:
  - module: inference.fleet.lambda_instance_info
  - module: inference.fleet.lambda_reap
  - plugin: inference.fleet.lambda_cloud
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: Rent four H100 for an afternoon, where they are free
  inference.fleet.lambda_instance:
    name: coder
    instance_types: [gpu_4x_h100_sxm5, gpu_8x_h100_sxm5]
    ssh_key_name: laptop
    lease: 4h
    max_hourly_usd: 40
    wait_for_capacity: 3600
  run_once: true

- name: Have three of them
  inference.fleet.lambda_instance:
    name: h100
    exact_count: 3
    instance_types: [gpu_1x_h100_sxm5]
    lease: 2d
  run_once: true

- name: Two hours more
  inference.fleet.lambda_instance:
    name: coder
    state: extended
    lease: 2h
  run_once: true

- name: End it
  inference.fleet.lambda_instance:
    name: coder
    state: absent
  run_once: true
"""

RETURN = r"""
instances:
  description: The instances of the name or the group, after the task.
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
ended:
  description: What was ended, in the same form.
  returned: always
  type: list
  elements: dict
hourly_usd:
  description: What the instances cost an hour, in US dollars.
  returned: always
  type: float
cost_usd:
  description: What they have cost so far.
  returned: always
  type: float
would_launch:
  description: What would be launched, each with C(name), C(instance_type), C(region) and C(hourly_usd).
  returned: in check mode, where something would be
  type: list
  elements: dict
left:
  description: What bills in the account after all.
  returned: with O(state=absent)
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
