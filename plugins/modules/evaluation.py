#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: evaluation
version_added: "0.1.0"
short_description: Evaluate a served model by a public benchmark
author: inference.fleet contributors (@inference-fleet)
description:
  - Runs the samples of a benchmark through an OpenAI-compatible endpoint, has them scored, and writes a document with
    the score and its 95 % confidence interval on the control host. The harness's log is kept beside it.
  - A run of which a sample failed is never a score. It fails the task, and the same task goes on with it - samples that
    are done are not run again. So does one that was interrupted, or whose host went away.
  - A run is another one where what is asked for, or the engine's container, is another.
  - What the model writes in V(human_eval) is run in a container without a network, with one CPU and 512 MiB, and
    nothing of the host mounted.
requirements:
  - the environment in O(venv), which the role P(inference.fleet.evaluation#role) makes
  - for O(benchmark=human_eval), a Docker daemon
  - jmespath on the control host, for O(gates)
extends_documentation_fragment:
  - inference.fleet.attributes
  - inference.fleet.measured
attributes:
  check_mode:
    support: full
    details: Tells what it would run, and runs nothing.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Each call is a new run with a document of its own, or goes on with one that was cut off.
options:
  benchmark:
    description:
      - V(tau2_retail) and V(tau2_airline), an agent with tools that serves a simulated user; V(human_eval), Python
        functions; or any task of inspect-evals by its name, such as V(inspect_evals/gsm8k). Many of these download
        their data.
      - V(openbench/tau_bench_retail), and any other task of openbench by its name.
    type: str
    default: tau2_retail
  model:
    description: The model that the endpoint serves, by its hub name or directory, for the document.
    type: str
    default: Qwen/Qwen3-Coder-Next
  api_key:
    description: The endpoint's API key. It stands in no command line and in no document.
    type: str
  user_url:
    description:
      - The endpoint of the model that plays the user, without C(/v1); another one of the fleet, or a hosted one. O(url)
        where it is not given.
    type: str
  user_model:
    description: What requests call the model that plays the user. O(served_model_name) where it is not given.
    type: str
  user_api_key:
    description: The API key of O(user_url). O(api_key) where that is O(url).
    type: str
  limit:
    description: How many samples, from the first on. V(0) is all of them.
    type: int
    default: 0
  trials:
    description: How often each sample is run.
    type: int
    default: 1
  seed:
    description: The seed that is sent with requests.
    type: int
  concurrency:
    description: How many samples are run at a time.
    type: int
    default: 8
  message_limit:
    description: How many messages a sample may take. For tau2, how often user and agent each have their turn.
    type: int
  args:
    description: Options of the benchmark's own task, by name.
    type: dict
    default: {}
  extra_args:
    description: More arguments for the harness, as they are.
    type: list
    elements: str
    default: []
  image:
    description: The image in which V(human_eval) runs what the model writes. It needs a C(python3).
    type: str
    default: python:3.12-slim
  docker_host:
    description: The URL of the Docker daemon that runs O(image).
    type: str
    default: unix:///var/run/docker.sock
  venv:
    description: The virtual environment of the harness.
    type: path
    default: /opt/inference.fleet/evaluation
  timeout:
    description: Seconds after which a run is ended. The same task goes on with it.
    type: int
    default: 86400
  resume:
    description: Whether to go on with an earlier run of the same that was cut off. Otherwise it is removed.
    type: bool
    default: true
  wait_idle:
    description:
      - Seconds to wait for a benchmark or another evaluation of the same host to end, and, unless O(busy=share), for an
        engine that somebody else uses.
    type: int
    default: 0
  busy:
    description:
      - What to do where somebody else uses the engine for longer than O(wait_idle). V(share) evaluates all the same, as
        other requests make no answer worse; V(fail) fails; V(skip) says why, and asks the model nothing.
      - While a benchmark or another evaluation of the same host is under way, V(share) fails too.
      - An engine that tells no load counts as idle.
    type: str
    choices: [share, fail, skip]
    default: share
  lock_dir:
    description:
      - Directory of the lock that keeps evaluations and benchmarks of a host apart, the C(work_dir) of
        M(inference.fleet.benchmark).
    type: path
    default: /var/tmp/inference.fleet/benchmark
  label:
    description: A word that keeps runs apart which would otherwise be compared over time. It goes into the document.
    type: str
  client_host:
    description: Name of the host that the harness runs on, for the document.
    type: str
  work_dir:
    description: Directory on the host in which each run has a directory of its own, until its document is written.
    type: path
    default: /var/tmp/inference.fleet/evaluation
  results_dir:
    description: Directory on the control host for result documents. Evaluations go to C(evaluation) in it.
    type: path
    default: results
  gates:
    description:
      - Conditions that the document has to meet. All are recorded in it. The task fails when one is not met, after the
        document is written.
      - Each has a C(condition), a JMESPath expression over the document that is met when its value is true, and a
        C(message), which says what it means when it is not.
    type: list
    elements: dict
    default: []
seealso:
  - module: inference.fleet.benchmark
  - module: inference.fleet.regressions
"""

EXAMPLES = r"""
- name: Evaluate tool use by ten tasks of tau2-bench's retail, with another model as the user
  inference.fleet.evaluation:
    limit: 10
    user_url: http://gpu2:8000
    user_model: qwen3.5-397b
    user_api_key: "{{ user_key }}"

- name: Want a model that passes half of HumanEval at least, surely
  inference.fleet.evaluation:
    benchmark: human_eval
    gates:
      - condition: score.low >= `0.5`
        message: it writes too little that is right
"""

RETURN = r"""
argv:
  description: The harness's command line. Keys are not in it.
  returned: success
  type: list
  elements: str
result:
  description: The document, which C(docs/evaluation.schema.json) defines.
  returned: success, outside check mode
  type: dict
path:
  description: Its path on the control host.
  returned: success, outside check mode
  type: str
log_path:
  description: The path of the harness's log on the control host, which C(inspect view) shows.
  returned: success, outside check mode
  type: str
table:
  description: The result as text of several lines.
  returned: success, outside check mode
  type: str
kept:
  description: Directory on the host with what was done of a run that is no score.
  returned: when a run is no score
  type: str
skip_reason:
  description: Why nothing was asked.
  returned: with O(busy=skip), where somebody else uses the engine
  type: str
log:
  description: The harness's log on the host, until it is on the control host.
  returned: never
  type: str
"""

import shutil
import socket
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import answers, client_container, session
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.claim import EVALUATION, claimed
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.result import run_id
from ansible_collections.inference.fleet.plugins.module_utils.errors import BusyError, FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import command, document, run, suites
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

SPEC = {
    "benchmark": {"type": "str", "default": "tau2_retail"},
    "url": {"type": "str", "default": "http://127.0.0.1:8000"},
    "model": {"type": "str", "default": "Qwen/Qwen3-Coder-Next"},
    "served_model_name": {"type": "str", "default": "qwen3-coder-next"},
    "api_key": {"type": "str", "no_log": True},
    "user_url": {"type": "str"},
    "user_model": {"type": "str"},
    "user_api_key": {"type": "str", "no_log": True},
    "limit": {"type": "int", "default": 0},
    "trials": {"type": "int", "default": 1},
    "seed": {"type": "int"},
    "concurrency": {"type": "int", "default": 8},
    "message_limit": {"type": "int"},
    "args": {"type": "dict", "default": {}},
    "extra_args": {"type": "list", "elements": "str", "default": []},
    "image": {"type": "str", "default": "python:3.12-slim"},
    "docker_host": {"type": "str", "default": client_container.DOCKER_HOST},
    "venv": {"type": "path", "default": "/opt/inference.fleet/evaluation"},
    "timeout": {"type": "int", "default": 86400},
    "resume": {"type": "bool", "default": True},
    "wait_idle": {"type": "int", "default": 0},
    "busy": {"type": "str", "choices": ["share", "fail", "skip"], "default": "share"},
    "lock_dir": {"type": "path", "default": "/var/tmp/inference.fleet/benchmark"},
    "label": {"type": "str"},
    "engine": {"type": "dict"},
    "hardware": {"type": "dict"},
    "client_host": {"type": "str"},
    "run_host": {"type": "str"},
    "work_dir": {"type": "path", "default": "/var/tmp/inference.fleet/evaluation"},
    "results_dir": {"type": "path", "default": "results"},
    "gates": {"type": "list", "elements": "dict", "default": []},
    "progress_file": {"type": "path"},
}


def plan_of(params: dict) -> command.Plan:
    """Return what is asked for. FleetError where it cannot be."""
    suite = suites.suite(params["benchmark"])
    endpoint = command.Endpoint(_base(params["url"]), params["served_model_name"], params["api_key"])
    user = None
    if suite.has_user:
        # At the endpoint itself its key fits another model too.
        own = params["user_url"] is None or _base(params["user_url"]) == endpoint.url
        user = command.Endpoint(
            endpoint.url if own else _base(params["user_url"]),
            params["user_model"] or endpoint.served_model_name,
            endpoint.api_key if own and params["user_api_key"] is None else params["user_api_key"],
        )
    elif params["user_url"] or params["user_model"]:
        raise FleetError(f"user_model: {suite.name} has no user; tau2_retail and tau2_airline have one.")
    return command.Plan(
        suite=suite,
        endpoint=endpoint,
        user=user,
        limit=params["limit"],
        trials=params["trials"],
        seed=params["seed"],
        concurrency=params["concurrency"],
        message_limit=params["message_limit"],
        args=params["args"],
        extra_args=tuple(params["extra_args"]),
        image=params["image"] if suite.runs_code else None,
    )


def evaluate(params: dict, check_mode: bool) -> dict:
    """Return the module's result. FleetError where there is no score."""
    plan = plan_of(params)
    engine = params["engine"] or {}
    served = [(engine.get("image") or {}).get("id"), engine.get("argv"), (engine.get("container") or {}).get("id")]
    place = Path(params["work_dir"]) / plan.place(served)
    venv = Path(params["venv"])
    if check_mode:
        return {"changed": True, "argv": command.start(plan, str(place / "logs"), str(venv / "bin"))}
    host = params["run_host"] or socket.gethostname()
    name = run_id(host)
    session.make_work_dir(params["work_dir"], place.name)
    progress = Progress(params["progress_file"])
    run.require_endpoint(plan.endpoint, "The model", "Deploy it first, or name another url.")
    if plan.user:
        run.require_endpoint(plan.user, "The user's model", "See user_url, user_model and user_api_key.")
    simulated = {
        who: answers.simulated(each, each.api_key)
        for who, each in (("model", plan.endpoint), ("user", plan.user))
        if each
    }
    # The lock is where those of benchmarks are.
    session.make_work_dir(params["lock_dir"], place.name)
    try:
        with claimed(Path(params["lock_dir"]), plan.endpoint.url, name, progress, params["wait_idle"], EVALUATION):
            if params["busy"] != "share":
                run.require_idle(plan.endpoint, params["wait_idle"], progress)
            if not params["resume"]:
                shutil.rmtree(place, ignore_errors=True)
            started_at = session.now()
            done = run.Evaluation(plan, place, venv, params["docker_host"], progress).run(params["timeout"])
    except BusyError as error:
        if params["busy"] != "skip":
            raise
        return {"changed": False, "skipped": True, "skip_reason": str(error)}
    found = document.build(
        plan=plan,
        read=done.read,
        run_id=name,
        host=host,
        client_host=params["client_host"] or host,
        started_at=started_at,
        finished_at=session.now(),
        argv=done.argv,
        simulated=simulated,
        continued=max(0, done.attempts - 1),
        model=params["model"],
        engine=engine,
        hardware=params["hardware"],
        label=params["label"] or None,
    )
    return {"changed": True, "argv": list(done.argv), "result": found, "log": str(done.log), "place": str(place)}


def _base(url: str) -> str:
    return url.rstrip("/").removesuffix("/v1")


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    answer(module, lambda: evaluate(module.params, module.check_mode))


if __name__ == "__main__":
    main()
