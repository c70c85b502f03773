#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_server
version_added: "0.1.0"
short_description: Take engines out of a gateway, and bring them back
author: inference.fleet contributors (@inference-fleet)
description:
  - Tells which engines a gateway has, how they are, and how many requests each answers now.
  - With O(state=drain) new requests go elsewhere, and it waits until those under way have ended. With O(state=ready)
    the engine gets requests again as soon as its health is seen. Both outlive a reload.
extends_documentation_fragment:
  - inference.fleet.attributes
  - inference.fleet.gateway
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  hosts:
    description: The hosts whose engines are meant. All of them where none is named.
    type: list
    elements: str
    default: []
  state:
    description: What to bring them to. Nothing is changed where it is not given.
    type: str
    choices: [drain, ready]
  required:
    description: Whether it is a failure that no gateway runs on this host.
    type: bool
    default: true
  wait:
    description:
      - How long to wait, in seconds. With O(state=drain), until they answer nothing any more; with O(state=ready),
        until the gateway sees them healthy.
    type: int
    default: 0
seealso:
  - module: inference.fleet.gateway
"""

EXAMPLES = r"""
- name: Take the engines of a host out, and wait up to ten minutes for their streams
  inference.fleet.gateway_server:
    hosts: [h100-1]
    state: drain
    wait: 600
  delegate_to: gateway-1
  become: true
"""

RETURN = r"""
servers:
  description: The engines, as HAProxy has them.
  returned: success
  type: list
  elements: dict
  contains:
    pool: {description: The back end in HAProxy., type: str, sample: model.qwen3-coder-next}
    name: {description: Host and slot., type: str, sample: "h100-1:8000"}
    status: {description: HAProxy's word for how it is., type: str, sample: UP}
    sessions: {description: The requests that it answers now., type: int, sample: 3}
    drained: {description: "Whether it was taken out, whatever its health is.", type: bool}
waited_out:
  description: Whether what was waited for came. Requests that are still under way end with the engine.
  returned: when O(state) is given
  type: bool
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.gateway import config, host, sockets, spec, store


def run(params: dict, check_mode: bool) -> dict:
    """Bring engines to a state, and tell how they are; return the module's result."""
    path = host.admin_socket(params["run_directory"])
    prefixes = tuple(spec.server_name(name, "") for name in params["hosts"])

    def mine() -> list[sockets.ServerState]:
        return [each for each in sockets.servers(path) if not prefixes or each.name.startswith(prefixes)]

    if not params["required"] and not sockets.answers(path):
        return {"changed": False, "servers": [], "waited_out": True}
    found, state = mine(), params["state"]
    if not state:
        return {"changed": False, "servers": [asdict(each) for each in found]}
    changing = [each for each in found if each.drained != (state == "drain")]
    if changing and not check_mode:
        sockets.set_state(path, changing, state)
        store.write(Path(params["directory"]) / config.STATE_FILE, sockets.drained_state(path))

    def there() -> bool:
        return all(not each.sessions if state == "drain" else each.status.startswith("UP") for each in mine())

    waited_out = check_mode or sockets.wait_until(there, params["wait"])
    return {"changed": bool(changing), "servers": [asdict(each) for each in mine()], "waited_out": waited_out}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/inference-fleet-gateway"},
            "run_directory": {"type": "path", "default": "/run/inference-fleet-gateway"},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["drain", "ready"]},
            "required": {"type": "bool", "default": True},
            "wait": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
