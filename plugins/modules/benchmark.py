#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: benchmark
version_added: "0.1.0"
short_description: Benchmark an endpoint and leave a result document
author: inference.fleet contributors (@inference-fleet)
description:
  - Runs a benchmark client on a host against an OpenAI-compatible endpoint, and writes a result document on the
    control host.
  - A warm-up comes first and is not counted. A repeat counts only when every request completed with the wanted number
    of tokens.
    The client's exit code is never taken for a result.
  - A run that does not count fails the task with what the server answered, and leaves no result. The client's raw
    output stays on the host.
  - Nothing of a client is left running, however the run ends.
  - All clients are brought to the definitions of C(vllm bench serve). TTFT is the time from sending a request to its
    first token, ITL the gap between streamed chunks, TPOT (E2EL - TTFT) / (output tokens - 1) of each request, and
    output throughput the output tokens of all requests by the duration of the benchmark.
requirements:
  - requests, on the host
  - the client on the host (O(client_path)), or an image that has it, a Docker daemon and the Docker SDK
    for Python 5.0.3 or newer (O(client_image))
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
    details: Each call is a new run with a document of its own.
options:
  replicas:
    description:
      - More engines that serve the same as the one at O(url). All are measured as one service, at the same time. Each
        request goes to one of them in turn, so that O(max_concurrency) is that of all.
      - It takes O(client=aiperf).
    type: list
    elements: dict
    default: []
    suboptions:
      url:
        description: The engine's endpoint, like O(url).
        type: str
        required: true
      engine:
        description: What M(inference.fleet.engine_info) tells of it.
        type: dict
  members:
    description:
      - The other hosts that serve the model together with the one at O(url). Their GPUs and prices count, and the
        result tells of them. Energy is told where O(recorded_hosts) has all of them.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: The host's name.
        type: str
        required: true
      engine:
        description: What M(inference.fleet.engine_info) tells of its engine.
        type: dict
      hardware:
        description: C(host) of what M(inference.fleet.host_info) tells of it.
        type: dict
      price_per_hour:
        description: US dollars an hour for its GPUs, like O(price_per_hour). Without that of one, no cost is told.
        type: float
  recorded_hosts:
    description:
      - Hosts of the engine on which the client does not run, and whose GPUs M(inference.fleet.gpu_recording) records.
        The GPUs of O(run_host) are not sampled then where it is among them.
      - The run is kept on the client's host until another call with O(kept) has put the O(recordings) in.
    type: list
    elements: str
    default: []
  kept:
    description:
      - The file RV(kept) of a run with O(recorded_hosts). Nothing is measured; the run's result is written, with
        O(recordings) in it.
      - Where that never happens, the next benchmark brings the run, without them.
    type: path
  recordings:
    description: For O(kept), what was recorded on each host. A host that is missing recorded nothing.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: The host's name.
        type: str
        required: true
      windows:
        description: What M(inference.fleet.gpu_recording) returned.
        type: list
        elements: raw
        required: true
  model:
    description: The model that the endpoint serves, by its hub name or directory.
    type: str
    default: Qwen/Qwen3-Coder-Next
  tokenizer:
    description:
      - The tokenizer with which the client makes its prompts, by hub name or directory. O(model) where it is not given.
      - V(byte-level) is the tokenizer of the simulator, one token a byte. It is not downloaded.
        Not for O(client=sglang).
    type: str
  client:
    description: The benchmark client.
    type: str
    choices: [vllm, sglang, aiperf]
    default: vllm
  client_path:
    description:
      - The client's executable on the host. Found on the search path where it is not given.
      - For O(client=sglang), the Python interpreter of an SGLang installation.
    type: str
  client_image:
    description:
      - An image to run the client from, instead of O(client_path). It is pulled where the host does not have it.
    type: str
  docker_host:
    description: The URL of the Docker daemon that runs O(client_image).
    type: str
    default: unix:///var/run/docker.sock
  cache_dir:
    description:
      - The host's Hugging Face cache. A client in a container reads it and downloads nothing.
      - It also tells the revision of O(model).
      - A leading V(~) and V(auto) are as for M(inference.fleet.engine).
    type: str
    default: ~/.cache/huggingface
  input_length:
    description: Tokens of each prompt.
    type: int
    default: 8192
  output_length:
    description: Tokens of each answer.
    type: int
    default: 1024
  num_prompts:
    description: Requests in each repeat.
    type: int
    default: 512
  max_concurrency:
    description: Requests in flight at once.
    type: int
    default: 32
  request_rate:
    description: Requests a second. As many as O(max_concurrency) allows where it is not given.
    type: float
  random_range_ratio:
    description:
      - How far the lengths of requests differ, from 1 - r to 1 + r times O(input_length) and O(output_length), evenly.
        All have the same lengths with 0, and then go through the engine in waves.
      - Each client is told in its own terms. It is vLLM's meaning of C(--random-range-ratio), which is not SGLang's.
    type: float
    default: 0
  seed:
    description:
      - Seed of the prompts. Each repeat adds one, and each point of a sweep goes on from there, so that none is served
        from the prefix cache.
      - Without it, each run has a seed of its own, from its run id. It is in RV(argv) and in the result, so that a run
        can be repeated.
    type: int
  max_prefix_cached:
    description:
      - The share of the prompt tokens, in per cent, that may come from the engine's prefix cache. A repeat with more
        does not count. Beside them, each prompt may have 64 tokens of a chat template there.
      - C(vllm bench serve) draws some random prompts twice, about one in a hundred of the default workload.
    type: float
    default: 5
  answers:
    description:
      - Whether right answers can be wanted of the engine. With V(check) it is asked a few questions that have one right
        answer, before and after the benchmark, among them an echo, a sum, JSON and a tool call. The result has the
        score. A wrong engine, however fast, fails the task, before it is measured where that is seen then.
      - V(not_applicable) asks nothing. It is for weights that are random, and models that cannot do these. A simulator,
        which says that it is one, is not asked in either case.
    type: str
    choices: [check, not_applicable]
    default: check
  min_right_answers:
    description: The share of right answers, in per cent, below which a run does not count.
    type: float
    default: 75
  warmup:
    description:
      - Whether to send requests before the first repeat that are not counted. Their number is twice O(max_concurrency),
        at the workload's own concurrency and input length, with prompts of their own.
    type: bool
    default: true
  repeats:
    description: How often the workload is run.
    type: int
    default: 3
  sweep:
    description:
      - More workloads to run after the first, each with a warm-up and repeats of its own. An item takes what it does
        not set from the options above.
      - The result has every point, and tells which are on the Pareto front of output throughput per GPU against tokens
        per second per user.
      - A point that does not count ends the sweep and fails the task. The result keeps the points before it.
    type: list
    elements: dict
    default: []
    suboptions:
      input_length: {description: As O(input_length)., type: int}
      output_length: {description: As O(output_length)., type: int}
      num_prompts: {description: As O(num_prompts)., type: int}
      max_concurrency: {description: As O(max_concurrency)., type: int}
      request_rate: {description: As O(request_rate)., type: float}
      random_range_ratio: {description: As O(random_range_ratio)., type: float}
  slo:
    description:
      - Limits in milliseconds that a request must keep to count for goodput, the metric C(request_goodput).
    type: dict
    suboptions:
      ttft_ms: {description: Time to the first token., type: float}
      tpot_ms: {description: Time per output token after the first., type: float}
      e2el_ms: {description: Time to the last token., type: float}
  label:
    description:
      - A word that keeps runs apart which would otherwise be compared over time, such as V(canary). It goes into the
        document.
    type: str
  comparison:
    description:
      - The turn that the run is in a comparison of variants, as compare.yml takes them. It goes into the document.
    type: dict
    suboptions:
      id: {description: The comparison., type: str, required: true}
      fingerprint: {description: "What only equal comparisons have.", type: str, required: true}
      variant: {description: The name of the variant., type: str, required: true}
      round: {description: "The round, from 1.", type: int, required: true}
      rounds: {description: How many rounds there are., type: int, required: true}
  price_per_hour:
    description: US dollars an hour for the engine's GPUs on its host. From it comes the cost per million tokens.
    type: float
  wait_idle:
    description:
      - Seconds to wait for an engine that somebody else uses. It is asked for its requests at C(/metrics) before the
        warm-up, and during each repeat; what becomes of one that is busy for longer, O(busy) says.
      - Another benchmark of the same host is waited for as long.
      - Where the engine does not tell, the result says so. SGLang tells with C(--enable-metrics).
    type: int
    default: 0
  busy:
    description:
      - What to do where somebody else uses the engine, or another benchmark of its host is under way, for longer than
        O(wait_idle).
      - V(fail) fails the task.
      - V(skip) runs nothing, says why in RV(skip_reason), and leaves no document. The task counts as skipped. It is for
        benchmarks on a timer.
      - A later point of O(sweep) that finds the engine busy ends the sweep and fails in either case.
    type: str
    choices: [fail, skip]
    default: fail
  max_variation:
    description:
      - The coefficient of variation of the repeats' output throughput, in per cent, above which the result is flagged.
    type: float
    default: 5
  timeout:
    description: Seconds after which a run of the client, the warm-up or one repeat, is killed and fails.
    type: int
    default: 3600
  extra_args:
    description: More arguments for the client, as they are. One that another option sets is refused.
    type: list
    elements: str
    default: []
  api_key:
    description: The endpoint's API key. It stands in no command line and in no result.
    type: str
  client_host:
    description: Name of the host that the client runs on, for the document. RV(result) names O(run_host) besides.
    type: str
  work_dir:
    description:
      - Directory on the host in which each run has a directory of its own, removed when the run succeeds.
      - Its result is kept in C(finished) there until it is in O(results_dir). One that did not get there, because the
        control host was gone or its disk full, is brought there by the next benchmark of the same host.
    type: path
    default: /var/tmp/inference.fleet/benchmark
  results_dir:
    description: Directory on the control host for result documents. Relative to the current directory.
    type: path
    default: results
  baselines:
    description:
      - What to compare the result with. V(published) is the published row of the engine, its profile and the model.
        V(previous) is the newest earlier result in O(results_dir) of the same host, engine, configuration, model,
        workload and limits that nothing disturbed. Each point of a sweep has its own.
        Anything else is a run id in O(results_dir), or the path of a result document on the control host.
      - Each metric is better, worse or the same. It is the same where the change is within the 95 % confidence interval
        that the repeats of both sides give. Without a spread on any side there is no verdict.
    type: list
    elements: str
    default: [published]
  gates:
    description:
      - Conditions that the result document has to meet. All are recorded in it. The task fails when one is not met,
        after the document is written.
      - Each has a C(condition), a JMESPath expression over the result document that is met when its value is true,
        and a C(message), which says what it means when it is not.
      - One whose answer rests on figures that get no verdict, such as ratios to a cold or simulated row, is neither met
        nor missed.
    type: list
    elements: dict
    default: []
