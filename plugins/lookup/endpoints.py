# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints of hosts of the inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: endpoints
short_description: Tell the endpoints that hosts serve
version_added: "0.1.0"
description:
  - Returns a dictionary for each engine that the variables of a host describe, which are those of the role
    P(inference.fleet.engine#role), C(engine_instances) among them. What is not set has the role's default.
  - Of hosts that serve one model together (C(engine_group)), the first has the endpoint, and the others have none.
  - Nothing is asked of any host. What really runs there is told by M(inference.fleet.engine_info).
options:
  _terms:
    description:
      - Names of hosts. The task's own host where none is given, for which variables of the play and the task count too.
    type: list
    elements: str
  followers:
    description:
      - Whether to tell also of the engine of a host that follows another in its C(engine_group), with an empty C(url).
    type: bool
    default: false
author: inference.fleet contributors (@inference-fleet)
"""

EXAMPLES = r"""
- name: Tell where the host's first engine is reached
  ansible.builtin.debug:
    msg: "{{ (query('inference.fleet.endpoints') | first).url }}"

- name: Ask every endpoint of a group, from here
  ansible.builtin.uri:
    url: "{{ item.external_url }}/health"
  loop: "{{ query('inference.fleet.endpoints', *groups['h100']) }}"
  loop_control:
    label: "{{ item.external_url }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_raw:
  description: The endpoints, by host, in the order of the variables.
  type: list
  elements: dict
  contains:
    host: {description: The host's name in the inventory., type: str}
    name: {description: The name of the engine's container., type: str}
    slot: {description: "The engine's place on its host, whatever model serves there: its port.", type: str}
    service:
      description: What the replicas of an engine have in common, the slot of the first of them. Else the slot.
      type: str
      sample: "8000"
    replica: {description: "Which of the replicas it is, counted from 1.", type: int, sample: 1}
    replicas: {description: How many engines serve the same on the host., type: int, sample: 1}
    entry: {description: "Which entry of C(engine_instances) describes it, counted from 0.", type: int, sample: 0}
    engine: {description: The inference engine., type: str, sample: vllm}
    url:
      description: The URL, without C(/v1), as the host itself reaches it. Empty for a host that follows another.
      type: str
      sample: "http://127.0.0.1:8000"
    external_url:
      description:
        - The URL as other machines reach it. Empty where only the host itself does.
        - Where the endpoint is bound to every address, it is at C(engine_external_address), C(ansible_host) or the
          host's name.
        - Of a host with a local connection, which is the control host, the same as C(url).
      type: str
      sample: ""
    address:
      description: "Where other machines reach the host, whatever its engines are bound to. Of a host with a local
        connection, 127.0.0.1."
      type: str
      sample: 10.0.0.11
    port: {description: The port., type: int, sample: 8000}
    bind_address: {description: The address that it is bound to., type: str, sample: 127.0.0.1}
    api_key: {description: "The key, empty where there is none. Keep it out of loops' labels.", type: str}
    model: {description: The model., type: str, sample: Qwen/Qwen3-Coder-Next}
    revision: {description: "The model's revision, empty for the hub's default.", type: str}
    served_model_name: {description: The name that requests give the model., type: str, sample: qwen3-coder-next}
    served_model_names: {description: All names that the endpoint knows the model by., type: list, elements: str}
    task:
      description: What the model is for, empty where its files tell.
      type: str
      sample: ""
    cache_dir: {description: "The host's directory for weights.", type: str}
    group:
      description: The hosts that serve the model together, the head first. Empty where the host serves alone.
      type: list
      elements: str
    compile_cache_dir: {description: "The host's directory for what engines compile.", type: str}
    docker_host: {description: The URL of the Docker daemon., type: str}
"""

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.plugin_utils import endpoints


class LookupModule(LookupBase):
    """Reads variables, and knows no default of its own."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Return the endpoints of the hosts."""
        self.set_options(var_options=variables, direct=kwargs)
        try:
            hostvars, followers = variables["hostvars"], self.get_option("followers")
            if not terms:
                host = str(variables["inventory_hostname"])
                own = endpoints.templated(variables, self._templar.template, hostvars[host])
                return endpoints.endpoints(host, own, followers)
            unknown = [name for name in terms if name not in hostvars]
            if unknown:
                raise FleetError(f"endpoints: no host of the inventory is called {', '.join(map(str, unknown))}.")
            return [found for name in terms for found in endpoints.endpoints(str(name), hostvars[name], followers)]
        except FleetError as error:
            raise AnsibleError(str(error)) from error
