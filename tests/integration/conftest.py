# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Docker Engine for a whole session, and playbook runs against it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build" / "collections"))
sys.path.insert(0, str(Path(__file__).parent))

from debian_package import NotToBeHadError  # noqa: E402  (its folder is on the path only now)
from docker_engine import DockerEngine  # noqa: E402  (likewise)
from module_process import ModuleProcess  # noqa: E402  (likewise)
from registry import Registry  # noqa: E402  (likewise)
from ssh_host import SshHost  # noqa: E402  (likewise)

from ansible_collections.inference.fleet.plugins.module_utils.containers import state  # noqa: E402  (likewise)
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED  # noqa: E402  (likewise)
from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs  # noqa: E402  (likewise)
from ansible_collections.inference.fleet.tests.ports import free_ports  # noqa: E402  (likewise)

HELD = "what held after a fault"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List the faults, whatever else is said of the run."""
    reports = terminalreporter.getreports("passed")
    noted = [value for report in reports for name, value in report.user_properties if name == HELD]
    if noted:
        terminalreporter.section("faults that were injected, and what held")
    for line in sorted(noted):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """A Docker Engine of the tests' own."""
    if os.geteuid() != 0:
        pytest.skip("a Docker Engine of the tests' own needs root")
    if not shutil.which("dockerd"):
        pytest.skip("dockerd is not installed; 'make demo' installs it")
    with DockerEngine() as engine:
        yield engine


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A registry of the tests' own."""
    try:
        running = Registry()
    except NotToBeHadError as error:
        pytest.skip(str(error))
    with running:
        yield running


# As of the model that is the default: it ends as the name of a prepared container does. Each process of each test run
# has one of its own, as what the module keeps on the host is kept by name.
NAME = f"test{os.getpid()}-coder-next"


@dataclass
class Images:
    """Two images that serve as the simulator does, in a registry: ``sim:1`` and ``sim:2``, by digest too."""

    repository: str
    digests: dict[str, str]

    def tag(self, number: str) -> str:
        return f"{self.repository}:{number}"

    def digest(self, number: str) -> str:
        return f"{self.repository}@{self.digests[number]}"


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulator's root file system."""
    path = tmp_path_factory.mktemp("rootfs") / "rootfs.tar"
    with path.open("wb") as stream:
        rootfs.write_rootfs(stream)
    return path


def make_image(engine: DockerEngine, archive: Path, name: str, *changes: str) -> str:
    """Make an image of the simulator on an engine; *changes* are lines of a Dockerfile."""
    lines = [f"ENTRYPOINT {json.dumps(rootfs.entrypoint())}", *changes]
    engine.client.api.import_image_from_file(str(archive), repository=name, tag="1", changes=lines)
    return f"{name}:1"


@pytest.fixture
def fake_vllm(docker_engine: DockerEngine, archive: Path) -> Callable[..., str]:
    """Make an image that takes vLLM's arguments and serves as the simulator does."""
    figures = json.dumps({key: PUBLISHED[0][key] for key in ("id", "cold", "workload", "metrics")})
    start = (
        "import itertools, os, sys; sys.path.insert(0, '/opt/inference.fleet'); "
        "key = '/run/inference.fleet/api_key'; after = lambda flag: sys.argv[sys.argv.index(flag) + 1:]; "
        "names = itertools.takewhile(lambda word: not word.startswith('-'), after('--served-model-name')); "
        "sys.argv = ['x', '--host', '0.0.0.0', '--port', after('--port')[0], '--model', 'm', "
        f"'--served-model-name', *names, '--figures', {figures!r}] "
        "+ (['--api-key-file', key] if os.path.exists(key) else []); "
        "from inference_fleet.simulator.server import main; main()"
    )

    def make(name: str, *changes: str) -> str:
        entrypoint = f"ENTRYPOINT {json.dumps([rootfs.entrypoint()[0], '-c', start])}"
        return make_image(docker_engine, archive, f"fake-vllm-{name}", entrypoint, *changes)

    return make


@pytest.fixture
def images(docker_engine: DockerEngine, registry: Registry, archive: Path) -> Images:
    """The two images, as if they had just been published; neither is on the engine."""
    digests = {}
    for number in ("1", "2"):
        local = make_image(docker_engine, archive, f"local-{number}", f"LABEL number={number}")
        digests[number] = registry.push(docker_engine, local, f"sim:{number}")
    return Images(f"{registry.host}/sim", digests)


Play = Callable[..., dict[str, Any]]


