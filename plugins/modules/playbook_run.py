#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: playbook_run
version_added: "0.1.0"
short_description: Run another playbook, and go on whatever becomes of it
author: inference.fleet contributors (@inference-fleet)
description:
  - Runs a playbook as a process of its own on the control host, with the inventory, extra variables, vaults, key, check
    mode and verbosity of this run, and prints what it prints.
  - A playbook of which every host fails ends the run that imports it. This module only fails, so that a C(rescue) or an
    C(always) goes on.
  - The other playbook ends where this run is killed.
extends_documentation_fragment:
  - inference.fleet.attributes
attributes:
  check_mode:
    support: full
    details: The playbook runs in check mode too.
  diff_mode:
    support: full
    details: Likewise.
  idempotent:
    support: partial
    details: As the playbook is.
options:
  playbook:
    description: The playbook, by its path or its name in a collection, such as V(inference.fleet.deploy).
    type: str
    required: true
  inventory:
    description: Inventories beside those of this run.
    type: list
    elements: path
    default: []
  limit:
    description: The hosts on which it runs.
    type: str
notes:
  - Runs on the control host, whatever host the task is for. Use C(run_once).
seealso:
  - module: inference.fleet.lambda_guard
"""

EXAMPLES = r"""
- name: Measure, and clean up in every case
  block:
    - name: Measure
      inference.fleet.playbook_run:
        playbook: inference.fleet.benchmark
        limit: h100
  always:
    - name: Clean up
      inference.fleet.playbook_run:
        playbook: inference.fleet.teardown
        limit: h100
"""

RETURN = r"""
playbook:
  description: The playbook.
  returned: always
  type: str
rc:
  description: Its exit code.
  returned: always
  type: int
seconds:
  description: How long it took.
  returned: always
  type: float
"""
