# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Docker Engine for a whole session, and playbook runs against it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build" / "collections"))
sys.path.insert(0, str(Path(__file__).parent))

from docker_engine import DockerEngine  # noqa: E402  (its folder is on the path only now)


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """A Docker Engine of the tests' own."""
    if os.geteuid() != 0:
        pytest.skip("a Docker Engine of the tests' own needs root")
    if not shutil.which("dockerd"):
        pytest.skip("dockerd is not installed; 'make demo' installs it")
    with DockerEngine() as engine:
        yield engine


@dataclass
class Run:
    """What a run of a module gave: its result, and everything that Ansible printed."""

    result: dict[str, Any]
    output: str


@dataclass
class Module:
    """Runs a module in a playbook on this machine, its action included."""

    name: str
    defaults: dict[str, Any]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *, check: bool = False, verbosity: int = 0, **options: Any) -> Run:
        """Run it and return what it gave, whether it failed or not."""
        with self.start(check=check, verbosity=verbosity, **options) as process:
            output, _unused = process.communicate(timeout=300)
        answer = self.folder / "result.json"
        assert answer.exists(), output
        result = json.loads(answer.read_text())
        answer.unlink()
        return Run(result, output)

    def start(self, *, check: bool = False, verbosity: int = 0, **options: Any) -> subprocess.Popen[str]:
        """Start it, and return the running Ansible."""
        save = {"content": "{{ outcome | to_json }}", "dest": str(self.folder / "result.json"), "mode": "0600"}
        tasks = [
            {self.name: {**self.defaults, **options}, "register": "outcome", "ignore_errors": True},
            {"ansible.builtin.copy": save, "check_mode": False, "diff": False, "no_log": True},
        ]
        play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
        playbook = self.folder / "playbook.json"
        playbook.write_text(json.dumps([play]))
        command = ["ansible-playbook", "-i", "localhost,", "-c", "local", "--diff", str(playbook)]
        command += ["-e", f"ansible_python_interpreter={sys.executable}"]
        command += ["--check"] if check else []
        command += ["-" + "v" * verbosity] if verbosity else []
        return subprocess.Popen(
            command,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
