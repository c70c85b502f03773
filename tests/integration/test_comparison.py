# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""compare.yml against a real Docker Engine, with simulators as engines and a quick client that really asks them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import a_free_port
from docker_engine import DockerEngine

from ansible_collections.inference.fleet.plugins.module_utils.containers import state
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import METRICS

ROOT = Path(__file__).resolve().parents[2]
# The host keeps by its name what is to serve again, and each process of the tests has one of its own.
NAME = f"before-{os.getpid()}"
# A stub of `vllm bench serve` in what it reads and writes; its requests and its figures are real.
CLIENT = """#!{python}
import json, os, sys, time, urllib.request
from concurrent.futures import ThreadPoolExecutor
value = lambda name: sys.argv[sys.argv.index(name) + 1]
count, tokens = int(value("--num-prompts")), int(value("--random-output-len"))
body = {{"model": "qwen3-coder-next", "max_tokens": tokens, "ignore_eos": True,
        "messages": [{{"role": "user", "content": "hello " * int(value("--random-input-len"))}}]}}
def ask(number):
    body["messages"][0]["content"] += str(number)
    request = urllib.request.Request(value("--base-url") + "/v1/chat/completions", json.dumps(body).encode(),
                                     {{"Content-Type": "application/json"}})
    began = time.monotonic()
    usage = json.load(urllib.request.urlopen(request))["usage"]
    return usage, 1000 * (time.monotonic() - began)
began = time.monotonic()
with ThreadPoolExecutor(int(value("--max-concurrency"))) as pool:
    answers = list(pool.map(ask, range(count)))
duration = time.monotonic() - began
took = sum(each for _usage, each in answers) / count
result = dict.fromkeys({metrics!r}, took)
of = {{name: sum(usage[name] for usage, _each in answers) for name in ("prompt_tokens", "completion_tokens")}}
result |= dict(completed=count, failed=0, duration=duration, request_rate=None, request_throughput=count / duration,
               total_input_tokens=of["prompt_tokens"], total_output_tokens=of["completion_tokens"],
               output_throughput=of["completion_tokens"] / duration,
               total_token_throughput=sum(of.values()) / duration)
json.dump(result, open(os.path.join(value("--result-dir"), value("--result-filename")), "w"))
"""


class Fleet:
    """One host, this machine, with an engine of its own, and the playbooks on it."""

    def __init__(self, folder: Path, engine: DockerEngine) -> None:
        self.folder, self.engine, self.port = folder, engine, a_free_port()
        client = folder / "client"
        client.write_text(CLIENT.format(python=sys.executable, metrics=METRICS))
        client.chmod(0o755)
        self.host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "engine_name": "simulator",
            "engine_container_name": NAME,
            "engine_port": self.port,
            "engine_docker_host": engine.url,
            "engine_cache_dir": str(folder / "cache"),
            "engine_stop_timeout": 5,
            "engine_ready_timeout": 120,
            "compare_verify": False,
            "compare_variants": [
                {"name": "quick", "engine": "simulator", "simulates": {"engine": "vllm", "profile": "h100x4"}},
                {"name": "broken", "engine": "simulator", "extra_args": ["--no-such-option"]},
                {"name": "slow", "engine": "simulator", "simulates": {"engine": "vllm", "profile": "a100x4"}},
            ],
            "benchmark_client": "vllm",
            "benchmark_client_path": str(client),
            "benchmark_work_dir": str(folder / "work"),
            "benchmark_input_length": 16,
            "benchmark_output_length": 16,
            "benchmark_num_prompts": 8,
            "benchmark_max_concurrency": 4,
            "benchmark_repeats": 1,
            "benchmark_random_range_ratio": 0,
            "fleet_dir": str(folder),
        }

    def start(self, playbook: str, *arguments: str, **extra: Any) -> subprocess.Popen[str]:
        inventory = self.folder / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"here": {**self.host, **extra}}}}))
        self.log = self.folder / f"{playbook}.log"
        return subprocess.Popen(
            ["ansible-playbook", "-i", str(inventory), str(ROOT / "playbooks" / f"{playbook}.yml"), *arguments],
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(self, playbook: str, *arguments: str, code: int = 0, **extra: Any) -> str:
        with self.start(playbook, *arguments, **extra) as process:
            process.wait()
        output = self.log.read_text()
        assert process.returncode == code, output
        return output

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((self.folder / "results").glob("*.json"))]

    def containers(self) -> dict[str, tuple[str, str]]:
        return {each.name: (each.id, each.status) for each in self.engine.client.containers.list(all=True)}


@pytest.fixture
def fleet(docker_engine: DockerEngine, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, docker_engine)
    yield fleet
    state.forget_paused(NAME)
    for container in docker_engine.client.containers.list(all=True):
        container.remove(force=True)


def test_a_comparison_that_is_cut_off_goes_on_and_leaves_the_host_as_it_was(fleet: Fleet) -> None:
    fleet.play("deploy", "-e", "deploy_verify=false")
    before = fleet.containers()[NAME]

    planned = fleet.play("compare", "--check")
    assert "3 variants, 2 rounds, 6 turns to take: about " in planned
    assert "US$ " in planned
    assert fleet.containers() == {NAME: before}
    assert not (fleet.folder / "results").exists()

    # Killed outright as soon as one turn is done: nothing of the playbook gets to put anything back.
    with fleet.start("compare") as process:
        while not fleet.documents():
            assert process.poll() is None, fleet.log.read_text()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    assert fleet.containers()[NAME] == (before[0], "exited")

    deployed = fleet.play("deploy", "-e", "deploy_verify=false", code=2)
    assert "as that is left of a comparison that was cut off, run compare.yml again" in " ".join(deployed.split())

    output = fleet.play("compare")
    words = " ".join(output.split())
    assert "it was cut off before: " in words
    assert fleet.containers() == {NAME: before}
    turns = [(each["comparison"]["variant"], each["comparison"]["round"]) for each in fleet.documents()]
    assert sorted(turns) == [("quick", 1), ("quick", 2), ("slow", 1), ("slow", 2)]
    assert len({each["comparison"]["id"] for each in fleet.documents()}) == 1
    assert {each["label"] for each in fleet.documents()} == {"compare quick", "compare slow"}
    # The page's rows, the verdict, and the variant that did not start.
    assert "vLLM: the page, and here" in output
    assert "quick beside slow: " in words
    assert "Without a result" in output
    assert "the engine does not know --no-such-option" in words
    assert "For throughput choose quick" in words
    assert (fleet.folder / "reports/comparison.md").read_text().startswith("## SIMULATED Comparison ")

    # It is over: the same again is another one, which can be given up.
    again = fleet.play("compare", "--check")
    assert "6 turns to take" in again


def test_the_winner_may_stay(fleet: Fleet) -> None:
    variants = [{**variant} for variant in fleet.host["compare_variants"] if variant["name"] != "broken"]
    fleet.host |= {"compare_variants": variants, "compare_rounds": 1, "compare_keep": "winner"}
    output = fleet.play("compare")
    ((name, (_id, status)),) = fleet.containers().items()
    assert (name, status) == (NAME, "running"), output
    serving = fleet.engine.client.containers.get(NAME)
    assert "h100x4" in " ".join(serving.attrs["Config"]["Cmd"])
