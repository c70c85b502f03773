#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: weights_share
version_added: "0.1.0"
short_description: Share a model's weights with other hosts for a while
author: inference.fleet contributors (@inference-fleet)
description:
  - Serves one revision of a model, as the host's cache of the Hugging Face hub has it, over HTTP to who signs
    with a token. The token itself does not travel.
  - The server ends when it is taken back, and after a time in any case.
  - Nothing is encrypted. Who listens on the network sees the model's files, and can change none of what is taken.
extends_documentation_fragment: [inference.fleet.attributes, inference.fleet.weights]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state:
    description: Whether the model is shared.
    type: str
    choices: [present, absent]
    default: present
  address:
    description: The address to listen on.
    type: str
    default: 0.0.0.0
  port:
    description: The port to listen on.
    type: int
    default: 18470
  seconds:
    description: The time after which the server ends in any case, in seconds.
    type: int
    default: 14400
seealso:
  - module: inference.fleet.weights_copy
"""

EXAMPLES = r"""
- name: Share the weights with the other hosts
  inference.fleet.weights_share:
    model: Qwen/Qwen3-Coder-Next
    token: "{{ word }}"
  become: true
"""

RETURN = r"""
port:
  description: The port on which it is shared.
  returned: when O(state=present), outside check mode
  type: int
  sample: 18470
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.host.cache_place import cache_place
from ansible_collections.inference.fleet.plugins.module_utils.weights import seed
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import checked


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "model": {"type": "str", "required": True},
            "revision": {"type": "str"},
            "cache_dir": {"type": "str", "default": "~/.cache/huggingface"},
            "token": {"type": "str", "required": True, "no_log": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "address": {"type": "str", "default": "0.0.0.0"},
            "port": {"type": "int", "default": 18470},
            "seconds": {"type": "int", "default": 14400},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params, module.check_mode))


def run(options: dict, check_mode: bool) -> dict:
    """Share the weights, or end that; return the module's result."""
    weights = checked(options["model"], options["revision"])
    if options["state"] == "absent":
        there = seed.job_path(weights).exists()
        return {"changed": there if check_mode else seed.stop(weights)}
    port = seed.serving(weights, options["token"])
    if port is not None or check_mode:
        return {"changed": port is None, "port": port}
    port = seed.start(
        weights,
        cache_place(options["cache_dir"]),
        address=options["address"],
        port=options["port"],
        token=options["token"],
        seconds=options["seconds"],
    )
    return {"changed": True, "port": port}


if __name__ == "__main__":
    main()
