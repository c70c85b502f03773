#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway
version_added: "0.1.0"
short_description: Put HAProxy in front of engines, with TLS, keys and limits
author: inference.fleet contributors (@inference-fleet)
description:
  - Makes HAProxy's configuration and map files from endpoints and clients, has C(haproxy -c) look at them, puts them in
    place, and reloads HAProxy, by which no request is lost. Where nothing differs nothing is done.
  - It has a systemd service and a directory of its own, so that another HAProxy of the host is left alone. Where no
    systemd runs, HAProxy is started without, and nothing starts it after a boot.
  - What HAProxy does not take is never put in place. Where it cannot begin, the old files come back.
requirements:
  - HAProxy 2.6 or newer, and openssl for a self-signed certificate, on the host
extends_documentation_fragment:
  - inference.fleet.attributes
  - inference.fleet.gateway
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Keys and hashes of keys are masked.
  idempotent:
    support: full
options:
  state:
    description: V(absent) ends HAProxy and removes O(directory), the clients' keys with it.
    type: str
    choices: [present, absent]
    default: present
  host:
    description: The gateway's name in the inventory. An engine of this host is reached by its own URL.
    type: str
    default: localhost
  endpoints:
    description: The engines, as P(inference.fleet.endpoints#lookup) tells them.
    type: list
    elements: dict
    default: []
    suboptions:
      host: {description: The engine's host., type: str, required: true}
      slot: {description: The engine's place on its host., type: str, required: true}
      url: {description: The URL as its own host reaches it., type: str, required: true}
      external_url: {description: "The URL as other hosts reach it, empty where they do not.", type: str, default: ""}
      address: {description: Where other hosts reach the engine's., type: str, default: ""}
      port: {description: The port., type: int}
      bind_address: {description: The address that it is bound to., type: str}
      api_key: {description: "The engine's key, empty for none.", type: str, default: ""}
      served_model_names: {description: The names of its model., type: list, elements: str, required: true}
  engines_without_tls:
    description:
      - Whether prompts may go to engines on other hosts in the clear. Only to addresses of private networks.
      - Where they may not, those engines are asked over TLS, as M(inference.fleet.gateway_tls) takes it on their hosts,
        and by the certificate that M(inference.fleet.gateway_certificate) keeps in O(directory).
    type: bool
    default: false
  tls_port:
    description: The port at which hosts of engines take TLS.
    type: int
    default: 8443
  clients:
    description: Who may ask. Clients that M(inference.fleet.gateway_key) made are kept beside them.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: The client's name, type: str, required: true}
      key: {description: "Its key, of 16 characters or more. It stays on the control host.", type: str}
      key_sha256: {description: "The key's SHA-256, in its place.", type: str}
      models: {description: The models it may use. All where none is named., type: list, elements: str, default: []}
      requests_per_minute: {description: "The most requests a minute, 0 for no limit.", type: int, default: 0}
      concurrent_requests: {description: "The most requests at once, 0 for no limit.", type: int, default: 0}
      expires: {description: "A date, at whose end the key expires, or a time in ISO 8601.", type: str, default: ""}
  bind_addresses:
    description: The addresses to listen on.
    type: list
    elements: str
    default: [0.0.0.0]
  port:
    description: The port for HTTPS.
    type: int
    default: 443
  redirect_port:
    description: The port on which HTTP is answered by a redirect. V(0) opens none.
    type: int
    default: 80
  acme_port:
    description:
      - The port of loopback at which an ACME client such as C(certbot --standalone) waits for challenges, which then
        come to it through O(redirect_port). V(0) for none.
    type: int
    default: 0
  metrics_port:
    description: The port of loopback for Prometheus, at C(/metrics). V(0) opens none.
    type: int
    default: 8405
  certificate:
    description: A PEM file on the host, of the chain and its key. A self-signed one is made where it is empty.
    type: str
    default: ""
  names:
    description: The names and addresses that a self-signed certificate is made out to.
    type: list
    elements: str
    default: [localhost, 127.0.0.1]
  affinity:
    description: V(session) sends a conversation to one engine as long as that is there, for its prefix cache.
    type: str
    choices: [none, session]
    default: none
  max_body:
    description: The largest body of a request, in bytes.
    type: int
    default: 4194304
  max_header:
    description: The largest headers of a request together, in bytes.
    type: int
    default: 16384
  idle_timeout:
    description: How long either side may be silent, in seconds.
    type: int
    default: 1800
  max_connections:
    description: The most connections at once.
    type: int
    default: 4000
  log:
    description: Where to log, as HAProxy's C(log) takes it - a socket of syslog, or an address of one.
    type: str
    default: /dev/log
  stream_tokens:
    description:
      - Whether HAProxy looks into streams for the tokens that they tell, for the log. Each piece goes on as it comes.
      - It takes about 1.5 times as much of a processor for each token of a stream.
    type: bool
    default: false
seealso:
  - module: inference.fleet.gateway_authority
  - module: inference.fleet.gateway_certificate
  - module: inference.fleet.gateway_tls
  - module: inference.fleet.gateway_key
  - module: inference.fleet.gateway_server
"""

EXAMPLES = r"""
- name: Serve the engines of the group h100 on port 443
  inference.fleet.gateway:
    host: "{{ inventory_hostname }}"
    endpoints: "{{ query('inference.fleet.endpoints', *groups['h100']) }}"
    clients:
      - name: anna
        key: "{{ vault_anna_key }}"
  become: true
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode.
  returned: success
  type: list
  elements: str
models:
  description: The models that are served, each with its engines.
  returned: when O(state=present)
  type: dict
  sample: {qwen3-coder-next: ["h100-1:8000"]}
clients:
  description: The names of all clients.
  returned: when O(state=present)
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.gateway import host, reach, service, spec, store


def run(params: dict, check_mode: bool) -> dict:
    """Bring the gateway to what is wanted; return the module's result."""
    if params["state"] == "absent":
        there = host.gateway(params["directory"], params["run_directory"])
        steps = [f"remove {what}" for what in service.left(there)]
        if steps and not check_mode:
            service.remove(there)
        return {"changed": bool(steps), "steps": steps}
    without_tls, tls_port = params["engines_without_tls"], params["tls_port"]
    pools = spec.pools(params["endpoints"], params["host"], without_tls, tls_port, reach.resolved)
    models = [model for pool in pools for model in pool.models]
    before = store.read(Path(params["directory"]))
    clients, warnings = before.with_inventory(spec.clients(params["clients"], models))
    lost = [client.name for client in clients.known if client.models and not set(client.models) & set(models)]
    warnings += [f"gateway client {name}: none of its models is served by an engine here now." for name in lost]
    if not clients.known:
        warnings.append("the gateway has no client, and lets nobody in: make one by gateway_key.yml.")
    if not service.systemd():
        warnings.append("no systemd runs on this host: nothing starts the gateway after a boot.")
    settings = spec.Settings(
        bind=tuple(params["bind_addresses"]),
        trust=params["directory"],
        **{
            name: params[name]
            for name in (
                *("directory", "run_directory", "port", "redirect_port", "acme_port", "metrics_port", "certificate"),
                *("affinity", "max_body", "max_header", "idle_timeout", "max_connections", "log", "stream_tokens"),
            )
        },
    )
    outcome, troubles = host.bring(settings, pools, clients, check_mode=check_mode, names=params["names"])
    return {
        "changed": bool(outcome.steps),
        "steps": outcome.steps,
        "diff": outcome.diff,
        "models": {model: [server.name for server in pool.servers] for pool in pools for model in pool.models},
        "clients": [client.name for client in clients.known],
        "warnings": warnings + troubles,
    }


def main() -> None:
    text = {"type": "str", "default": ""}
    number = {"type": "int", "default": 0}
    endpoint = {
        **{name: {"type": "str", "required": True} for name in ("host", "slot", "url")},
        "external_url": text,
        "address": text,
        "port": {"type": "int"},
        "bind_address": {"type": "str"},
        "api_key": {**text, "no_log": True},
        "served_model_names": {"type": "list", "elements": "str", "required": True},
    }
    client = {
        "name": {"type": "str", "required": True},
        "key": {"type": "str", "no_log": True},
        "key_sha256": {"type": "str", "no_log": True},
        "models": {"type": "list", "elements": "str", "default": []},
        "requests_per_minute": number,
        "concurrent_requests": number,
        "expires": text,
    }
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "directory": {"type": "path", "default": "/etc/inference-fleet-gateway"},
            "run_directory": {"type": "path", "default": "/run/inference-fleet-gateway"},
            "host": {"type": "str", "default": "localhost"},
            "endpoints": {"type": "list", "elements": "dict", "default": [], "options": endpoint},
            "engines_without_tls": {"type": "bool", "default": False},
            "tls_port": {"type": "int", "default": 8443},
            "clients": {"type": "list", "elements": "dict", "default": [], "options": client, "no_log": False},
            "bind_addresses": {"type": "list", "elements": "str", "default": ["0.0.0.0"]},
            "port": {"type": "int", "default": 443},
            "redirect_port": {"type": "int", "default": 80},
            "acme_port": number,
            "metrics_port": {"type": "int", "default": 8405},
            "certificate": text,
            "names": {"type": "list", "elements": "str", "default": ["localhost", "127.0.0.1"]},
            "affinity": {"type": "str", "choices": ["none", "session"], "default": "none"},
            "max_body": {"type": "int", "default": 4 * 1024 * 1024},
            "max_header": {"type": "int", "default": 16 * 1024},
            "idle_timeout": {"type": "int", "default": 1800},
            "max_connections": {"type": "int", "default": 4000},
            "log": {"type": "str", "default": "/dev/log"},
            "stream_tokens": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
