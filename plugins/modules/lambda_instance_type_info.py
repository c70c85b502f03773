#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lambda_instance_type_info
version_added: "0.1.0"
short_description: Tell what Lambda Cloud rents, for how much, and where
author: inference.fleet contributors (@inference-fleet)
description:
  - Lists the types of instance with their prices, and the regions where one is free now.
  - What is free is not reserved. Changes nothing.
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
  instance_types:
    description: Only these types.
    type: list
    elements: str
    default: []
  free_only:
    description: Only types of which one is free somewhere.
    type: bool
    default: false
seealso:
  - module: inference.fleet.lambda_instance
"""

EXAMPLES = r"""
- name: Tell where a B200 is free
  inference.fleet.lambda_instance_type_info:
    instance_types: [gpu_2x_b200_sxm6]
  run_once: true
  register: found
"""

RETURN = r"""
instance_types:
  description: The types, the cheapest first.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    description:
      description: Lambda's words for it.
      type: str
    hourly_usd:
      description: What one costs an hour, in US dollars.
      type: float
    gpus:
      description: How many GPUs it has.
      type: int
    gpu_description:
      description: The kind of GPU.
      type: str
    vcpus:
      description: How many virtual CPUs.
      type: int
    memory_gib:
      description: Memory, in GiB.
      type: int
    storage_gib:
      description: Local storage, in GiB.
      type: int
    regions:
      description: Where one is free now.
      type: list
      elements: str
"""
