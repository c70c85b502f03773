#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_container_check
version_added: "0.1.0"
short_description: See that containers get the host's GPUs
author: inference.fleet contributors (@inference-fleet)
description:
  - Starts CUDA, by cuInit(), in a container that asks Docker for every GPU, as an engine does.
  - The image is made of the host's own Python, so nothing is downloaded. Image and container are removed again.
  - What keeps CUDA from starting never fails the module. It is a check that is not ok.
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
    details: The container is run in check mode too, because it leaves nothing.
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
options:
  docker_host:
    description: The URL of the Docker daemon.
    type: str
    default: unix:///var/run/docker.sock
  timeout:
    description: The time that CUDA may take, in seconds.
    type: int
    default: 60
seealso:
  - module: inference.fleet.host_info
"""

EXAMPLES = r"""
- name: See that containers get the GPUs
  inference.fleet.gpu_container_check:
  become: true
  register: found
  failed_when: not found.check.ok
"""

RETURN = r"""
check:
  description: The check, of the form of RV(inference.fleet.host_info#module:checks), called V(cuda_in_container).
  returned: success
  type: dict
  sample:
    name: cuda_in_container
    required: true
    ok: false
    found: "error 802 CUDA_ERROR_SYSTEM_NOT_READY: the system is not yet initialised"
    wanted: CUDA starts in a container that asks for every GPU (cuInit)
    remedy: "Start the fabric manager, of the driver's own version: systemctl restart nvidia-fabricmanager."
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_container
from ansible_collections.inference.fleet.plugins.module_utils.host.docker import DEFAULT_HOST


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "docker_host": {"type": "str", "default": DEFAULT_HOST},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params), docker=gpu_container.IMPORT_ERROR)


def run(params: dict) -> dict:
    """Try it; return the module's result."""
    return {"changed": False, "check": gpu_container.check(params["docker_host"], params["timeout"])}


if __name__ == "__main__":
    main()
