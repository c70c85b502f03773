# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import doctest
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import CLIENTS
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.plan import Plan
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.reports import repeat
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

ROLES = Path(next(iter(fleet.__path__))) / "roles"
H100 = [{"name": "NVIDIA H100 80GB HBM3", "memory_mib": 81559}] * 4
MODEL = "Qwen/Qwen3-Coder-Next"
AIPERF = "/opt/inference.fleet/aiperf/bin/aiperf"


def deployed(**wanted):
    """Return the container that a request comes to on four H100."""
    request = Request(
        **{
            "engine": "vllm",
            "model": MODEL,
            "served_model_name": "qwen3-coder-next",
            "cache_dir": "/c",
            **wanted,
        }
    )
    return deployment(request, placement(request, H100)).container


def documented(engine="vllm", client="vllm", executable="vllm", workload=None, client_extra=(), slo=None, **wanted):
    """Return the document of a run on what a request comes to, by what a plan comes to."""
    workload = workload or Workload()
    document = factory.document(engine=engine, simulated=engine == "simulator")
    if engine == "simulator":
        wanted["simulates"] = {"engine": "vllm", "profile": "h100x4"}
        document["simulates"] = wanted["simulates"]
    container = deployed(engine=engine, **wanted)
    document["model"]["id"] = wanted.get("model", MODEL)
    document["engine"].update(
        name=engine,
        argv=list(container.command),
        environment=dict(container.environment),
        tensor_parallel_size=wanted.get("tensor_parallel_size", 4),
        url=f"http://127.0.0.1:{wanted.get('port', 8000)}",
    )
    endpoint = Endpoint(document["engine"]["url"], MODEL, "qwen3-coder-next", MODEL, bool(wanted.get("api_key")))
    plan = Plan(CLIENTS[client], endpoint, workload, extra_args=tuple(client_extra), slo=slo or {})
    document["client"].update(
        name=client, argv=plan.argv(workload, Path("/var/tmp/b") / document["run_id"] / "point-1", executable)
    )
    document["workload"] = workload.as_dict()
    document["slo"] = slo
    return document


def typed(command):
    """Return the words that a shell makes of a command."""
    found = subprocess.run(["/bin/sh", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True)
    return found.stdout.decode().split("\0")[:-1]


def parsed(document):
    """Return the variables of the command, as Ansible would get them."""
    words = typed(repeat.repeat(document).command)
    assert words[0] == "ansible-playbook"
    assert words[-4:-1] == ["-l", document["host"], "-e"]
    return words[1:-4], json.loads(words[-1])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"extra_args": ["--max-num-seqs", "64", "--compilation_config.cudagraph_mode=PIECEWISE"]},
        {"environment": {"VLLM_USE_V2": "1"}, "revision": "abc123", "port": 8001},
        {"tensor_parallel_size": 2, "tool_call_parser": "hermes"},
        {"trust_remote_code": False},
        {"model": "org/other", "trust_remote_code": True, "extra_args": ["--max-num-seqs", "64"]},
        {"served_model_aliases": ["gpt-4", "default"], "extra_args": ["--max-num-seqs", "64"]},
        {"engine": "sglang", "client": "sglang", "executable": "/venv/bin/python3"},
        {"engine": "sglang", "client": "sglang", "extra_args": ["--mem-fraction-static", "0.7"]},
        {"engine": "simulator", "client": "aiperf", "executable": AIPERF},
        {"client": "aiperf", "executable": AIPERF, "workload": Workload(1000, 100, 64, 8, 2.5, 7)},
        {"client_extra": ["--burstiness", "0.5"], "slo": {"ttft_ms": 2000.0, "tpot_ms": 30.0}},
        {"api_key": "secret", "extra_args": ["--max-num-seqs", "64"]},
        {"engine": "sglang", "client": "vllm", "api_key": "secret"},
    ],
)
def test_the_command_gives_the_engine_and_the_client_that_the_run_had(changes):
    document = documented(**changes)
    playbooks, variables = parsed(document)

    assert playbooks == ["inference.fleet.deploy", "inference.fleet.benchmark"]
    again = deployed(
        engine=variables["engine_name"],
        model=variables["engine_model"],
        served_model_name=variables["engine_served_model_name"],
        revision=variables.get("engine_revision"),
        port=variables["engine_port"],
        tensor_parallel_size=variables["engine_tensor_parallel_size"] if "tensor_parallel_size" in changes else None,
        tool_call_parser=variables.get("engine_tool_call_parser"),
        extra_args=variables.get("engine_extra_args", []),
        environment=variables.get("engine_environment", {}),
        simulates=variables.get("engine_simulates"),
        trust_remote_code=variables.get("engine_trust_remote_code"),
        served_model_aliases=variables.get("engine_served_model_aliases", ()),
        api_key=changes.get("api_key"),
    )
    assert list(again.command) == document["engine"]["argv"]
    assert again.environment == document["engine"]["environment"]

    workload = Workload.of({key.removeprefix("benchmark_"): value for key, value in variables.items()})
    assert workload.as_dict() == document["workload"]
    assert variables["benchmark_client"] == document["client"]["name"]
    assert variables.get("benchmark_extra_args", []) == changes.get("client_extra", [])
    assert variables.get("benchmark_slo") == changes.get("slo")
    assert (variables["benchmark_repeats"], variables["benchmark_warmup"]) == (1, True)
    assert "secret" not in repeat.repeat(document).command
    assert ("engine_api_key" in " ".join(repeat.repeat(document).notes)) == ("api_key" in changes)