seealso:
  - module: inference.fleet.engine_info
  - module: inference.fleet.host_info
"""

EXAMPLES = r"""
- name: Benchmark the published workload with the client of the engine's image
  inference.fleet.benchmark:
    client_image: vllm/vllm-openai:latest
  become: true

- name: Benchmark with AIPerf, and want a throughput
  inference.fleet.benchmark:
    client: aiperf
    client_path: /opt/inference.fleet/aiperf/bin/aiperf
    num_prompts: 128
    repeats: 2
    baselines: [published, previous]
    gates:
      - condition: metrics.output_throughput.mean >= `1700`
        message: less output than the service needs
  register: run

- name: Sweep the concurrency, and count the requests that keep to the limits
  inference.fleet.benchmark:
    client: aiperf
    client_path: /opt/inference.fleet/aiperf/bin/aiperf
    max_concurrency: 8
    num_prompts: 64
    sweep:
      - {max_concurrency: 32, num_prompts: 128}
      - {max_concurrency: 128, num_prompts: 512}
    slo: {ttft_ms: 2000, tpot_ms: 30}
    price_per_hour: 16.36

- name: Show the result
  ansible.builtin.debug:
    msg: "{{ run.table.splitlines() }}"
"""

RETURN = r"""
argv:
  description: The client's command line of the first repeat. That of others differs in the seed and the directory.
  returned: success
  type: list
  elements: str
