#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: coding_client
version_added: "0.1.0"
short_description: Have a coding client use an endpoint
author: inference.fleet contributors (@inference-fleet)
description:
  - Writes the settings of Claude Code, Codex, opencode, Continue, aider, Qwen Code or Cline, so that they use an
    endpoint, with the context window that the engine has and a limit of the output that fits it.
  - What the settings have beside that stays. A copy of each file is kept under C(~/.config/inference.fleet) before it
    is changed for the first time, and O(state=absent) puts back what was there. Where the file was changed meanwhile,
    only what was set here is taken out of it.
  - The key is in a file of mode 0600, which Claude Code, Codex and opencode read. Continue, aider, Qwen Code and Cline
    take it from their settings only, which then have mode 0600.
  - Comments in YAML settings are lost. They are in the copy.
requirements:
  - requests
  - PyYAML, for Continue and aider
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  client:
    description: The client.
    type: str
    required: true
    choices: [claude_code, codex, opencode, continue, aider, qwen_code, cline]
  state:
    description: Whether it uses the endpoint.
    type: str
    choices: [present, absent]
    default: present
  url:
    description: Where the endpoint is, as the client reaches it, without C(/v1). Needed unless O(state=absent).
    type: str
  served_model_name:
    description: The name under which the model is served. Needed unless O(state=absent).
    type: str
  api_key:
    description: The endpoint's key.
    type: str
  context_window:
    description: The context window in tokens. Without it, it is asked of the endpoint.
    type: int
  output_limit:
    description: The most tokens of an answer. Without it, a quarter of the context window, and 32768 at most.
    type: int
  home:
    description: The home directory of the client's user.
    type: path
    default: "~"
seealso:
  - module: inference.fleet.endpoint_check
"""

EXAMPLES = r"""
- name: Have Claude Code on this machine use the endpoint
  inference.fleet.coding_client:
    client: claude_code
    url: http://127.0.0.1:8000
    served_model_name: qwen3-coder-next
    api_key: "{{ engine_api_key }}"
  delegate_to: localhost
  become: false
  register: connected

- name: Put back what was there
  inference.fleet.coding_client:
    client: claude_code
    state: absent
  delegate_to: localhost
  become: false
"""

RETURN = r"""
files:
  description: The settings files.
  returned: always
  type: list
  elements: str
  sample: [/home/ada/.claude/settings.json]
copies:
  description: The copies of files that were there before.
  returned: always
  type: list
  elements: str
command:
  description: The command that uses the endpoint.
  returned: when O(state=present)
  type: str
  sample: claude
context_window:
  description: The context window that was set, in tokens.
  returned: when O(state=present)
  type: int
  sample: 262144
output_limit:
  description: The limit of the output that was set, in tokens.
  returned: when O(state=present)
  type: int
  sample: 32768
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.endpoint import client as endpoint_client
from ansible_collections.inference.fleet.plugins.module_utils.endpoint import connection
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.coding_clients import CLIENTS, Endpoint
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

LARGEST_OUTPUT = 32768
# A client wants a key where the endpoint has none, too.
NO_KEY = "none"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "client": {"type": "str", "required": True, "choices": list(CLIENTS)},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "url": {"type": "str"},
            "served_model_name": {"type": "str"},
            "api_key": {"type": "str", "no_log": True},
            "context_window": {"type": "int"},
            "output_limit": {"type": "int"},
            "home": {"type": "path", "default": "~"},
        },
        required_if=[("state", "present", ["url", "served_model_name"])],
        supports_check_mode=True,
    )
    if module.params["state"] == "absent":
        answer(module, lambda: kept_of(module.params).remove(module.check_mode))
    else:
        answer(
            module,
            lambda: connect(module.params, kept_of(module.params), module.check_mode),
            requests=endpoint_client.REQUESTS_IMPORT_ERROR,
        )


def kept_of(params: dict) -> connection.Kept:
    return connection.Kept(Path(params["home"]), params["client"])


def connect(params: dict, kept: connection.Kept, check_mode: bool) -> dict:
    """Bring the settings about; return the module's result."""
    # A client's error would say that the URL is none: its own check of the form comes first.
    asked = endpoint_client.Client(params["url"], params["api_key"] or None, 30)
    context = params["context_window"] or _context(asked, params["served_model_name"])
    output = params["output_limit"] or min(LARGEST_OUTPUT, context // 4)
    if not 0 < output < context:
        raise FleetError(
            f"output_limit is {output}: wanted a number above 0 and below the context window of {context}."
        )
    end = Endpoint(
        url=asked.url,
        model=params["served_model_name"],
        key=params["api_key"] or NO_KEY,
        key_file=str(kept.key_file),
        context=context,
        output=output,
    )
    client = CLIENTS[params["client"]](end)
    done = kept.bring_about(client.files, end.key, check_mode)
    return {**done, "command": client.command, "context_window": context, "output_limit": output}


def _context(asked: endpoint_client.Client, name: str) -> int:
    """Return the context window that the endpoint has for a model."""
    models = {str(item.get("id")): item for item in asked.models()}
    if name not in models:
        raise FleetError(f"GET {asked.url}/v1/models lists {', '.join(models) or 'nothing'}, not {name}.")
    length = models[name].get("max_model_len")
    if not isinstance(length, int) or length < 1:
        raise FleetError(f"GET {asked.url}/v1/models does not tell max_model_len of {name}: give context_window.")
    return length


if __name__ == "__main__":
    main()
