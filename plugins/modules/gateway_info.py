#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_info
version_added: "0.1.0"
short_description: Tell how a gateway is
author: inference.fleet contributors (@inference-fleet)
description:
  - Tells which engines a gateway has and how they are, who may ask, and when certificates end. Nothing is changed, and
    no key is told.
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
seealso:
  - module: inference.fleet.gateway
  - module: inference.fleet.gateway_usage
"""

EXAMPLES = r"""
- name: Look at the gateway
  inference.fleet.gateway_info:
  become: true
  register: found

- name: Fail where there is something to mend
  ansible.builtin.fail:
    msg: "{{ found.problems | join(' ') }}"
  when: found.problems | length > 0
"""

RETURN = r"""
running:
  description: Whether a gateway runs here.
  returned: success
  type: bool
problems:
  description: What a person has to mend, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["h100-1:8000 was taken out by deploy and not brought back: run deploy.yml for it."]
models:
  description: The models that are served, each with its back end in HAProxy.
  returned: when RV(running)
  type: dict
  sample: {qwen3-coder-next: model.qwen3-coder-next}
servers:
  description: The engines, as M(inference.fleet.gateway_server) tells them.
  returned: when RV(running)
  type: list
  elements: dict
clients:
  description: The clients and what they may, without their keys.
  returned: when RV(running)
  type: list
  elements: dict
certificates:
  description:
    - The certificates that the gateway shows and is shown. The first is the one that it shows its clients now, by its
      path; the others are those between gateways and engines, by their hosts.
  returned: when RV(running)
  type: list
  elements: dict
  contains:
    whose: {description: Whose it is., type: str, sample: h100-1}
    ends:
      description: Its end in ISO 8601, empty where it cannot be read.
      type: str
      sample: "2027-12-28T14:00:09+00:00"
"""

from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.gateway import (
    certificates,
    config,
    drain,
    health,
    identity,
    reach,
    store,
)


def run(params: dict) -> dict:
    """Look at the gateway; return the module's result."""
    directory = Path(params["directory"])
    engines = drain.Engines(directory, Path(params["run_directory"]))
    if not engines.there():
        told = "No gateway runs here: run gateway.yml, or look at 'systemctl status inference-fleet-gateway'."
        return {"changed": False, "running": False, "problems": [told]}
    servers, owners, models = engines.now(), engines.owners(), health.models(directory)
    own, old = health.certificate(directory, Path(params["run_directory"]))
    place = identity.Place(directory)
    behind = reach.servers((directory / config.FILE).read_text(encoding="utf-8"))
    troubles, between = reach.looked(behind, place.context())
    shows = [own]
    for path, whose in ((place.certificate, "the gateway"), (directory / identity.AUTHORITY, "the fleet's authority")):
        if path.exists():
            shows.append(health.Certificate(f"of {whose}", certificates.end_of(path)))
    shows += [health.Certificate(f"of {host}", ends) for host, ends in sorted(between.items())]
    return {
        "changed": False,
        "running": True,
        "problems": old + health.problems(servers, owners, models, shows, datetime.now(timezone.utc), troubles),
        "models": models,
        "servers": [asdict(each) | {"owner": owners.get(each.name, "")} for each in servers],
        "clients": [store.shown(client) for client in store.read(directory).known],
        "certificates": [
            {"whose": each.whose.removeprefix("of "), "ends": each.ends.isoformat() if each.ends else ""}
            for each in shows
        ],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/inference-fleet-gateway"},
            "run_directory": {"type": "path", "default": "/run/inference-fleet-gateway"},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params))


if __name__ == "__main__":
    main()
