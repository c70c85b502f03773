#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_authority
version_added: "0.1.0"
short_description: Keep the fleet's own authority, and sign with it
author: inference.fleet contributors (@inference-fleet)
description:
  - Keeps a certificate authority of the fleet's own in a file that root alone reads. By its certificates gateways and
    hosts of engines know each other, and by no other.
  - Its key stays on the host where it was made, which is best the first gateway - whoever has that reads every prompt
    as it is, and no other machine becomes worth more by it. It is made where there is none, and anew when it would not
    outlive what it signs, which is in its last 487 days of ten years.
  - It signs a request for the name that it is told and for no other, whatever the request says.
requirements:
  - openssl 3.0 or newer on the host
extends_documentation_fragment:
  - inference.fleet.attributes
attributes:
  check_mode:
    support: full
    details: Nothing is signed.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: A request is signed as often as it is given.
options:
  directory:
    description: The directory of the authority.
    type: path
    default: /etc/inference-fleet-gateway
  renew:
    description: Whether another is made although the one that is there is good, as after its key was seen.
    type: bool
    default: false
  request:
    description: A request for a certificate, as M(inference.fleet.gateway_certificate) makes it. Nothing is signed
      without.
    type: str
    default: ""
  host:
    description: The host's name in the inventory, to which the certificate is made out.
    type: str
    default: ""
  use:
    description: Whether it is for a host with engines (V(server)), or for a gateway (V(client)).
    type: str
    choices: [server, client]
    default: server
seealso:
  - module: inference.fleet.gateway_certificate
  - module: inference.fleet.gateway_tls
"""

EXAMPLES = r"""
- name: Keep the fleet's authority on the first gateway
  inference.fleet.gateway_authority:
  become: true
  register: authority

- name: Sign what this host asks for
  inference.fleet.gateway_authority:
    request: "{{ asked.request }}"
    host: "{{ inventory_hostname }}"
  delegate_to: "{{ groups['gateway'] | first }}"
  become: true
  register: signed
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode.
  returned: success
  type: list
  elements: str
authority:
  description: The authority's certificate in PEM, empty in check mode where it would be made.
  returned: success
  type: str
certificate:
  description: What was signed, in PEM. It is for everybody to see.
  returned: when O(request) is given
  type: str
"""

from datetime import datetime, timezone
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.gateway import certificates, identity


def run(params: dict, check_mode: bool) -> dict:
    """Keep the authority and sign a request; return the module's result."""
    directory, now = Path(params["directory"]), datetime.now(timezone.utc)
    text, steps = identity.authority(directory, now, renew=params["renew"], check_mode=check_mode)
    result = {"changed": bool(steps), "steps": steps, "authority": text}
    if params["request"] and not check_mode:
        path = directory / identity.AUTHORITY
        result["certificate"] = certificates.signed(path, params["request"], params["host"], params["use"], now)
        result["changed"] = True
        steps.append(f"sign a certificate of {params['host']}")
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/inference-fleet-gateway"},
            "renew": {"type": "bool", "default": False},
            "request": {"type": "str", "default": ""},
            "host": {"type": "str", "default": ""},
            "use": {"type": "str", "choices": ["server", "client"], "default": "server"},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
