#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lambda_image_info
version_added: "0.1.0"
short_description: Tell which machine images Lambda Cloud has
author: inference.fleet contributors (@inference-fleet)
description:
  - Lists images, the newest first. Changes nothing.
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
  family:
    description: Only images of this family, such as V(gpu-base-24-04).
    type: str
  region:
    description: Only images of this region.
    type: str
seealso:
  - module: inference.fleet.lambda_instance
"""

EXAMPLES = r"""
- name: Tell which versions of GPU Base there are
  inference.fleet.lambda_image_info:
    family: gpu-base-24-04
  run_once: true
  register: found
"""

RETURN = r"""
images:
  description: The images, each with C(id), C(name), C(family), C(version), C(architecture), C(created_time), C(region).
  returned: always
  type: list
  elements: dict
"""
