#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_certificate
version_added: "0.1.0"
short_description: Keep the certificate by which a host is known between gateways and engines
author: inference.fleet contributors (@inference-fleet)
description:
  - Keeps which authority a host believes, and the host's own certificate with its key, in the directory of its
    HAProxy, and has that read them by a reload, by which no request is lost. The key is made on the host and never
    leaves it.
  - Called without O(certificate) it returns a request where one is needed - there is none, it ends within 90 days, it
    is made out to another name, or it is not of the O(authority). What the authority signed is given to a second call.
  - The authority that was believed before is believed as well until the next one, so that no host has to change at the
    same moment as another.
requirements:
  - openssl 3.0 or newer on the host
extends_documentation_fragment:
  - inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  directory:
    description: The directory of the HAProxy that reads them.
    type: path
    default: /etc/inference-fleet-tls
  run_directory:
    description: The directory of its sockets.
    type: path
    default: /run/inference-fleet-tls
  host:
    description: The host's name in the inventory.
    type: str
    required: true
  use:
    description: Whether it is for a host with engines (V(server)), or for a gateway (V(client)).
    type: str
    choices: [server, client]
    default: server
  authority:
    description: The certificate of the fleet's authority, as M(inference.fleet.gateway_authority) returns it.
    type: str
    required: true
  certificate:
    description: What the authority signed for the last request.
    type: str
    default: ""
  renew:
    description: Whether a certificate is asked for although the one that is there is good.
    type: bool
    default: false
seealso:
  - module: inference.fleet.gateway_authority
  - module: inference.fleet.gateway_tls
"""

EXAMPLES = r"""
- name: Tell whether the host needs a certificate
  inference.fleet.gateway_certificate:
    host: "{{ inventory_hostname }}"
    authority: "{{ authority.authority }}"
  become: true
  register: asked
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["ask the fleet's authority for a certificate of h100-1: there is none yet"]
request:
  description: What the authority is to sign, in PEM. Empty where nothing is needed, and in check mode.
  returned: success
  type: str
usable:
  description: Whether the certificate that is there is good for now, by the authority of before, too.
  returned: success
  type: bool
"""

from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.gateway import host, identity, tls


def run(params: dict, check_mode: bool) -> dict:
    """Bring a host's certificate to what is wanted; return the module's result."""
    service = host.gateway if params["use"] == "client" else tls.service
    kept = identity.keep(
        service(params["directory"], params["run_directory"]),
        params["host"],
        params["use"],
        params,
        datetime.now(timezone.utc),
        check_mode=check_mode,
    )
    return {
        "changed": bool(kept.steps),
        "steps": kept.steps,
        "diff": kept.diff,
        "request": kept.request,
        "usable": kept.usable,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/inference-fleet-tls"},
            "run_directory": {"type": "path", "default": "/run/inference-fleet-tls"},
            "host": {"type": "str", "required": True},
            "use": {"type": "str", "choices": ["server", "client"], "default": "server"},
            "authority": {"type": "str", "required": True},
            "certificate": {"type": "str", "default": ""},
            "renew": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
