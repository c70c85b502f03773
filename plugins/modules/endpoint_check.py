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
  - Without O(levels) and O(checks) the checks are C(health), C(model) (listed in /v1/models), C(completion), C(stream),
    C(tool_call), C(streamed_tool_call), C(messages) (/v1/messages) and C(auth) (a request without the key is refused;
    only where O(api_key) is given). A model with random weights passes them.
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
  task:
    description:
      - What the model is for. One that does not chat is asked for an embedding, a ranking or a transcription, a base
        model for text at /v1/completions. It has the levels V(basic) and V(security) alone.
    type: str
    choices: [chat, completion, embedding, rerank, transcription]
    default: chat
    version_added: "0.1.0"
  levels:
    description:
      - What to prove. Each level has the checks of V(basic) (health, model, completion, stream) and its own.
      - V(tools) is about tool calls, V(anthropic) about /v1/messages down to the request that Claude Code sends,
        V(responses) about /v1/responses, which Codex needs, V(context) about a prompt of nearly the context length,
        V(structured) about JSON of a schema, and V(security) about who gets in and where the key stands. V(all) is all
        of them.
    type: list
    elements: str
    choices: [basic, tools, anthropic, responses, context, structured, security, all]
    default: []
    version_added: "0.1.0"
  trained:
    description:
      - Whether to run the checks that ask for more than random weights can, such as parallel tool calls and a sentence
        found in a long prompt. Without it they are shown as skipped.
    type: bool
    default: true
  container_name:
    description:
      - The engine's container on this host. The level V(security) looks for the key in its settings and its log, and in
        the arguments of the host's processes.
    type: str
  docker_host:
    description: The URL of the Docker daemon.
    type: str
    default: unix:///var/run/docker.sock
  open_paths:
    description: Paths that the endpoint answers without the key. The level V(security) fails for any other.
    type: list
    elements: str
    default: [/health]
  checks:
    description: Checks to run, beside those of O(levels).
    type: list
    elements: str
    choices: &names
      - health
      - model
      - completion
      - stream
      - tool_call
      - streamed_tool_call
      - messages
      - parallel_tool_calls
      - streamed_parallel_tool_calls
      - tool_result
      - tool_choice_required
      - tool_choice_none
      - no_tool_call
      - messages_stream
      - messages_tool_call
      - messages_streamed_tool_call
      - messages_parallel_tool_calls
      - messages_streamed_parallel_tool_calls
      - messages_tool_result
      - count_tokens
      - claude_cache_control
      - claude_system_turn
      - claude_trailing_system_turn
      - claude_adaptive_thinking
      - claude_effort
      - claude_context_management
      - claude_deferred_tools
      - claude_request
      - claude_parallel_tool_calls
      - x_api_key
      - response
      - response_stream
      - response_tool_call
      - response_streamed_tool_call
      - response_parallel_tool_calls
      - response_streamed_parallel_tool_calls
      - response_tool_result
      - json_schema
      - streamed_json_schema
      - response_json_schema
      - context_length
      - needle_start
      - needle_middle
      - needle_end
      - auth
      - routes_without_key
      - routes_with_wrong_key
      - loopback
      - no_secret
      - text_completion
      - text_stream
      - embedding
      - rerank
      - transcription
    default: []
  skip:
    description: Checks to leave out. They are shown as skipped.
    type: list
    elements: str
    choices: *names
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

- name: Prove that coding agents can use it
  inference.fleet.endpoint_check:
    served_model_name: qwen3-coder-next
    levels: [tools, anthropic, responses]

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
    level: {description: The level that it belongs to., type: str, returned: always, sample: tools}
    status: {description: "V(ok), V(failed), V(skipped) or V(not run).", type: str, returned: always, sample: ok}
    ok: {description: Whether it was run and passed., type: bool, returned: always, sample: true}
    wanted: {description: What the endpoint should do., type: str, returned: always}
    found: {description: What it did., type: str, returned: always}
    seconds:
      description: How long it took, in seconds; 0 where it was not run.
      type: float
      returned: always
      sample: 0.42
