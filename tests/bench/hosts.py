# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at a host costs: host_info beside the tasks that it replaces, over SSH. Figures of one run, no judgement.

Usage: python tests/bench/hosts.py

The host is a container with stub GPUs, of tests/fleet/fleet. Runs alternate, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FLEET = ROOT / "tests/fleet/fleet"
NAME = "bench-hosts"
REPEATS = 7

LOOK = [{"inference.fleet.host_info": {"paths": ["~/.cache/huggingface"]}}]
# What a playbook without it does to know as much; not even these find a fabric that is not up, or a broken libcuda.
SETUP = [{"ansible.builtin.setup": {}}]
TASKS = [
    *SETUP,
    {"ansible.builtin.package_facts": {}},
    {"ansible.builtin.service_facts": {}},
    *(
        {"ansible.builtin.command": command, "changed_when": False}
        for command in (
            "nvidia-smi --query-gpu=index,name,uuid,memory.total,driver_version --format=csv,noheader",
            "nvidia-smi -q -x",
            "docker info --format json",
            "df --output=avail /var/lib/docker",
            "timedatectl show",
        )
    ),
]


def play(folder: Path, name: str, tasks: list[dict[str, Any]]) -> list[str]:
    """Write a playbook, and return the command that runs it."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "become": True, "tasks": tasks}]))
    inventory = ROOT / f".build/fleet-{NAME}/inventory.yml"
    return [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(inventory), str(path)]


def seconds(command: list[str]) -> float:
    started = time.monotonic()
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return time.monotonic() - started


def main() -> None:
    """Measure."""
    subprocess.run([str(FLEET), "up", "1", "--kind", "h100", "--name", NAME], check=True)
    try:
        with tempfile.TemporaryDirectory() as directory:
            plays = {"host_info": LOOK, "setup": SETUP, "setup and the tasks that it replaces": TASKS, "no task": []}
            commands = {name: play(Path(directory), name.split()[-1], tasks) for name, tasks in plays.items()}
            times: dict[str, list[float]] = {name: [] for name in commands}
            for turn in range(REPEATS + 1):
                for name, command in commands.items():
                    took = seconds(command)
                    # The first one opens the connection.
                    if turn:
                        times[name].append(took)
    finally:
        subprocess.run([str(FLEET), "down", "--name", NAME], check=True)
    floor = statistics.median(times["no task"])
    print(f"\nA look at one host over SSH, {REPEATS} alternating runs of ansible-playbook, {os.cpu_count()} CPUs")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"  {name:38} median {median:.2f} s, without Ansible's own start {max(median - floor, 0):.2f} s")
    for other in ("setup", "setup and the tasks that it replaces"):
        ratios = [mine / theirs for mine, theirs in zip(times["host_info"], times[other], strict=True)]
        print(f"  ratio host_info / {other}, median of the pairs: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
