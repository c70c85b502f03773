# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts that serve one model together, playbook runs on them, and what their containers were after each.

The engine is the simulator, or a real vLLM on the CPU. Of that the hosts get an image of system libraries alone, some
50 MB made in seconds; the environment, some 2 GB, is mounted from this machine, through the host into the container.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.inference.fleet.tests.fleet.ran import Ran
from ansible_collections.inference.fleet.tests.fleet.small import SMALL
from ansible_collections.inference.fleet.tests.patience import until

ROOT = Path(__file__).resolve().parents[2]
FLEET = ROOT / "tests/fleet/fleet"
NAME = "pair"
HEAD, FOLLOWER = PAIR = [f"{NAME}{os.environ.get('FLEET_TAG', '')}-{number}" for number in (1, 2)]
KEY = SMALL["engine_api_key"]
ENGINE = "qwen3-coder-next"
# As the host is on its way up or down, so that of what happens in a test nothing waits for the default of minutes.
COMMON: dict[str, Any] = {
    "engine_group": "{{ groups['pair'] }}",
    "engine_group_firewall": True,
    "engine_bind_address": "0.0.0.0",
    "engine_api_key": KEY,
    "engine_stop_timeout": 10,
    **{name: value for name, value in SMALL.items() if name.startswith("benchmark_")},
}
SIMULATOR: dict[str, Any] = {**COMMON, "engine_name": "simulator", "engine_ready_timeout": 120}

VENV = (ROOT / ".build/venvs/vllm-cpu").resolve()
MODEL = (ROOT / ".build/models/tiny-qwen3").resolve()
IMAGE = "inference-fleet/vllm-cpu-mounted:test-rig"


def _standard_library() -> Path:
    """Return the folder of the standard library that vLLM's environment has: also outside of that."""
    program = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    asked = subprocess.run([VENV / "bin/python", "-c", program], capture_output=True, text=True, check=True)
    return Path(asked.stdout.strip())


def vllm() -> dict[str, Any]:
    """Return the variables of a real vLLM on two hosts with a CPU each."""
    return {
        **COMMON,
        "engine_name": "vllm",
        "engine_image": IMAGE,
        "engine_pull": "never",
        "engine_profile": "cpu",
        "engine_model": str(MODEL),
        "engine_served_model_name": ENGINE,
        "engine_mounts": [{"source": str(path), "target": str(path)} for path in (VENV, _standard_library(), MODEL)],
        # vLLM for CPUs has no pipeline over hosts that works.
        "engine_tensor_parallel_size": 2,
        "engine_tool_call_parser": "qwen3_coder",
        "engine_environment": {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            # All members are on one machine, whose cores none may have for itself.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "HF_HUB_OFFLINE": "1",
            # An embedding over several members would be compiled, and the hosts have no compiler.
            "TORCHDYNAMO_DISABLE": "1",
        },
        "engine_extra_args": ["--enforce-eager", "--max-model-len", "2048"],
        "engine_ready_timeout": 900,
        # Its weights are random: no answer of it is right, and no call of a tool is one.
        "verify_trained": False,
        "benchmark_answers": "not_applicable",
        "benchmark_client": "aiperf",
        "benchmark_tokenizer": str(MODEL),
    }


def give_vllm_image(hosts: Iterable[str]) -> None:
    """Make an image of what vLLM's environment needs of the system, on hosts."""
    listing = [VENV / "bin/python", ROOT / "tests/rigs/vllm_cpu/rootfs.py", VENV]
    listed = subprocess.run(listing, capture_output=True, check=True).stdout
    mounted = tuple(f"{str(path)[1:]}/".encode() for path in (VENV, _standard_library()))
    files = b"".join(path + b"\0" for path in listed.split(b"\0") if path and not path.startswith(mounted))
    packing = ["tar", "--null", "--no-recursion", "-cf", "-", "-C", "/", "-T", "-"]
    archive = subprocess.run(packing, input=files, capture_output=True, check=True).stdout
    changes = ('ENTRYPOINT ["vllm", "serve"]', f"ENV PATH={VENV}/bin:/usr/bin:/bin", "ENV HOME=/root", "WORKDIR /root")
    options = [word for change in changes for word in ("--change", change)]
    for host in hosts:
        importing = ["docker", "exec", "--interactive", host, "docker", "import", *options, "-", IMAGE]
        subprocess.run(importing, input=archive, capture_output=True, check=True)


@contextmanager
def pair(with_vllm: bool) -> Iterator[None]:
    """Have two hosts, with what a real vLLM needs or without, and remove them after."""
    mounts = (
        [word for path in (VENV, _standard_library(), MODEL) for word in ("--mount", str(path))] if with_vllm else []
    )
    subprocess.run([FLEET, "up", "2", "--name", NAME, *mounts], check=True)
    try:
        if with_vllm:
            give_vllm_image(PAIR)
        yield
    finally:
        subprocess.run([FLEET, "down", "--name", NAME], check=True)


