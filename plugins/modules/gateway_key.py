#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_key
version_added: "0.1.0"
short_description: Make, limit and revoke a client's key of a gateway, while that runs
author: inference.fleet contributors (@inference-fleet)
description:
  - Makes a key for a client of a gateway that M(inference.fleet.gateway) set up, and returns it this once. The host
    keeps its SHA-256 alone.
  - What is changed is written to disk and told to the running HAProxy by its socket, without a reload.
  - A client that is there already keeps its key, and gets the limits that are given.
extends_documentation_fragment:
  - inference.fleet.attributes
  - inference.fleet.gateway
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The clients are in the result.
  idempotent:
    support: full
    details: Not with O(regenerate).
options:
  name:
    description: The client's name.
    type: str
    required: true
  state:
    description: V(absent) revokes the client's key for good, one of the inventory's too. Streams under way end well.
    type: str
    choices: [present, absent]
    default: present
  key_sha256:
    description: The SHA-256 of the key that it has on another gateway. A key is made where it is not given.
    type: str
  regenerate:
    description: Whether a client that is there gets a new key. The old one is revoked at once.
    type: bool
    default: false
  models:
    description: The models it may use. All where the list is empty. As it was where it is not given.
    type: list
    elements: str
  requests_per_minute:
    description: How many requests a minute it may make, V(0) for no limit. V(-1) leaves it as it was.
    type: int
    default: -1
  concurrent_requests:
    description: How many requests it may have at once, V(0) for no limit. V(-1) leaves it as it was.
    type: int
    default: -1
  expires:
    description:
      - A date, at whose end the key expires, or a time in ISO 8601. Empty for never. As it was where it is not given.
    type: str
seealso:
  - module: inference.fleet.gateway
"""

EXAMPLES = r"""
- name: Make a key for Anna
  inference.fleet.gateway_key:
    name: anna
    requests_per_minute: 60
  register: made
  become: true

- name: Let Bob in no more
  inference.fleet.gateway_key:
    name: bob
    state: absent
  become: true
"""

RETURN = r"""
key:
  description: The key, which is told this once.
  returned: when one was made
  type: str
key_sha256:
  description: Its SHA-256, for the next gateway.
  returned: when O(state=present)
  type: str
client:
  description: The client as it is now.
  returned: when O(state=present)
  type: dict
clients:
  description: All clients as they are now, without their keys.
  returned: success
  type: list
  elements: dict
"""

import secrets
from dataclasses import replace
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import host, maps, spec, store

LIMITS = ("models", "requests_per_minute", "concurrent_requests")


def run(params: dict, check_mode: bool) -> dict:
    """Bring a client to what is wanted; return the module's result."""
    directory = Path(params["directory"])
    if not (directory / maps.MODELS).is_file():
        raise FleetError(f"wanted a gateway on this host, found none in {directory}. Run gateway.yml first.")
    before = store.read(directory)
    known = before.named(params["name"])
    if params["state"] == "absent":
        after = before.without(params["name"])
        made, key = None, ""
    else:
        models = list(maps.parsed((directory / maps.MODELS).read_text(encoding="utf-8")))
        made, key = _client(params, known, models)
        after = before.without(made.name) if known and known.key_sha256 != made.key_sha256 else before
        if made.key_sha256 in after.revoked:
            raise FleetError(f"gateway client {made.name}: this key was revoked here. Make another.")
        after = after.having(made)
    changed = after.text() != before.text()
    if changed and not check_mode:
        host.use_clients(directory, params["run_directory"], after)
    result = {"changed": changed, "clients": [store.shown(client) for client in after.known], "warnings": []}
    if known and known.source == store.INVENTORY and changed and made:
        result["warnings"].append(f"{known.name} is a client of gateway_clients: gateway.yml sets what stands there.")
    if made:
        result.update(client=store.shown(made), key_sha256=made.key_sha256)
    return {**result, **({"key": key} if key and not check_mode else {})}


def _client(params: dict, known: spec.Client | None, models: list[str]) -> tuple[spec.Client, str]:
    """Return the client as it is to be, and its key where one was made."""
    given = {name: params[name] for name in (*LIMITS, "expires") if params[name] not in (None, -1)}
    key_sha256, key = params["key_sha256"] or "", ""
    if not key_sha256 and (known is None or params["regenerate"]):
        key = f"sk-fleet-{secrets.token_urlsafe(32)}"
        key_sha256 = spec.hashed(key)
    read = spec.client(
        {**given, "name": params["name"], "key_sha256": key_sha256 or known.key_sha256}, models, store.HOST
    )
    if known is None:
        return read, key
    changes = {name: getattr(read, name) for name in given}
    return replace(known, key_sha256=read.key_sha256, **changes), key


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/inference-fleet-gateway"},
            "run_directory": {"type": "path", "default": "/run/inference-fleet-gateway"},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "key_sha256": {"type": "str", "no_log": False},
            "regenerate": {"type": "bool", "default": False},
            "models": {"type": "list", "elements": "str"},
            "requests_per_minute": {"type": "int", "default": -1},
            "concurrent_requests": {"type": "int", "default": -1},
            "expires": {"type": "str"},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
