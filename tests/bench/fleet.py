# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy that changes nothing costs on a fleet behind SSH: figures and ratios of one run, no judgement.

Usage: python tests/bench/fleet.py [noop] [scale] [benchmark]

Eight hosts in containers, each with its own Docker Engine and stub GPUs, serve the simulator. 'noop' runs the
collection's deploy.yml, a plain playbook with community.docker that does the same, and a ping, in turns; the plain one
with Ansible's own settings, and with those of the collection's ansible.cfg, which its user does not have. 'scale' runs
deploy.yml and ping for 8 to 64 inventory names, several of which are one host. 'benchmark' runs benchmark.yml, whose
clients are on the hosts, on one, two and four of them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT / path) for path in (".build/collections", "tests/integration", "tests/rigs/hub", "tests/bench")
]

from engine import community  # noqa: E402  (after the path)

FLEET = ROOT / "tests/fleet/fleet"
NAME = "bench"
HOSTS = 8
NAMES = (8, 16, 32, 64)
REPEATS = 3
FLAT = 1.1
BARS = {"plain": 0.25, "plain with ansible.cfg": 0.25, "ping": 2.5}
MEASURED = (1, 2, 4)
# Small enough for four clients on few CPUs.
WORKLOAD = {
    "benchmark_input_length": 512,
    "benchmark_output_length": 64,
    "benchmark_num_prompts": 128,
    "benchmark_max_concurrency": 4,
    "benchmark_repeats": 1,
}
VARIABLES = {"engine_name": "simulator", "ansible_become": True}

# What an operator writes without the collection: facts, packages, service, GPUs, container and model.
PLAIN = [
    {
        "hosts": "all",
        # As a play has it that says nothing of it, where the shipped ansible.cfg does not say 'explicit'.
        "gather_facts": True,
        "become": True,
        "tasks": [
            {"ansible.builtin.apt": {"name": ["docker.io", "iptables", "python3-docker"]}},
            {"ansible.builtin.service": {"name": "docker", "state": "started"}},
            {"ansible.builtin.command": {"argv": ["nvidia-smi", "-L"]}, "changed_when": False},
            {
                "community.docker.docker_container": {
                    "name": "plain",
                    "image": "{{ bench_image }}",
                    "command": "{{ bench_command }}",
                    "published_ports": ["127.0.0.1:8100:8100"],
                    "ipc_mode": "host",
                    "pull": "never",
                    "restart_policy": "unless-stopped",
                }
            },
            {
                "ansible.builtin.uri": {"url": "http://127.0.0.1:8100/v1/models", "return_content": True},
                "register": "served",
                "until": "served.status == 200 and 'qwen3-coder-next' in served.content",
                "retries": 60,
                "delay": 1,
            },
        ],
    }
]