def test_every_variable_is_one_of_the_roles():
    document = documented(
        extra_args=["--x"], environment={"A": "1"}, revision="abc", client_extra=["--y"], slo={"ttft_ms": 1.0}
    )
    document["client"].update(image="vllm/vllm:latest", host="elsewhere", tokenizer="another")
    document["engine"]["gpus"] = ["0", "1"]
    factory.costs(factory.sweep(document, factory.SWEEP), 16.36, 2200)
    _playbooks, variables = parsed(document)

    known = {
        key
        for role in ("engine", "benchmark")
        for key in yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"][
            "options"
        ]
    }
    assert set(variables) <= known
    assert len(variables) >= 24
    assert [point["max_concurrency"] for point in variables["benchmark_sweep"]] == [32, 64, 128]


def test_images_come_back_by_digest():
    document = documented()
    document["client"]["image"] = document["engine"]["image"]["reference"]
    _playbooks, variables = parsed(document)
    assert variables["engine_image"] == variables["benchmark_client_image"] == "vllm/vllm@sha256:" + "ab12" * 16

    document["engine"]["image"]["digest"] = None
    assert parsed(document)[1]["engine_image"] == "vllm/vllm:latest"
    assert "its tag may have moved" in repeat.repeat(document).notes[0]
    assert "engine_image" not in parsed(documented(engine="simulator", client="aiperf"))[1]


def test_an_engine_that_somebody_else_deployed_is_only_benchmarked():
    document = factory.document()
    document["engine"].update(name="unknown", url="http://10.0.0.1:9000")
    playbooks, variables = parsed(document)
    assert playbooks == ["inference.fleet.benchmark"]
    assert (variables["benchmark_url"], variables["benchmark_container_name"]) == ("http://10.0.0.1:9000", "")
    assert not [key for key in variables if key.startswith("engine_")]


def test_what_cannot_be_brought_back_is_said():
    document = documented()
    document["engine"]["argv"] = ["--entirely", "different"]
    document["client"]["argv"] = ["vllm", "bench", "other"]
    notes = " ".join(repeat.repeat(document).notes)
    assert "engine's own command line is not one that this release gives it" in notes
    assert "client's own command line is not one that this release gives it" in notes

    hidden = documented(environment={"A": "1"})
    hidden["engine"]["environment"]["A_TOKEN"] = "***"
    assert "has to set A_TOKEN" in " ".join(repeat.repeat(hidden).notes)
    assert "***" not in repeat.repeat(hidden).command


def test_a_hostile_host_stays_one_word():
    evil = "gpu1'; rm -rf /; echo '\x1b[2J"
    words = typed(repeat.repeat(factory.document(host=evil)).command)
    assert words[words.index("-l") + 1] == evil.replace("\x1b", "\N{REPLACEMENT CHARACTER}")
    assert "rm" not in words


def test_examples_hold():
    assert doctest.testmod(repeat).failed == 0
