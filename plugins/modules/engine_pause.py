#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module inference.fleet.engine_pause."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_pause
short_description: Have an engine make room for a while, and then serve again as it was
version_added: "0.1.0"
description:
  - Stops the engine of a slot and remembers on the host that it is to serve there again; or has the very same container
    serve again, and waits until it does. Nothing of it is made anew, whatever variables say meanwhile.
  - compare.yml uses it around the variants that it measures. M(inference.fleet.engine) neither warns of such an engine
    nor prunes it.
  - It has to run as root.
author: inference.fleet contributors (@inference-fleet)
requirements:
  - "docker >= 5.0 (Python), python3-docker on Debian and Ubuntu"
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  slot:
    description: The engine's place on the host, as M(inference.fleet.engine) has it; its port, where nothing names it.
    type: str
    required: true
  state:
    description:
      - V(paused) stops what runs there. What does not run is left, and V(resumed) will not start it.
      - V(resumed) starts what V(paused) stopped, and waits until it serves.
      - V(released) forgets that it is to serve again, and touches no container.
    type: str
    choices: [paused, resumed, released]
    required: true
  wait_idle:
    description: With V(paused), seconds to wait for an engine that somebody uses.
    type: int
    default: 0
  busy:
    description:
      - What to do where that is not enough. V(fail) fails; V(skip) says why and touches nothing.
    type: str
    choices: [fail, skip]
    default: fail
  start_timeout:
    description: The time that the daemon may take to start the container, in seconds.
    type: int
    default: 120
  ready_timeout:
    description: The time that the endpoint may take to serve again, in seconds.
    type: int
    default: 1800
  stop_timeout:
    description: The time that the engine has to end by itself, in seconds.
    type: int
    default: 30
  docker_host:
    description: The URL of the Docker daemon.
    type: str
    default: unix:///var/run/docker.sock
  progress_file:
    description: File on the host to which plain progress lines are appended. The action sets it.
    type: path
seealso:
  - module: inference.fleet.engine
"""

EXAMPLES = r"""
- name: Free the GPUs for an hour
  inference.fleet.engine_pause:
    slot: "8000"
    state: paused
  become: true

- name: Serve again, as before
  inference.fleet.engine_pause:
    slot: "8000"
    state: resumed
  become: true
"""

RETURN = r"""
container:
  description: The C(id) and C(name) of the container that is, or was, to serve again. Empty where there is none.
  returned: success
  type: dict
skip_reason:
  description: Who uses the engine.
  returned: with O(busy=skip), where somebody does
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.containers import daemon
from ansible_collections.inference.fleet.plugins.module_utils.serving import pause


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "slot": {"type": "str", "required": True},
            "state": {"type": "str", "choices": list(pause.STATES), "required": True},
            "wait_idle": {"type": "int", "default": 0},
            "busy": {"type": "str", "choices": ["fail", "skip"], "default": "fail"},
            "start_timeout": {"type": "int", "default": 120},
            "ready_timeout": {"type": "int", "default": 1800},
            "stop_timeout": {"type": "int", "default": 30},
            "docker_host": {"type": "str", "default": daemon.DEFAULT_HOST},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: pause.run(module.params, module.check_mode), docker=daemon.IMPORT_ERROR)


if __name__ == "__main__":
    main()
