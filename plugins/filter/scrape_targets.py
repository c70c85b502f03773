# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scrape targets of Prometheus from the inventory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible.errors import AnsibleFilterError

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.plugin_utils import endpoints

DOCUMENTATION = r"""
name: scrape_targets
short_description: Make scrape targets of Prometheus from hosts of the inventory
version_added: "0.1.0"
description:
  - Returns the endpoint of each engine of each host as Prometheus' C(file_sd_configs) wants it, with the host, the
    engine, the served model name and the service as labels. Replicas of an engine are of one service, C(service), which
    is the slot of the first of them.
  - One that is bound to a loopback address is left out, since Prometheus cannot reach it, unless its host is reached by
    a local connection.
positional: _input
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts, as C(hostvars).
    type: dict
    required: true
author: inference.fleet contributors (@inference-fleet)
"""

EXAMPLES = r"""
- name: Write the targets
  ansible.builtin.copy:
    content: "{{ ansible_play_hosts_all | inference.fleet.scrape_targets(hostvars) | to_nice_json }}"
    dest: /etc/prometheus/inference_fleet.json
    mode: "0644"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: A list with one item an endpoint, each of C(targets) and C(labels).
  type: list
  elements: dict
  sample:
    - targets: ["10.0.0.7:8000"]
      labels: {host: gpu7, engine: vllm, served_model_name: qwen3-coder-next, service: "8000"}
"""


def scrape_targets(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return an item of a file_sd file for each endpoint that can be scraped, by host."""
    try:
        found = [endpoint for host in sorted(hosts) for endpoint in endpoints.endpoints(host, hostvars[host])]
    except FleetError as error:
        raise AnsibleFilterError(f"scrape_targets: {error}") from error
    return [
        {
            "targets": [urlsplit(endpoint["external_url"]).netloc],
            "labels": {key: endpoint[key] for key in ("host", "engine", "served_model_name", "service")},
        }
        for endpoint in found
        if endpoint["external_url"]
    ]


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"scrape_targets": scrape_targets}
