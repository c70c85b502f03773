#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_info
version_added: "0.1.0"
short_description: Tell which engines a host runs
author: inference.fleet contributors (@inference-fleet)
description:
  - Returns the engine containers that M(inference.fleet.engine) made on a host, running or not.
requirements:
  - Docker SDK for Python 5.0.3 or newer, on the host
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
options:
  container_name:
    description: Only the engine of this name.
    type: str
  docker_host:
    description: The URL of the Docker daemon.
    type: str
    default: unix:///var/run/docker.sock
seealso:
  - module: inference.fleet.engine
"""

EXAMPLES = r"""
- name: Look at the host's engines
  inference.fleet.engine_info:
  become: true
  register: found
"""

RETURN = r"""
engines:
  description: The engines, ordered by name, each as RV(inference.fleet.engine#module:engine). C(task) is told by the
    model's files where no option said it.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.containers import daemon
from ansible_collections.inference.fleet.plugins.module_utils.serving import run as serving
from ansible_collections.inference.fleet.plugins.module_utils.serving.tasks import task_of


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "container_name": {"type": "str"},
            "docker_host": {"type": "str", "default": daemon.DEFAULT_HOST},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params), docker=daemon.IMPORT_ERROR)


def run(params: dict) -> dict:
    """Look at the engines; return the module's result."""
    name = params["container_name"]
    engines = [
        {**serving.describe(container), "task": task_of(container)}
        for container in daemon.Daemon(params["docker_host"]).ours()
        if name in (None, container.name)
    ]
    return {"changed": False, "engines": engines}


if __name__ == "__main__":
    main()