junit:
  description: The checks as JUnit XML.
  returned: when checks were run
  type: str
lines:
  description: The checks as text, a line each.
  returned: always
  type: list
  elements: str
"""

import json

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.endpoint import client, levels
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import (
    FAILED,
    Target,
    run_checks,
    summary,
    table,
)
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import CHAT, TASKS, GenerationClient
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.junit import junit
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import traces

WRONG_KEY = "a-wrong-key"


def main() -> None:
    names = {"type": "list", "elements": "str", "choices": list(levels.NAMES), "default": []}
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:8000"},
            "served_model_name": {"type": "str", "default": "qwen3-coder-next"},
            "api_key": {"type": "str", "no_log": True},
            "task": {"type": "str", "choices": list(TASKS), "default": CHAT},
            "levels": {"type": "list", "elements": "str", "choices": [*levels.LEVELS, "all"], "default": []},
            "trained": {"type": "bool", "default": True},
            "container_name": {"type": "str"},
            "docker_host": {"type": "str", "default": "unix:///var/run/docker.sock"},
            "open_paths": {"type": "list", "elements": "str", "default": ["/health"]},
            "checks": names,
            "skip": names,
            "timeout": {"type": "int", "default": 60},
            "wait": {"type": "int", "default": 0},
            "strict": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    answer(module, lambda: run(module), requests=client.REQUESTS_IMPORT_ERROR)


def run(module: AnsibleModule) -> dict:
    """Run the checks; return the module's result, or fail with it."""
    outcome = check(module.params, module.check_mode, _interfaces(module))
    if not outcome["ok"] and module.params["strict"]:
        raise FleetError(outcome["summary"], **outcome)
    return outcome


def _interfaces(module: AnsibleModule) -> list:
    """Return what the host tells of its addresses; nothing where it does not."""
    ip = module.get_bin_path("ip")
    if not ip:
        return []
    code, told, _unused = module.run_command([ip, "-j", "addr"])
    return json.loads(told) if code == 0 else []


def check(params: dict, check_mode: bool, interfaces: list | None = None) -> dict:
    """Run the checks; return the module's result."""
    url, key, timeout = params["url"], params["api_key"] or None, params["timeout"]
    if timeout <= 0:
        raise FleetError(f"timeout is {timeout}: wanted a number of seconds above 0.")
    keyed = GenerationClient(url, key, timeout)
    if check_mode and not keyed.listens():
        told = f"nothing listens on {url}, and check mode deploys nothing"
        return {"changed": False, "url": url, "ok": True, "summary": told, "checks": [], "lines": [f"not run  {told}"]}
    keyed.wait_for_health(params["wait"])
    chosen = levels.chosen(params["levels"], params["checks"], params["task"])
    found = None
    if params["container_name"] and "no_secret" in chosen:
        # Only who looks at a container needs Docker's SDK.
        from ansible_collections.inference.fleet.plugins.module_utils.containers import daemon

        if daemon.IMPORT_ERROR is not None:
            raise FleetError(missing_required_lib("docker"))
        found = traces.traces(daemon.Daemon(params["docker_host"]), params["container_name"])
    target = Target(
        keyed,
        params["served_model_name"],
        anonymous=client.Client(url, None, timeout) if key else None,
        stranger=client.Client(url, WRONG_KEY, timeout) if key else None,
        key=key,
        open_paths=tuple(params["open_paths"]),
        traces=found,
        elsewhere=traces.elsewhere(url, interfaces or []),
    )
    results = run_checks(target, chosen, skip=params["skip"], trained=params["trained"])
    told = [result.as_dict() for result in results]
    return {
        "changed": False,
        "url": url,
        "ok": not any(result.status == FAILED for result in results),
        "summary": summary(url, results),
        "checks": told,
        "junit": junit(told, f"{params['served_model_name']} at {url}"),
        "lines": table(results),
    }


if __name__ == "__main__":
    main()
