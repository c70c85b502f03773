#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the control host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
short_description: Tell which hosts are ready for an engine
version_added: "0.1.0"
description:
  - Takes what M(inference.fleet.host_info) gave on each host of a group, and prints one table - a row a host, which is
    ready, or has one thing to mend first.
  - Writes the same as JSON, with every check of every host.
  - A host that could not be reached, or looked at, is a row too.
  - Fails where a host is not ready, unless O(fail=false).
options:
  results:
    description: The registered results of M(inference.fleet.host_info), by host.
    type: dict
    required: true
  ignored_checks:
    description: The names of checks that do not matter, by host.
    type: dict
    default: {}
  groups:
    description:
      - The hosts that serve one model together with a host, the head first, by host. Such a host gets the check
        C(engine_group) - whether the engine runs on each of them, and answers at the head.
    type: dict
    default: {}
  members:
    description: What M(inference.fleet.engine_info) gave of that engine, by host.
    type: dict
    default: {}
  answers:
    description: What M(inference.fleet.endpoint_check) gave at the heads, by host.
    type: dict
    default: {}
  path:
    description:
      - Where to write the JSON on the control host. Missing folders are made. Without it none is written.
      - It has C(schema_version), C(ok), and in C(hosts) for each host C(ok), C(reachable), C(error), C(mend) (the first
        check that fails and that an engine needs), C(checks) and C(host), as M(inference.fleet.host_info) returns them.
    type: path
  results_dir:
    description:
      - Folder on the control host with the result documents. With it a host that has GPUs gets the check
        C(gpu_acceptance) - how its last test by M(inference.fleet.gpu_acceptance) went, where it was of the same GPUs.
    type: path
  fail:
    description: Whether to fail where a host is not ready. RV(ready) lets each host fail for itself instead.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The table is printed in any case.
  idempotent:
    support: full
    details: What a host tells of itself, such as its free disk, may change meanwhile.
extends_documentation_fragment:
  - inference.fleet.attributes
notes:
  - Runs on the control host and connects to no host, whatever host the task is for. Use C(run_once).
seealso:
  - module: inference.fleet.host_info
author: inference.fleet contributors (@inference-fleet)
"""

EXAMPLES = r"""
- name: Tell which hosts are ready
  hosts: h100
  gather_facts: false
  become: true
  ignore_unreachable: true
  tasks:
    - name: Look at the host
      inference.fleet.host_info:
      register: found
      # The table says what was in the way.
      failed_when: false

    - name: Print the table
      inference.fleet.doctor:
        results: "{{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars, 'found'))) }}"
        path: reports/doctor.json
        fail: false
      register: told
      delegate_to: localhost
      run_once: true

    - name: Fail the hosts that are not ready, and no other
      ansible.builtin.fail:
        msg: "{{ told.hosts[inventory_hostname] }}"
      when: not told.ready[inventory_hostname]
"""

RETURN = r"""
ok:
  description: Whether every host is ready.
  returned: always
  type: bool
msg:
  description: How many hosts are ready, and which are not.
  returned: always
  type: str
  sample: "3 of 4 hosts are ready for an engine; not: h100-2."
path:
  description: Absolute path of the JSON on the control host.
  returned: when O(path) is given
  type: str
ready:
  description: Whether a host is ready, by its name.
  returned: always
  type: dict
  sample: {"h100-1": true, "h100-2": false}
hosts:
  description: The state of each host, by its name, as the table has it. All that is known is in the JSON at O(path).
  returned: always
  type: dict
  sample: {"h100-1": "ok", "h100-2": "UNREACHABLE: Connection timed out"}
"""
