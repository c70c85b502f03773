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
  owner:
    description:
      - Who takes them out, such as V(deploy). With O(state=ready) it brings back what the same took out and nothing
        else, and with O(state=drain) it leaves to others what is theirs. A person needs none, and may do everything.
    type: str
    default: ""
  required:
    description: Whether it is a failure that no gateway runs on this host.
    type: bool
    default: true
  wait:
    description:
      - How long to wait, in seconds. With O(state=drain), until they answer nothing any more; with O(state=ready),
        until the gateway sees them healthy. What did not come till then is a warning.
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
    owner: {description: "Who took it out, empty for a person.", type: str, sample: deploy}
out:
  description: Those of O(hosts) that have an engine which O(owner) took out.
  returned: success
  type: list
  elements: str
waited_out:
  description: Whether what was waited for came. Requests that are still under way end with the engine.
  returned: when O(state) is given
  type: bool
late:
  description: What did not come in time, in words.
  returned: when RV(waited_out) is false
  type: str
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.gateway import drain, sockets


def run(params: dict, check_mode: bool) -> dict:
    """Bring engines to a state, and tell how they are; return the module's result."""
    engines = drain.Engines(Path(params["directory"]), Path(params["run_directory"]), tuple(params["hosts"]))
    state, owner = params["state"], params["owner"]
    if not params["required"] and not engines.there():
        return {"changed": False, "servers": [], "out": [], "waited_out": True}
    changing = engines.bring(state, owner, check_mode=check_mode) if state else []
    late: list[sockets.ServerState] = []

    def came() -> bool:
        late[:] = engines.waiting(state, owner)
        return not late

    waited_out = check_mode or not state or sockets.wait_until(came, params["wait"])
    owners = engines.owners()
    now = engines.now()
    result = {
        "changed": bool(changing),
        "servers": [asdict(each) | {"owner": owners.get(each.name, "")} for each in now],
    }
    if state:
        result["waited_out"] = waited_out
    if not waited_out:
        result["late"] = drain.told(late, state, params["wait"])
    kept = [each.name for each in now if state == "ready" and not drain.may(each, owners, owner)]
    result["out"] = engines.taken_out_by(owner, now)
    result["warnings"] = [result["late"]] if not waited_out else []
    result["warnings"] += [f"{name} stays out of the gateway: not {owner} took it out." for name in kept]
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/inference-fleet-gateway"},
            "run_directory": {"type": "path", "default": "/run/inference-fleet-gateway"},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["drain", "ready"]},
            "owner": {"type": "str", "default": ""},
            "required": {"type": "bool", "default": True},
            "wait": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
