#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: weights_copy
version_added: "0.1.0"
short_description: Take a model's weights from a host that shares them
author: inference.fleet contributors (@inference-fleet)
description:
  - Copies one revision of a model from a host where M(inference.fleet.weights_share) shares it into the host's cache of
    the Hugging Face hub, where an engine finds it as if it had been downloaded.
  - What that host shares is taken only where it is signed with O(token), which itself does not travel, and each file
    where its content is what the signed list says. Nothing is written outside the cache. What was cut off is gone on
    with, or started over where it was damaged.
  - Where another host, or another run, brings the model into the same cache at the time, that is waited for.
  - Does nothing, and connects to nothing, where the cache has the revision already.
extends_documentation_fragment: [inference.fleet.attributes, inference.fleet.weights]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  url:
    description: Where the other host shares it.
    type: str
    required: true
  timeout:
    description: The time that the copy may take, in seconds.
    type: int
    default: 7200
  progress_file:
    description: Internal. Where to write the lines that tell how far the copy is.
    type: path
seealso:
  - module: inference.fleet.weights_share
"""

EXAMPLES = r"""
- name: Take the weights from the host that has them
  inference.fleet.weights_copy:
    model: Qwen/Qwen3-Coder-Next
    url: http://10.0.0.11:18470
    token: "{{ word }}"
  become: true
"""

RETURN = r"""
bytes:
  description: How much came, in bytes.
  returned: when something came
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.cache_place import cache_place
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache
from ansible_collections.inference.fleet.plugins.module_utils.weights.copy import copy
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import checked


def argument_spec() -> dict:
    return {
        "model": {"type": "str", "required": True},
        "revision": {"type": "str"},
        "cache_dir": {"type": "str", "default": "~/.cache/huggingface"},
        "token": {"type": "str", "required": True, "no_log": True},
        "url": {"type": "str", "required": True},
        "timeout": {"type": "int", "default": 7200},
        "progress_file": {"type": "path"},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    answer(module, lambda: run(module.params, module.check_mode))


def run(options: dict, check_mode: bool) -> dict:
    """Copy the weights where they are not there; return the module's result."""
    weights = checked(options["model"], options["revision"])
    cache_dir = cache_place(options["cache_dir"])
    here = cache.in_any_form(cache_dir, weights) is not None
    if here or check_mode:
        return {"changed": not here}
    try:
        came = copy(
            weights,
            cache_dir,
            url=options["url"],
            token=options["token"],
            timeout=options["timeout"],
            say=Progress(options["progress_file"]).say,
        )
    except OSError as error:
        raise FleetError(f"could not write the weights to {cache_dir}: {error.strerror} ({error.filename}).") from error
    return {"changed": True, "bytes": came["bytes"]}


if __name__ == "__main__":
    main()
