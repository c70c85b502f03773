#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_cache
version_added: "0.1.0"
short_description: Remove what engines left on a host's disk
author: inference.fleet contributors (@inference-fleet)
description:
  - Removes the weights of models from a host's Hugging Face cache, and what engines compiled.
  - Of the Hugging Face cache only the folders of O(models) go. Everything else in it stays.
  - Nothing goes that a container of the collection still mounts, running or not.
  - Nothing goes of a cache on a file system that several hosts share which one of the others has in use. An engine that
    was deployed there counts until it is removed, running or not, and so does a download. O(ended_hosts) says which
    hosts are gone.
  - To have it again takes as long as a download of all weights, and a slower start of the engine.
requirements:
  - Docker SDK for Python 5.0.3 or newer, on the host
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The paths are in the result.
  idempotent:
    support: full
options:
  models:
    description: The models whose weights go, by their names on the hub.
    type: list
    elements: str
    default: []
  cache_dir:
    description: The host's Hugging Face cache. A leading C(~) and V(auto) are as for M(inference.fleet.engine).
    type: str
    default: ~/.cache/huggingface
  compile_cache_dir:
    description: The directory of what engines compiled, which goes whole. Nothing goes where it is empty.
    type: str
    default: ~/.cache/inference.fleet
  ended_hosts:
    description:
      - The names of hosts that are gone for good and whose engines count no more, as the module's message names them,
        or patterns of them, such as V(gpu-*).
        Such a host had no chance to say so.
    type: list
    elements: str
    default: []
  removed_engines:
    description:
      - The names of engines that are removed before this. In check mode they are still there, and do not count.
    type: list
    elements: str
    default: []
  docker_host:
    description: The URL of the Docker daemon.
    type: str
    default: unix:///var/run/docker.sock
seealso:
  - module: inference.fleet.engine
"""

EXAMPLES = r"""
- name: Remove the weights of Qwen3-Coder-Next, and what engines compiled
  inference.fleet.engine_cache:
    models: [Qwen/Qwen3-Coder-Next]
  become: true
"""

RETURN = r"""
removed:
  description: The directories that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
bytes:
  description: The size of the files in them.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.containers import daemon
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.cache_place import cache_place, expand_home
from ansible_collections.inference.fleet.plugins.module_utils.serving import caches


def run(params: dict, check_mode: bool) -> dict:
    """Remove what is there of the caches; return the module's result."""
    compiled = params["compile_cache_dir"]
    paths = caches.found(
        cache_place(params["cache_dir"]), params["models"], expand_home(compiled) if compiled else None
    )
    warnings = []
    if paths:
        gone = params["removed_engines"] if check_mode else ()
        ours = [each for each in daemon.Daemon(params["docker_host"]).ours() if each.name not in gone]
        caches.refuse_used(paths, {each.name: [mount.source for mount in each.spec.mounts] for each in ours})
        try:
            caches.refuse_leased(paths, params["ended_hosts"])
        except FleetError as error:
            if not check_mode:
                raise
            # The other host's engine may go in the same play.
            warnings.append(f"as it is now: {error}")
    total = sum(map(caches.size, paths))
    if not check_mode:
        for path in paths:
            caches.remove(path, params["ended_hosts"])
    return {"changed": bool(paths), "removed": [str(path) for path in paths], "bytes": total, "warnings": warnings}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "models": {"type": "list", "elements": "str", "default": []},
            "cache_dir": {"type": "str", "default": "~/.cache/huggingface"},
            "compile_cache_dir": {"type": "str", "default": "~/.cache/inference.fleet"},
            "removed_engines": {"type": "list", "elements": "str", "default": []},
            "ended_hosts": {"type": "list", "elements": "str", "default": []},
            "docker_host": {"type": "str", "default": daemon.DEFAULT_HOST},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params, module.check_mode), docker=daemon.IMPORT_ERROR)


if __name__ == "__main__":
    main()
