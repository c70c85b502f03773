# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scrape targets of Prometheus from the inventory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: scrape_targets
short_description: Make scrape targets of Prometheus from hosts of the inventory
version_added: "0.1.0"
description:
  - Returns the engine's endpoint of each host as Prometheus' C(file_sd_configs) wants it, with the host, the engine and
    the served model name as labels.
  - A host whose endpoint is bound to a loopback address is left out, since Prometheus cannot reach it, unless it is
    reached by a local connection.
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
  description: A list with one item a host, each of C(targets) and C(labels).
  type: list
  elements: dict
  sample:
    - targets: ["10.0.0.7:8000"]
      labels: {host: gpu7, engine: vllm, served_model_name: qwen3-coder-next}
"""

# The role engine's own defaults: what is not set in the inventory is not among a host's variables.
_DEFAULTS = {
    "engine_port": 8000,
    "engine_bind_address": "127.0.0.1",
    "engine_name": "vllm",
    "engine_served_model_name": "qwen3-coder-next",
}
_EVERYWHERE = ("0.0.0.0", "::", "")


def scrape_targets(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return an item of a file_sd file for each host that can be scraped, by name."""
    return [item for host in sorted(hosts) if (item := _target(host, hostvars[host]))]


def _target(host: str, variables: Mapping[str, Any]) -> dict[str, Any] | None:
    port, bound, engine, served = (str(variables.get(name, default)) for name, default in _DEFAULTS.items())
    if bound.startswith("127.") or bound in ("::1", "localhost"):
        if variables.get("ansible_connection") != "local":
            return None
        address = bound
    elif bound in _EVERYWHERE:
        local = variables.get("ansible_connection") == "local"
        address = "127.0.0.1" if local else str(variables.get("ansible_host", host))
    else:
        address = bound
    if ":" in address:
        address = f"[{address}]"
    return {
        "targets": [f"{address}:{port}"],
        "labels": {"host": host, "engine": engine, "served_model_name": served},
    }


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"scrape_targets": scrape_targets}
