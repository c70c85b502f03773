#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_recording
version_added: "0.1.0"
short_description: Record what a host's GPUs do while a benchmark's client runs elsewhere
author: inference.fleet contributors (@inference-fleet)
description:
  - Starts a process that writes down each second what nvidia-smi and the driver's counters of energy tell, and ends it
    with a summary for each time that is asked for.
  - M(inference.fleet.benchmark) samples the GPUs of the host on which its client runs. This is for the others of the
    engine.
  - The process ends by itself after O(limit), and with the next recording of its O(name).
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
    details: Nothing is started or ended.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: With O(state=started) what was recorded before is gone. Ending what is not there changes nothing.
options:
  name:
    description: The recording's name.
    type: str
    required: true
  state:
    description:
      - V(started) begins to record.
      - V(finished) ends it, returns what O(windows) ask for, and leaves nothing.
    type: str
    choices: [started, finished]
    default: started
  limit:
    description: For O(state=started), the seconds after which the process ends by itself.
    type: int
    default: 86400
  windows:
    description:
      - For O(state=finished), the times to tell of, as
        RV(inference.fleet.benchmark#module:windows) of M(inference.fleet.benchmark) has them.
    type: list
    elements: raw
    default: []
  engine:
    description: For O(state=finished), what M(inference.fleet.engine_info) tells of the engine on this host.
    type: dict
  hardware:
    description: For O(state=finished), C(host) of what M(inference.fleet.host_info) tells of this host.
    type: dict
  work_dir:
    description: The directory in which the recording lies meanwhile.
    type: path
    default: ~/.cache/inference.fleet/recordings
"""

EXAMPLES = r"""
- name: Record the GPUs of the engine's host while another one measures it
  inference.fleet.gpu_recording:
    name: h100-1
  delegate_to: h100-1

- name: End it
  inference.fleet.gpu_recording:
    name: h100-1
    state: finished
    windows: "{{ measured.windows }}"
    engine: "{{ found.engines[0] }}"
    hardware: "{{ looked.host }}"
  delegate_to: h100-1
  register: recording
"""

RETURN = r"""
recording:
  description: Whether there is a recording, or was. A host without nvidia-smi has none.
  returned: success, outside check mode
  type: bool
windows:
  description: For each of O(windows) what a result's telemetry has of GPUs, C(over_time) included, or null.
  returned: with O(state=finished) and a recording
  type: list
  elements: raw
"""

import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import recorded, telemetry
from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_recording


def argument_spec() -> dict[str, Any]:
    return {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["started", "finished"], "default": "started"},
        "limit": {"type": "int", "default": 86400},
        "windows": {"type": "list", "elements": "raw", "default": []},
        "engine": {"type": "dict"},
        "hardware": {"type": "dict"},
        "work_dir": {"type": "path", "default": "~/.cache/inference.fleet/recordings"},
    }


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the module's result."""
    folder = Path(params["work_dir"]) / re.sub(r"[^A-Za-z0-9_-]", "-", params["name"])
    if check_mode:
        return {"changed": params["state"] == "started" or folder.is_dir()}
    if params["state"] == "started":
        begun = gpu_recording.start(folder, telemetry.INTERVAL, params["limit"])
        return {"changed": begun, "recording": begun}
    if not folder.is_dir():
        return {"changed": False, "recording": False}
    gpus = telemetry.engine_gpus(params["engine"], params["hardware"])
    found = recorded.samples(gpu_recording.finish(folder), gpus)
    return {"changed": True, "recording": True, "windows": recorded.summaries(found, params["windows"], gpus)}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    answer(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