class Bench:
    """A fleet, and what is timed on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        written = ROOT / f".build/fleet-{NAME}/inventory.yml"
        self._inventory = json.loads(written.read_text().removeprefix("---\n"))
        self._names = dict(self._inventory["all"]["children"]["h100"]["hosts"])
        self._inventory["all"]["vars"] |= VARIABLES
        self._environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / '.build/collections'}:{community()}",
            "INFERENCE_FLEET_SUMMARY": str(folder / "summary.json"),
        }

    def inventory(self, count: int) -> Path:
        """Return an inventory of as many names; beyond the fleet's hosts, several are one host."""
        hosts = list(self._names.values())
        named = {f"host-{number:02}": hosts[number % len(hosts)] for number in range(count)}
        self._inventory["all"]["children"] = {"h100": {"hosts": named}}
        path = self._folder / f"{count}.json"
        path.write_text(json.dumps(self._inventory))
        return path

    def run(self, *command: str, config: Path = ROOT / "ansible.cfg") -> str:
        done = subprocess.run(
            [str(ROOT / ".venv/bin" / command[0]), *command[1:]],
            env=self._environment | {"ANSIBLE_CONFIG": str(config)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        return done.stdout

    def ways(self, count: int) -> dict[str, Callable[[], str]]:
        inventory = str(self.inventory(count))
        plain = self._folder / "plain.json"
        plain.write_text(json.dumps(PLAIN))
        own = self._folder / "ansible.cfg"
        own.write_text("[defaults]\n")
        by_hand = ("ansible-playbook", "-i", inventory, str(plain), "-e", json.dumps(self._plain_variables()))
        return {
            "deploy": lambda: self.run("ansible-playbook", "-i", inventory, str(ROOT / "playbooks/deploy.yml")),
            "plain": lambda: self.run(*by_hand, config=own),
            "plain with ansible.cfg": lambda: self.run(*by_hand),
            "ping": lambda: self.run("ansible", "-i", inventory, "all", "-m", "ansible.builtin.ping"),
        }

    def _plain_variables(self) -> dict[str, Any]:
        """Return image and command of the engine that deploy.yml made, on another port."""
        first = f"{NAME}-1"
        form = "{{json .Config}}"
        asked = ["docker", "exec", first, "docker", "inspect", "--format", form, "qwen3-coder-next"]
        config = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
        command = ["8100" if word == "8000" else word for word in config["Cmd"]]
        return {"bench_image": config["Image"], "bench_command": command}


def timed(work: Callable[[], Any]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def noop(bench: Bench) -> None:
    """Time the three in turns, each with its connections open."""
    ways = bench.ways(HOSTS)
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(REPEATS):
        for name in sorted(ways, reverse=bool(turn % 2)):
            started = time.monotonic()
            output = ways[name]()
            times[name].append(time.monotonic() - started)
            assert "changed=1" not in output, output
    print(f"\nA deploy that changes nothing on {HOSTS} hosts, {REPEATS} turns, seconds of wall time")
    for name, values in times.items():
        print(f"  {name:22} median {statistics.median(values):5.2f}  ({min(values):.2f} to {max(values):.2f})")
    for other, limit in BARS.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(times["deploy"], times[other], strict=True))
        print(f"  deploy / {other:22} median of the turns {ratio:.2f}, wanted at most {limit}")


def scale(bench: Bench) -> None:
    """Time deploy and ping for more and more names, in turns: a machine's speed changes within minutes."""
    ways = {count: bench.ways(count) for count in NAMES}
    walls: dict[tuple[str, int], list[float]] = {}
    for turn in range(1 + REPEATS):
        for count in sorted(NAMES, reverse=bool(turn % 2)):
            for name in ("deploy", "ping"):
                wall = timed(ways[count][name])
                # The first turn opens the connections.
                if turn:
                    walls.setdefault((name, count), []).append(wall)
    print(
        f"\nCost by the number of inventory names, on {HOSTS} hosts, {REPEATS} turns, medians in seconds of wall time"
    )
    for count in NAMES:
        told = []
        for name in ("deploy", "ping"):
            each = [wall / count for wall in walls[name, count]]
            first = [wall / HOSTS for wall in walls[name, HOSTS]]
            ratio = statistics.median(mine / theirs for mine, theirs in zip(each, first, strict=True))
            told.append(f"{name} {statistics.median(each):.3f} a name, {ratio:.2f} of that with {HOSTS}")
        print(f"  {count:3} names  {'   '.join(told)}")
    print(f"  wanted of deploy: at most {FLAT} of that with {HOSTS}")


def benchmark(bench: Bench) -> None:
    """Time a benchmark of one host, of two, and of four at once."""
    inventory = str(bench.inventory(MEASURED[-1]))
    variables = WORKLOAD | {"benchmark_results_dir": str(Path(inventory).parent / "results")}
    playbook = str(ROOT / "playbooks/benchmark.yml")
    command = ("ansible-playbook", "-i", inventory, playbook, "-e", json.dumps(variables))
    # Each host gets its client once.
    bench.run(*command, "-e", "benchmark_num_prompts=4")
    print("\nA benchmark with its clients on the hosts, seconds of wall time; all hosts share this machine's CPUs")
    walls = [timed(lambda count=count: bench.run(*command, "-l", f"all[0:{count - 1}]")) for count in MEASURED]
    for count, wall in zip(MEASURED, walls, strict=True):
        print(f"  {count} at once {wall:6.1f}  in those of one host: {wall / walls[0]:.2f}")


def main() -> None:
    """Run the benchmarks that are named, or all."""
    sys.stdout.reconfigure(line_buffering=True)
    benches = {"noop": noop, "scale": scale, "benchmark": benchmark}
    subprocess.run([str(FLEET), "up", str(HOSTS), "--kind", "h100", "--name", NAME], check=True)
    try:
        with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
            bench = Bench(Path(folder))
            print(f"{HOSTS} hosts in containers on one machine with {os.cpu_count()} CPUs")
            bench.run("ansible-playbook", "-i", str(bench.inventory(HOSTS)), str(ROOT / "playbooks/deploy.yml"))
            for name in sys.argv[1:] or benches:
                benches[name](bench)
    finally:
        subprocess.run([str(FLEET), "down", "--name", NAME], check=True)


if __name__ == "__main__":
    main()