def forget(*names: str) -> None:
    """Remove what the module keeps of the tests' engines on the host; *names* are those of more slots than NAME's."""
    for name in (NAME, *names):
        for path in state.STATE_DIR.glob(f"{name}*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def empty(engine: DockerEngine) -> None:
    """Remove what is on an engine, and what the module keeps of it: what one test leaves is nothing to the next."""
    for container in engine.client.containers.list(all=True):
        container.remove(force=True)
    for image in engine.client.images.list():
        engine.client.images.remove(image.id, force=True)
    forget()


@pytest.fixture
def process(docker_engine: DockerEngine, free_port: int, tmp_path: Path) -> Iterator[ModuleProcess]:
    """The engine module as a process, and nothing on the engine or the host before and after."""
    defaults = {
        "docker_host": docker_engine.url,
        "engine": "simulator",
        "container_name": NAME,
        "served_model_name": "qwen3-coder-next",
        "port": free_port,
        "cache_dir": str(tmp_path / "cache"),
        "compile_cache_dir": str(tmp_path / "compiled"),
        "ready_timeout": 60,
        "stop_timeout": 5,
    }
    empty(docker_engine)
    yield ModuleProcess(defaults, tmp_path)
    empty(docker_engine)


@pytest.fixture
def play(docker_engine: DockerEngine, free_port: int, tmp_path: Path) -> Iterator[Play]:
    """Run a playbook of the collection on this machine, whose engines are on the tests' Docker Engine."""
    base = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "engine_name": "simulator",
        # With a slash, which no container's name may have.
        "engine_served_model_name": f"org/{NAME}",
        "engine_docker_host": docker_engine.url,
        "engine_port": free_port,
        "engine_exposed_without_key": True,
        "engine_cache_dir": str(tmp_path / "cache"),
        "engine_compile_cache_dir": "",
        "host_ignored_checks": ["gpus", "gpu_health", "gpu_fabric", "cuda", "nvidia_container_toolkit", "docker_sdk"],
    }

    def run(playbook: str, *arguments: str, **variables: Any) -> dict[str, Any]:
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"here": {**base, **variables}}}}))
        done = subprocess.run(
            ["ansible-playbook", "-i", str(inventory), str(ROOT / f"playbooks/{playbook}.yml"), *arguments],
            cwd=tmp_path,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PWD": "/nowhere"},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
        return json.loads((tmp_path / f"reports/summary-{playbook}.json").read_text())["hosts"][0]

    empty(docker_engine)
    yield run
    empty(docker_engine)


@pytest.fixture(scope="session")
def ssh_host() -> Iterator[SshHost]:
    """This machine as a host behind an sshd."""
    if os.geteuid() != 0:
        pytest.skip("an sshd of the tests' own needs root")
    try:
        host = SshHost()
    except NotToBeHadError as error:
        pytest.skip(str(error))
    with host:
        yield host


@dataclass
class Run:
    """What a run of a module gave: its result, and everything that Ansible printed."""

    result: dict[str, Any]
    output: str


@dataclass
class Module:
    """Runs a module in a playbook, its action included; *variables* are the inventory's, of the one host."""

    name: str
    defaults: dict[str, Any]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Any] = field(
        default_factory=lambda: {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    )

    def __call__(self, *, check: bool = False, verbosity: int = 0, **options: Any) -> Run:
        """Run it and return what it gave, whether it failed or not."""
        return self.finish(self.start(check=check, verbosity=verbosity, **options))

    def finish(self, process: subprocess.Popen[str]) -> Run:
        """Wait for a running Ansible, and return what it gave."""
        with process:
            try:
                output, _unused = process.communicate(timeout=300)
            except BaseException:
                self.kill(process)
                raise
        answer = self.folder / "result.json"
        assert answer.exists(), output
        result = json.loads(answer.read_text())
        answer.unlink()
        return Run(result, output)

    def start(self, *, check: bool = False, verbosity: int = 0, **options: Any) -> subprocess.Popen[str]:
        """Start it in a process group of its own, and return the running Ansible."""
        save = {
            "content": "{{ outcome | default({}) | to_json }}",
            "dest": str(self.folder / "result.json"),
            "mode": "0600",
        }
        tasks = [
            {self.name: {**self.defaults, **options}, "register": "outcome", "ignore_errors": True},
            {"ansible.builtin.copy": save, "check_mode": False, "diff": False, "no_log": True},
        ]
        play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
        playbook = self.folder / "playbook.json"
        playbook.write_text(json.dumps([play]))
        inventory = self.folder / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"localhost": self.variables}}}))
        command = ["ansible-playbook", "-i", str(inventory), "--diff", str(playbook)]
        command += ["--check"] if check else []
        command += ["-" + "v" * verbosity] if verbosity else []
        return subprocess.Popen(
            command,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def kill(process: subprocess.Popen[str]) -> None:
        """Kill Ansible and its workers outright."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on, as on the three after it."""
    return free_ports(4)[0]


@pytest.fixture
def other_port() -> int:
    """Another one, with three more."""
    return free_ports(4)[0]
