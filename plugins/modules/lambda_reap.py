#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lambda_reap
version_added: "0.1.0"
short_description: End the instances of Lambda Cloud whose lease is over
author: inference.fleet contributors (@inference-fleet)
description:
  - Ends what this collection launched and is past the end of its lease, and nothing else. What has no lease stays.
  - Tells what still bills.
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
  wait_timeout:
    description: Seconds to wait until the API shows them as ended.
    type: int
    default: 900
seealso:
  - module: inference.fleet.lambda_instance
"""

EXAMPLES = r"""
- name: End what was forgotten
  inference.fleet.lambda_reap:
  run_once: true
"""

RETURN = r"""
ended:
  description: What was ended, or would be in check mode, as M(inference.fleet.lambda_instance) returns it.
  returned: always
  type: list
  elements: dict
kept:
  description: What is ours and goes on, likewise.
  returned: always
  type: list
  elements: dict
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
