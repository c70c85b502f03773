#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_check
version_added: "0.1.0"
short_description: Prove that an endpoint serves a model
author: inference.fleet contributors (@inference-fleet)
description:
  - Asks an OpenAI- and Anthropic-compatible endpoint for what its users will ask for, and compares the answers with
    what they should be.
  - The checks are C(health), C(model) (listed in /v1/models), C(completion), C(stream), C(tool_call),
    C(streamed_tool_call), C(messages) (/v1/messages) and C(auth) (a request without the key is refused; only where
    O(api_key) is given).
  - A failed check does not stop the others, except that nothing else is asked of an endpoint whose health check failed.
requirements:
  - requests, on the host
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
    details: It changes nothing, and does the same in check mode, unless nothing listens. It then runs no check and does
      not fail, since what was to be deployed before was not.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  url:
    description: Where the endpoint is, as the host reaches it, without C(/v1). Proxies of the environment are not used.
    type: str
    default: http://127.0.0.1:8000
  served_model_name:
    description: The name under which the model is served.
    type: str
    default: qwen3-coder-next
  api_key:
    description: The key, sent as a Bearer token.
    type: str
  checks:
    description: Checks to run, where not all.
    type: list
    elements: str
    choices: [health, model, completion, stream, tool_call, streamed_tool_call, messages, auth]
    default: []
  skip:
    description: Checks to leave out. They are shown as skipped.
    type: list
    elements: str
    choices: [health, model, completion, stream, tool_call, streamed_tool_call, messages, auth]
    default: []
  timeout:
    description: The time that each request may take until its answer is there as a whole, in seconds.
    type: int
    default: 60
  wait:
    description: The time to wait until /health answers 200, in seconds. The checks are run then, whatever it answers.
    type: int
    default: 0
  strict:
    description: Whether a failed check fails the task. Without it, see RV(ok).
    type: bool
    default: true
seealso:
  - module: inference.fleet.engine
"""

EXAMPLES = r"""
- name: Prove that the endpoint serves
  inference.fleet.endpoint_check:
    served_model_name: qwen3-coder-next

- name: Look at an endpoint that may still be loading, and decide later
  inference.fleet.endpoint_check:
    url: http://127.0.0.1:8000
    served_model_name: qwen3-coder-next
    api_key: "{{ engine_api_key }}"
    wait: 600
    strict: false
  register: endpoint
"""

RETURN = r"""
url:
  description: The endpoint that was asked.
  returned: always
  type: str
  sample: http://127.0.0.1:8000
ok:
  description: Whether no check failed.
  returned: always
  type: bool
summary:
  description: What failed, with what was wanted and what was found, and what to do next.
  returned: always
  type: str
checks:
  description: The checks, in the order in which they were made.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The check's name., type: str, returned: always, sample: tool_call}
    status: {description: "V(ok), V(failed), V(skipped) or V(not run).", type: str, returned: always, sample: ok}
    ok: {description: Whether it was run and passed., type: bool, returned: always, sample: true}
    wanted: {description: What the endpoint should do., type: str, returned: always}
    found: {description: What it did., type: str, returned: always}
    seconds:
      description: How long it took, in seconds; 0 where it was not run.
      type: float
      returned: always
      sample: 0.42
lines:
  description: The checks as text, a line each.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import client
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.checks import (
    CHECKS,
    FAILED,
    Target,
    run_checks,
    summary,
)
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError


def main() -> None:
    names = {"type": "list", "elements": "str", "choices": list(CHECKS), "default": []}
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:8000"},
            "served_model_name": {"type": "str", "default": "qwen3-coder-next"},
            "api_key": {"type": "str", "no_log": True},
            "checks": names,
            "skip": names,
            "timeout": {"type": "int", "default": 60},
            "wait": {"type": "int", "default": 0},
            "strict": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    if client.REQUESTS_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("requests"), exception=str(client.REQUESTS_IMPORT_ERROR))
    try:
        outcome = check(module.params, module.check_mode)
    except FleetError as error:
        module.fail_json(msg=str(error), **error.details)
    if not outcome["ok"] and module.params["strict"]:
        module.fail_json(msg=outcome["summary"], **outcome)
    module.exit_json(**outcome)


def check(params: dict, check_mode: bool) -> dict:
    """Run the checks; return the module's result."""
    url, key, timeout = params["url"], params["api_key"] or None, params["timeout"]
    if timeout <= 0:
        raise FleetError(f"timeout is {timeout}: wanted a number of seconds above 0.")
    keyed = client.Client(url, key, timeout)
    if check_mode and not keyed.listens():
        told = f"nothing listens on {url}, and check mode deploys nothing"
        return {"changed": False, "url": url, "ok": True, "summary": told, "checks": [], "lines": [f"not run  {told}"]}
    keyed.wait_for_health(params["wait"])
    anonymous = client.Client(url, None, timeout) if key else None
    results = run_checks(Target(keyed, params["served_model_name"], anonymous), params["checks"], params["skip"])
    return {
        "changed": False,
        "url": url,
        "ok": not any(result.status == FAILED for result in results),
        "summary": summary(url, results),
        "checks": [result.as_dict() for result in results],
        "lines": [result.line for result in results],
    }


if __name__ == "__main__":
    main()
