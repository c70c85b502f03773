#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lambda_file_system
version_added: "0.1.0"
short_description: Bring about a file system of a Lambda Cloud account
author: inference.fleet contributors (@inference-fleet)
description:
  - Creates a file system in a region, or removes one. It bills by what it holds until it is removed, also while no
    instance mounts it.
  - Weights on it outlive the instances - a launch with it needs no download.
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
    description: Its name, which is also the end of its mount point.
    type: str
    required: true
  region:
    description: Its region. It mounts only there.
    type: str
  state:
    description: Whether there is one.
    type: str
    choices: [present, absent]
    default: present
  delete_data:
    description: Whether one that holds data may be removed.
    type: bool
    default: false
seealso:
  - module: inference.fleet.lambda_instance
"""

EXAMPLES = r"""
- name: Have a place for weights
  inference.fleet.lambda_file_system:
    name: models
    region: us-west-1
  run_once: true
"""

RETURN = r"""
file_system:
  description: With C(id), C(name), C(region), C(mount_point), C(is_in_use) and C(bytes_used). None where there is none.
  returned: success
  type: dict
"""
