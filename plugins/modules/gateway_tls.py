#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_tls
version_added: "0.1.0"
short_description: Take TLS from gateways on a host with engines
author: inference.fleet contributors (@inference-fleet)
description:
  - Sets up HAProxy on a host with engines, which takes TLS from gateways of the fleet alone, by the certificates that
    M(inference.fleet.gateway_certificate) keeps, and hands on what is in it to the engines as the host itself reaches
    them. Who has no certificate of the fleet's authority is sent away before a byte comes to an engine.
  - No engine is touched - it may be bound to 127.0.0.1. One port serves all engines of the host.
  - It has a systemd service and a directory of its own, so that another HAProxy of the host is left alone. Where
    nothing differs nothing is done; a change is a reload, by which no request is lost.
requirements:
  - HAProxy 2.6 or newer on the host
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
  state:
    description: V(absent) ends it and removes O(directory), the host's certificate and key with it.
    type: str
    choices: [present, absent]
    default: present
  host:
    description: The host's name in the inventory, by which gateways ask for its engines.
    type: str
    default: localhost
  urls:
    description: The engines, as URLs by which the host itself reaches them.
    type: list
    elements: str
    default: []
  bind_addresses:
    description: The addresses to listen on.
    type: list
    elements: str
    default: [0.0.0.0]
  port:
    description: The port for TLS.
    type: int
    default: 8443
  log:
    description: Where to log what went wrong, as HAProxy's C(log) takes it - a socket of syslog, or an address of one.
    type: str
    default: /dev/log
  directory:
    description: The directory of its configuration, certificate and key.
    type: path
    default: /etc/inference-fleet-tls
  run_directory:
    description: The directory of its sockets.
    type: path
    default: /run/inference-fleet-tls
seealso:
  - module: inference.fleet.gateway
  - module: inference.fleet.gateway_certificate
"""

EXAMPLES = r"""
- name: Take TLS for the host's engines
  inference.fleet.gateway_tls:
    host: "{{ inventory_hostname }}"
    urls: "{{ query('inference.fleet.endpoints') | map(attribute='url') }}"
  become: true
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [write haproxy.cfg, reload HAProxy]
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import identity, service, tls


def run(params: dict, check_mode: bool) -> dict:
    """Bring it to what is wanted; return the module's result."""
    there = tls.service(params["directory"], params["run_directory"], params["port"])
    if params["state"] == "absent":
        steps = [f"remove {what}" for what in service.left(there)]
        if steps and not check_mode:
            service.remove(there)
        return {"changed": bool(steps), "steps": steps}
    settings = tls.Settings(
        bind=tuple(params["bind_addresses"]),
        urls=tuple(params["urls"]),
        **{name: params[name] for name in ("host", "directory", "run_directory", "port", "log")},
    )
    if tls.clashes(settings):
        raise FleetError(
            f"{settings.host}: port {settings.port} is an engine's, and cannot take TLS as well. Set "
            "gateway_tls_port of all hosts to another."
        )
    if not check_mode and not identity.Place(Path(settings.directory)).complete():
        raise FleetError(
            f"{settings.host}: wanted a certificate of the fleet's authority in {settings.directory}, found none: "
            "run the playbook gateway.yml."
        )
    outcome = service.bring(
        there,
        lambda _place: tls.files(settings, root=os.geteuid() == 0),
        service.Outcome(),
        check_mode=check_mode,
    )
    warnings = [] if service.systemd() else ["no systemd runs on this host: nothing starts TLS after a boot."]
    return {"changed": bool(outcome.steps), "steps": outcome.steps, "diff": outcome.diff, "warnings": warnings}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "host": {"type": "str", "default": "localhost"},
            "urls": {"type": "list", "elements": "str", "default": []},
            "bind_addresses": {"type": "list", "elements": "str", "default": ["0.0.0.0"]},
            "port": {"type": "int", "default": 8443},
            "log": {"type": "str", "default": "/dev/log"},
            "directory": {"type": "path", "default": "/etc/inference-fleet-tls"},
            "run_directory": {"type": "path", "default": "/run/inference-fleet-tls"},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
