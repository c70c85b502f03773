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
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from docker_engine import DockerEngine
from ssh_host import SshHost

from ansible_collections.inference.fleet.plugins.module_utils.comparisons import progress
from ansible_collections.inference.fleet.plugins.module_utils.containers import state
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import METRICS
from ansible_collections.inference.fleet.tests.ports import free_ports

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
    """Hosts that are all this machine, with engines of their own, and the playbooks on them."""

    def __init__(self, folder: Path, engine: DockerEngine) -> None:
        self.folder, self.engine = folder, engine
        client = folder / "client"
        client.write_text(CLIENT.format(python=sys.executable, metrics=METRICS))
        client.chmod(0o755)
        self.host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "engine_name": "simulator",
            "engine_container_name": NAME,
            "engine_port": free_ports()[0],
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
            # A host is measured once at a time.
            "benchmark_work_dir": f"{folder}/runs/{{{{ inventory_hostname }}}}",
            "benchmark_input_length": 16,
            "benchmark_output_length": 16,
            "benchmark_num_prompts": 8,
            "benchmark_max_concurrency": 4,
            "benchmark_repeats": 1,
            "benchmark_random_range_ratio": 0,
            "fleet_dir": str(folder),
        }
        # By name, what a host has of its own.
        self.hosts: dict[str, dict[str, Any]] = {"here": {}}

    def start(self, playbook: str, *arguments: str, **extra: Any) -> subprocess.Popen[str]:
        inventory = self.folder / "hosts.json"
        inventory.write_text(json.dumps({"all": {"vars": {**self.host, **extra}, "hosts": self.hosts}}))
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
            # In the background of a shell it is ignored, and whoever is started from there ignores it too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
    for slot in state.paused_slots():
        if slot.startswith(NAME):
            state.forget_paused(slot)
    for container in docker_engine.client.containers.list(all=True):
        container.remove(force=True)


def told(output: str) -> str:
    """Return what was printed, whatever the width of its lines."""
    return " ".join(output.split())


@pytest.mark.xdist_group("ssh")
def test_a_comparison_that_is_cut_off_is_given_up_or_goes_on_and_leaves_the_host_as_it_was(
    fleet: Fleet, ssh_host: SshHost
) -> None:
    fleet.host |= ssh_host.variables
    fleet.play("deploy", "-e", "deploy_verify=false")
    before = fleet.containers()[NAME]

    refused = fleet.play("compare", "-e", json.dumps({"engine_instances": [{}], "benchmark_label": "x"}), code=2)
    assert "nothing was touched. engine_instances, benchmark_label are given with -e" in told(refused)
    planned = fleet.play("compare", "--check")
    assert "3 variants, 2 rounds, 6 turns to take: about " in planned
    assert "US$ " in planned
    assert fleet.containers() == {NAME: before}
    assert not (fleet.folder / "results").exists()

    # Ctrl-C in the middle of the first benchmark, which would last for long.
    with fleet.start("compare", benchmark_num_prompts=100_000) as process:
        while "100000 requests" not in fleet.log.read_text():
            assert process.poll() is None, fleet.log.read_text()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
    assert fleet.containers()[NAME] == (before[0], "exited")
    given_up = told(fleet.play("compare", "-e", "compare_abandon=true", benchmark_num_prompts=100_000))
    assert "it is given up: no turn is taken any more" in given_up
    assert "afterwards what serves there now serves again" in given_up
    assert fleet.containers() == {NAME: before}
    assert not fleet.documents()
    clients = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert not any(str(fleet.folder / "client").encode() in client for client in clients)

    # Killed outright as soon as one turn is done: nothing of the playbook gets to put anything back.
    with fleet.start("compare") as process:
        while not fleet.documents():
            assert process.poll() is None, fleet.log.read_text()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    assert fleet.containers()[NAME] == (before[0], "exited")

    deployed = fleet.play("deploy", "-e", "deploy_verify=false", code=2)
    assert "as that is left of a comparison that was cut off, run compare.yml again" in told(deployed)

    output = fleet.play("compare")
    words = told(output)
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
    # Each is over: the same again would be another one.
    assert not any(progress.unfinished(fleet.folder / "results", "here", NAME))


@contextmanager
def used(port: int) -> Iterator[None]:
    """Have somebody use an engine all the time."""
    over = threading.Event()
    body = {"model": "qwen3-coder-next", "max_tokens": 500, "ignore_eos": True}
    body["messages"] = [{"role": "user", "content": "Tell me everything."}]

    def use() -> None:
        while not over.is_set():
            with suppress(requests.ConnectionError):
                requests.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, timeout=600)

    user = threading.Thread(target=use)
    user.start()
    try:
        yield
    finally:
        over.set()
        user.join()


def test_hosts_at_once_have_one_verdict_and_each_its_own_engine_afterwards(fleet: Fleet) -> None:
    names = {name: f"{NAME}-{name}" for name in ("won", "beside", "emptied", "busy")}
    ports = {name: free_ports()[0] for name in names}
    of = {name: {"container_name": names[name], "port": ports[name]} for name in names}
    fleet.host["compare_variants"] = [each for each in fleet.host["compare_variants"] if each["name"] != "broken"]
    fleet.host |= {"compare_rounds": 1, "engine_simulates": {"engine": "sglang", "profile": "a100x4"}}
    for own in ("engine_container_name", "engine_port"):
        del fleet.host[own]
    fleet.hosts = {
        "winner": {f"engine_{key}": value for key, value in of["won"].items()} | {"compare_keep": "winner"},
        "several": {
            "engine_instances": [{"slot": names[name], **of[name]} for name in ("beside", "emptied")],
            "compare_slot": names["emptied"],
            "compare_keep": "none",
        },
        "used": {f"engine_{key}": value for key, value in of["busy"].items()} | {"benchmark_busy": "skip"},
    }
    fleet.play("deploy", "-e", "deploy_verify=false")
    before = fleet.containers()
    assert {status for _id, status in before.values()} == {"running"}

    with used(ports["busy"]):
        output = fleet.play("compare")

    words = told(output)
    assert "[used] skipped: wanted an idle engine at " in words
    turns = sorted((each["host"], each["comparison"]["variant"]) for each in fleet.documents())
    assert turns == [("several", "quick"), ("several", "slow"), ("winner", "quick"), ("winner", "slow")]
    assert " on winner, several: quick, slow" in words
    assert " on 2 hosts; " in words
    assert "For throughput choose quick" in words
    after = fleet.containers()
    assert {*after} == {*before}
    untouched = [names["beside"], names["busy"]]
    assert [after[name] for name in untouched] == [before[name] for name in untouched]
    assert after[names["emptied"]] == (before[names["emptied"]][0], "exited")
    assert after[names["won"]][1] == "running"
    assert after[names["won"]][0] != before[names["won"]][0]
    won = fleet.engine.client.containers.get(names["won"])
    assert "vllm/h100x4" in " ".join(won.attrs["Config"]["Cmd"])
    assert not {*names.values()} & state.paused_slots()