path:
  description: The result document on the control host.
  returned: success, outside check mode
  type: str
collected:
  description: Result documents of earlier runs of this host that had not reached the control host, and now have.
  returned: when there was one
  type: list
  elements: str
kept:
  description: The file on the host that has the result, where the control host has it not, or not yet.
  returned: when the result could not be written, and with O(recorded_hosts)
  type: str
windows:
  description: When the requests of each repeat were in flight, for M(inference.fleet.gpu_recording).
  returned: with O(recorded_hosts)
  type: list
  elements: raw
result:
  description: The result document, but for the client's raw output, which is in the file at RV(path).
  returned: success, outside check mode and but for O(recorded_hosts), where O(kept) returns it
  type: dict
table:
  description: The result beside the published figures, as text of several lines.
  returned: success, outside check mode
  type: str
command:
  description: The client's command line, as one would type it.
  returned: when a run does not count
  type: str
skip_reason:
  description: Who uses the engine, and what was found of it.
  returned: when O(busy=skip) and somebody else uses the engine
  type: str
raw_output:
  description: Directory on the host with what the client left.
  returned: when a run does not count
  type: str
"""

import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import (
    CLIENTS,
    client_container,
    disturbances,
    group,
    preconditions,
    recorded,
    result,
    runner,
    service,
    session,
    telemetry,
)
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.claim import claimed
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.plan import Plan
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.redaction import redact
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload, seed_of
from ansible_collections.inference.fleet.plugins.module_utils.errors import BusyError, FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.cache_place import cache_place
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress
from ansible_collections.inference.fleet.plugins.module_utils.results import spool
from ansible_collections.inference.fleet.plugins.module_utils.simulator.tokenizer import tokenizer_files
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights, is_hub_name

BYTE_LEVEL = "byte-level"
# Where the first repeat of the first point runs.
FIRST = "point-1/repeat-1"


def argument_spec() -> dict:
    return {
        "url": {"type": "str", "default": "http://127.0.0.1:8000"},
        "model": {"type": "str", "default": "Qwen/Qwen3-Coder-Next"},
        "served_model_name": {"type": "str", "default": "qwen3-coder-next"},
        "tokenizer": {"type": "str", "no_log": False},
        "client": {"type": "str", "choices": list(CLIENTS), "default": "vllm"},
        "client_path": {"type": "str"},
        "client_image": {"type": "str"},
        "docker_host": {"type": "str", "default": client_container.DOCKER_HOST},
        "cache_dir": {"type": "str", "default": "~/.cache/huggingface"},
        "input_length": {"type": "int", "default": 8192},
        "output_length": {"type": "int", "default": 1024},
        "num_prompts": {"type": "int", "default": 512},
        "max_concurrency": {"type": "int", "default": 32},
        "request_rate": {"type": "float"},
        "random_range_ratio": {"type": "float", "default": 0},
        "seed": {"type": "int"},
        "max_prefix_cached": {"type": "float", "default": 5},
        "answers": {"type": "str", "choices": ["check", "not_applicable"], "default": "check"},
        "min_right_answers": {"type": "float", "default": 75},
        "warmup": {"type": "bool", "default": True},
        "repeats": {"type": "int", "default": 3},
        "sweep": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                **{
                    name: {"type": "int"}
                    for name in ("input_length", "output_length", "num_prompts", "max_concurrency")
                },
                **{name: {"type": "float"} for name in ("request_rate", "random_range_ratio")},
            },
        },
        "slo": {"type": "dict", "options": {name: {"type": "float"} for name in ("ttft_ms", "tpot_ms", "e2el_ms")}},
        "label": {"type": "str"},
        "comparison": {
            "type": "dict",
            "options": {
                **{name: {"type": "str", "required": True} for name in ("id", "fingerprint", "variant")},
                **{name: {"type": "int", "required": True} for name in ("round", "rounds")},
            },
        },
        "price_per_hour": {"type": "float"},
        "wait_idle": {"type": "int", "default": 0},
        "busy": {"type": "str", "choices": ["fail", "skip"], "default": "fail"},
        "max_variation": {"type": "float", "default": 5},
        "timeout": {"type": "int", "default": 3600},
        "extra_args": {"type": "list", "elements": "str", "default": []},
        "api_key": {"type": "str", "no_log": True},
        "engine": {"type": "dict"},
        "replicas": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"url": {"type": "str", "required": True}, "engine": {"type": "dict"}},
        },
        "members": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "host": {"type": "str", "required": True},
                "engine": {"type": "dict"},
                "hardware": {"type": "dict"},
                "price_per_hour": {"type": "float"},
            },
        },
        "recorded_hosts": {"type": "list", "elements": "str", "default": []},
        "kept": {"type": "path"},
        "recordings": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "host": {"type": "str", "required": True},
                "windows": {"type": "list", "elements": "raw", "required": True},
            },
        },
        "hardware": {"type": "dict"},
        "client_host": {"type": "str"},
        "run_host": {"type": "str"},
        "work_dir": {"type": "path", "default": "/var/tmp/inference.fleet/benchmark"},
        "results_dir": {"type": "path", "default": "results"},
        "baselines": {"type": "list", "elements": "str", "default": ["published"]},
        "gates": {"type": "list", "elements": "dict", "default": []},
        "progress_file": {"type": "path"},
    }


def run(params: dict, check_mode: bool) -> dict:
    """Return the module's result. FleetError where no result counts."""
    preconditions.require_chat(params["engine"])
    client = CLIENTS[params["client"]]
    service.require_spreading(client, params["replicas"])
    every = service.engines(params["engine"], params["replicas"])
    service.require_alike(every)
    engine, members = service.together(every), params["members"]
    if not check_mode:
        group.require_running(members)
    host, recorded_hosts = params["run_host"] or socket.gethostname(), params["recorded_hosts"]
    run_id = result.run_id(host)
    work_dir = Path(params["work_dir"]) / run_id
    byte_level = params["tokenizer"] == BYTE_LEVEL
    if byte_level and client.NAME == "sglang":
        # It makes prompts of random tokens; of random bytes, which are no text, the server gets about twice as many.
        raise FleetError(
            "the client sglang makes prompts of another length with the byte-level tokenizer: use aiperf or vllm."
        )
    endpoint = Endpoint(
        url=params["url"].rstrip("/"),
        model=params["model"],
        served_model_name=params["served_model_name"],
        tokenizer=str(work_dir / "tokenizer") if byte_level else params["tokenizer"] or params["model"],
        has_api_key=bool(params["api_key"]),
        others=tuple(item["url"].rstrip("/") for item in params["replicas"]),
    )
    # Prompts that no earlier run had.
    shape = {**params, "seed": seed_of(run_id) if params["seed"] is None else params["seed"]}
    plan = Plan(
        client=client,
        endpoint=endpoint,
        workload=Workload.of(shape),
        sweep=tuple(Workload.of({**shape, **_given(point)}) for point in params["sweep"]),
        slo=_given(params["slo"] or {}),
        gpus=() if host in recorded_hosts else tuple(telemetry.engine_gpus(engine, params["hardware"])),
        remarks=(
            *(remark for one in every for remark in disturbances.strangers(one, params["hardware"])),
            *group.remarks(engine, members, recorded_hosts),
        ),
        repeats=params["repeats"],
        warmup=params["warmup"],
        timeout=params["timeout"],
        wait_idle=params["wait_idle"],
        max_variation=params["max_variation"],
        max_prefix_cached=params["max_prefix_cached"],
        check_answers=params["answers"] == "check",
        min_right_answers=params["min_right_answers"],
        extra_args=tuple(params["extra_args"]),
        api_key=params["api_key"],
    )
    executable = params["client_path"] or client.EXECUTABLE
    first = plan.argv(plan.workload, work_dir / FIRST, executable)
    if check_mode:
        return {"changed": True, "argv": redact(first, [params["api_key"]] if params["api_key"] else [])}

    client_runner = make_runner(params, executable, endpoint)
    modules = getattr(client, "MODULES", ())
    if len(modules) > 1:
        plan = replace(plan, entry=client_runner.module(modules))
    session.make_work_dir(params["work_dir"], work_dir.name)
    progress = Progress(params["progress_file"])
    try:
        with claimed(work_dir.parent, endpoint.url, run_id, progress, plan.wait_idle):
            if byte_level:
                _write_tokenizer(Path(endpoint.tokenizer))
            started_at = session.now()
            measured = session.run(plan, client_runner, work_dir, progress)
    except BusyError as error:
        # Nothing ran, so nothing is left to look at.
        shutil.rmtree(work_dir, ignore_errors=True)
        if params["busy"] == "fail":
            raise
        return {"changed": False, "skipped": True, "skip_reason": str(error)}
    document = result.build(
        run_id=run_id,
        host=host,
        client_host=params["client_host"] or host,
        plan=plan,
        measured=measured,
        started_at=started_at,
        finished_at=session.now(),
        client_argv=plan.argv(plan.workload, work_dir / FIRST, client_runner.executable),
        client_version=client_runner.version(client.DISTRIBUTION),
        client_image=params["client_image"],
        client_image_id=client_runner.image_id,
        engine=engine,
        hardware=params["hardware"],
        members=members,
        recorded_hosts=recorded_hosts,
        revision=_revision(params["model"], cache_place(params["cache_dir"])),
        price=group.price(params["price_per_hour"], members),
        label=params["label"] or None,
        comparison=params["comparison"],
        secrets=[params["api_key"]],
    )
    kept, why_not = spool.keep(document, params["gates"], params["baselines"], recorded_hosts, work_dir.parent)
    done = {"changed": True, "argv": document["client"]["argv"], "result": document, "kept": kept}
    if recorded_hosts:
        done["windows"] = recorded.windows(document)
    if why_not:
        done["warnings"] = [why_not]
    if measured.failure:
        # The points before it are kept: they were paid for.
        done |= {**measured.failure.details, "failed": True, "msg": str(measured.failure)}
    return done


def _given(options: dict) -> dict:
    return {name: value for name, value in options.items() if value is not None}


def _write_tokenizer(directory: Path) -> None:
    directory.mkdir(parents=True)
    for name, text in tokenizer_files().items():
        (directory / name).write_text(text, encoding="utf-8")


def make_runner(params: dict, executable: str, endpoint: Endpoint) -> session.Runner:
    """Return what runs the client: the host itself, or a container of an image."""
    if not params["client_image"]:
        return runner.ProcessRunner(executable)
    directories = {
        path for path in (endpoint.model, endpoint.tokenizer) if path.startswith("/") and os.path.isdir(path)
    }
    return client_container.ContainerRunner(
        params["client_image"],
        executable,
        params["api_key"],
        mounts=sorted(directories),
        cache_dir=cache_place(params["cache_dir"]),
        docker_host=params["docker_host"],
    )


def _revision(model: str, cache_dir: str) -> str | None:
    """Return the commit of a model of the hub as the host has it."""
    return cache.commit(cache_dir, Weights(model)) if is_hub_name(model) else None


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(), supports_check_mode=True, mutually_exclusive=[("client_path", "client_image")]
    )
    answer(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