class Member(NamedTuple):
    """What a host's containers of the engine are: for each its name, id, state and time of the last start."""

    containers: tuple[tuple[str, str, str, str], ...]

    def __str__(self) -> str:
        told = [f"{name} {id_[:6]} {state} since {since[11:19]}" for name, id_, state, since in self.containers]
        return ", ".join(told) or "none"

    @property
    def running(self) -> bool:
        return [state for _name, _id, state, _since in self.containers] == ["running"]


class Group:
    """The group, and playbook runs on it. Each step of its life is printed with what the containers are after it."""

    def __init__(self, folder: Path, variables: Mapping[str, Any], told: bool = True) -> None:
        self.folder, self._summary = folder, folder / "summary.json"
        self._told = told
        self._runs = itertools.count()
        document = json.loads((ROOT / f".build/fleet-{NAME}/inventory.yml").read_text().removeprefix("---\n"))
        hosts = document["all"]["children"].pop("cpu")["hosts"]
        self.addresses = {host: own["ansible_host"] for host, own in hosts.items()}
        document["all"]["children"]["pair"] = {"hosts": hosts, "vars": dict(variables)}
        document["all"]["vars"]["ansible_ssh_common_args"] += " -o ConnectTimeout=5"
        self._inventory = folder / "inventory.json"
        self._inventory.write_text(json.dumps(document))

    def __call__(self, playbook: str, *options: str, **variables: Any) -> Ran:
        """Run a playbook."""
        self._summary.unlink(missing_ok=True)
        process = self._started(playbook, *options, **variables)
        output, _none = process.communicate()
        summary = json.loads(self._summary.read_text()) if self._summary.exists() else {}
        assert KEY not in output + json.dumps(summary)
        ran = Ran(process.returncode, output, summary, PAIR)
        self.tell(" ".join([f"{playbook}.yml", *options]), f"exit code {ran.code}")
        return ran

    def cut_off(self, playbook: str, when: Callable[[], bool], **variables: Any) -> None:
        """Run a playbook, and kill it with all of its processes once something is so."""
        process = self._started(playbook, **variables)
        try:
            until(lambda: when() or process.poll() is not None)
            assert process.poll() is None, process.communicate()[0]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        self.tell(f"{playbook}.yml", "killed")

    def _started(self, playbook: str, *options: str, **variables: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *("ansible-playbook", "-i", self._inventory, ROOT / f"playbooks/{playbook}.yml", *options),
                *("-e", json.dumps({"fleet_dir": str(self.folder), **variables})),
            ],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "INFERENCE_FLEET_SUMMARY": str(self._summary),
                # Each run meets each host anew: a connection that was cut goes on to hang after it is mended.
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / f"ssh-{next(self._runs)}"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def members(self) -> tuple[Member, Member]:
        """Return what the containers of head and follower are, asked past Ansible."""
        head, follower = (Member(_containers(host)) for host in PAIR)
        return head, follower

    def tell(self, step: str, outcome: str = "done") -> None:
        """Print a step and what the containers are after it."""
        if not self._told:
            return
        print(
            f"{step}: {outcome}\n"
            + "".join(f"    {host}: {it}\n" for host, it in zip(PAIR, self.members(), strict=True))
        )

    def fault(self, what: str, host: str) -> None:
        """Have the fleet script do something to a host."""
        subprocess.run([FLEET, what, host], check=True)
        self.tell(f"{what} {host}")

    def kill(self, host: str) -> None:
        """Kill a host's engine."""
        on(host, "docker", "kill", ENGINE)
        self.tell(f"killed the engine on {host}")

    def completes(self) -> str:
        """Return the code of the answer to a completion through the head, 000 for none."""
        body = json.dumps({"model": ENGINE, "prompt": "Hello", "max_tokens": 4})
        headers = ("-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {KEY}")
        asked = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "300", *headers, "-d", body)
        return on(HEAD, *asked, "http://127.0.0.1:8000/v1/completions")


def on(host: str, *command: str) -> str:
    """Run a command on a host, and not by Ansible; return what it printed."""
    return subprocess.run(
        ["docker", "exec", host, *command], capture_output=True, text=True, check=False
    ).stdout.strip()


def _containers(host: str) -> tuple[tuple[str, str, str, str], ...]:
    ids = on(host, "docker", "ps", "--all", "--quiet").split()
    form = "{{.Name}} {{.Id}} {{.State.Status}} {{.State.StartedAt}}"
    lines = on(host, "docker", "inspect", "--format", form, *ids).splitlines() if ids else []
    found = (re.fullmatch(r"/(\S+) (\S+) (\S+) (\S+)", line) for line in lines)
    return tuple(sorted(match.groups() for match in found if match))  # type: ignore[misc]
