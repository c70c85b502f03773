#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lambda_guard
version_added: "0.1.0"
short_description: End rented instances where the run of Ansible ends without having done so
author: inference.fleet contributors (@inference-fleet)
description:
  - Starts a process on the control host that ends all of ours under a name when this run of Ansible is over and has not
    taken the guard back - after Ctrl-C, after a kill, or after an error that nothing caught.
  - It tries for an hour. What it does stands in RV(log). Where the control host itself goes down, the lease of the
    instance is what ends it.
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
    description: The name of the instance, or of the group.
    type: str
    required: true
  state:
    description: Whether there is a guard in this run.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: inference.fleet.lambda_instance
  - module: inference.fleet.lambda_reap
"""

EXAMPLES = r"""
- name: Have it ended in every case
  inference.fleet.lambda_guard:
    name: coder
  run_once: true
"""

RETURN = r"""
log:
  description: The file on the control host that says what the guard did.
  returned: always
  type: str
"""
