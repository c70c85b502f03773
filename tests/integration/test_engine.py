# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine module against a real Docker Engine: what it does, and above all what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest
from conftest import NAME, Module, Run, forget, make_image
from debian_package import NotToBeHadError
from docker_engine import DockerEngine
from registry import Registry

from ansible_collections.inference.fleet.plugins.module_utils.containers import state
from ansible_collections.inference.fleet.tests.patience import until


@pytest.fixture(scope="module", autouse=True)
def no_leftovers() -> Iterator[None]:
    yield
    # The module's own directory for this name, with the logs of the failures that were provoked.
    forget()


@pytest.fixture
def engine(docker_engine: DockerEngine, free_port: int, tmp_path: Path) -> Iterator[Module]:
    """The module with options that every test shares, and nothing on the engine before and after."""
    defaults = {
        "docker_host": docker_engine.url,
        "engine": "simulator",
        "container_name": NAME,
        "port": free_port,
        "cache_dir": str(tmp_path / "cache"),
        "ready_timeout": 60,
        "stop_timeout": 5,
    }
    yield Module("inference.fleet.engine", defaults, tmp_path)
    for container in docker_engine.client.containers.list(all=True):
        container.remove(force=True)


def containers(docker_engine: DockerEngine) -> dict[str, Any]:
    return {container.name: container for container in docker_engine.client.containers.list(all=True)}


def identity(docker_engine: DockerEngine) -> tuple[str, str]:
    container = docker_engine.client.containers.get(NAME)
    return container.id, container.attrs["State"]["StartedAt"]


def test_deploy_redeploy_replace_remove(docker_engine: DockerEngine, engine: Module) -> None:
    predicted = engine(check=True).result
    assert predicted["changed"]
    assert containers(docker_engine) == {}

    first = engine()
    assert first.result["changed"], first.output
    assert first.result["steps"] == predicted["steps"]
    assert first.result["engine"]["simulated"] is True
    assert "ready after" in first.output
    before = identity(docker_engine)

    again = engine()
    assert not again.result["changed"]
    assert again.result["engine"]["container"]["id"] == before[0]
    assert "\n[localhost] " not in again.output, "a run that changes nothing says nothing"
    assert identity(docker_engine) == before

    wanted = {"extra_args": ["--max-model-len", "9000"]}
    predicted = engine(check=True, **wanted).result
    replaced = engine(**wanted).result
    assert replaced["steps"] == predicted["steps"] == ["replace the container", "wait until the endpoint is ready"]
    assert replaced["diff"] == predicted["diff"]
    assert "9000" in replaced["diff"]["after"]["command"]
    assert "9000" not in replaced["diff"]["before"]["command"]
    assert identity(docker_engine)[0] != before[0]
    assert set(containers(docker_engine)) == {NAME}

    predicted = engine(check=True, state="absent", remove_images=True).result
    removed = engine(state="absent", remove_images=True).result
    assert removed["changed"]
    assert removed["steps"] == predicted["steps"] != []
    assert docker_engine.client.images.list() == []
    assert not engine(state="absent", remove_images=True).result["changed"]


@pytest.mark.parametrize(
    ("found", "options", "size", "stored"),
    [
        ("h100x4", {}, "4", {"Count": -1, "DeviceIDs": None}),
        ("b200x2", {}, "2", {"Count": -1, "DeviceIDs": None}),
        ("h100x8", {"gpus": ["5", "4", "7", "6"]}, "4", {"Count": 0, "DeviceIDs": ["4", "5", "6", "7"]}),
    ],
)
def test_an_engine_on_gpus_is_made_for_them_and_left_alone(
    docker_engine: DockerEngine,
    engine: Module,
    fake_vllm: Callable[..., str],
    tmp_path: Path,
    found: str,
    options: dict[str, Any],
    size: str,
    stored: dict[str, Any],
) -> None:
    # The driver is a stub; the daemon, the request and the container are real.
    (tmp_path / "gpus").write_text(found)
    stubs = Path(__file__).resolve().parents[1] / "fleet/stubs"
    engine.environment |= {"STUB_GPUS": str(tmp_path / "gpus"), "PATH": f"{stubs}:{os.environ['PATH']}"}
    _weights_are_here(tmp_path / "cache")
    wanted = {"engine": "vllm", "image": fake_vllm("gpus"), "prefetch": False, **options}

    made = engine(**wanted)

    assert made.result["changed"], made.output
    argv = made.result["engine"]["argv"]
    assert argv[argv.index("--tensor-parallel-size") + 1] == size
    request = docker_engine.client.containers.get(NAME).attrs["HostConfig"]["DeviceRequests"][0]
    assert {key: request[key] or stored[key] for key in stored} == stored
    before = identity(docker_engine)
    assert not engine(**wanted).result["changed"]
    assert identity(docker_engine) == before


def _weights_are_here(cache_dir: Path) -> None:
    """Put the seed model's weights into a cache, at their size and with nothing in them: they take no disk."""
    folder = cache_dir / "hub/models--Qwen--Qwen3-Coder-Next"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    for number in range(1, 41):
        with (snapshot / f"model-{number:05d}-of-00040.safetensors").open("wb") as shard:
            shard.truncate(4 * 10**9)


def test_a_driver_in_trouble_is_told(engine: Module, tmp_path: Path) -> None:
    (tmp_path / "gpus").write_text("h100x4\nFailed to initialize NVML: Driver/library version mismatch")
    stubs = Path(__file__).resolve().parents[1] / "fleet/stubs"
    engine.environment |= {"STUB_GPUS": str(tmp_path / "gpus"), "PATH": f"{stubs}:{os.environ['PATH']}"}

    failed = engine(engine="vllm").result

    assert "nvidia-smi does not tell the host's GPUs: Failed to initialize NVML" in failed["msg"]


# How often a process is looked at, a tenth of a second between.
_LOOKS = 10


class _Processes:
    """Looks at the arguments and variables of every new process of the machine for some words."""

    def __init__(self, *words: str) -> None:
        self._words = [word.encode() for word in words]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.looks = 0
        self.found: set[str] = set()

    def __enter__(self) -> _Processes:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        known: Counter[str] = Counter()
        while not self._over.wait(0.1):
            self.looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                known[process.name] += 1
                # A new one is looked at until it is what it was started for.
                for path in (process / "cmdline", process / "environ") if known[process.name] < _LOOKS else ():
                    with suppress(OSError):
                        text = path.read_bytes()
                        if any(word in text for word in self._words):
                            self.found.add(f"{path.name} of {text[:200]!r}")


def _role_run(engine: Module, folder: Path, options: dict[str, Any]) -> Run:
    """Run the role as the module was run, from an inventory that has the secrets."""
    wanted = {"name" if key == "engine" else key: value for key, value in {**engine.defaults, **options}.items()}
    variables = {**engine.variables, **{f"engine_{key}": value for key, value in wanted.items()}}
    folder.mkdir()
    role = {"name": "inference.fleet.engine"}
    run = Module("ansible.builtin.include_role", role, folder, variables=variables)(verbosity=4)
    assert "rewrite files" not in run.output
    assert "changed=1 " in run.output, "the role changes nothing, and the copy of the result does"
    return run


def test_a_process_that_shows_a_word_is_found() -> None:
    with _Processes("in-an-argument", "in-a-variable") as processes:
        variables = {**os.environ, "X": "in-a-variable"}
        for count, (words, environment) in enumerate([([], variables), (["in-an-argument"], None)], 1):
            command = [sys.executable, "-c", "input()", *words]
            with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as shown:
                until(lambda count=count: len(processes.found) == count)
                shown.communicate(b"\n")
    assert {item.partition(" ")[0] for item in processes.found} == {"cmdline", "environ"}


def test_secrets_are_nowhere_to_be_seen(
    docker_engine: DockerEngine, engine: Module, fake_vllm: Callable[..., str], tmp_path: Path
) -> None:
    key, token = "planted-key-4711", "planted-token-0815"
    served = {"engine": "vllm", "profile": "cpu", "image": fake_vllm("secrets"), "model": "/models/local"}
    secret = {"api_key": key, "hf_token": token, **served}

    longer = {"extra_args": ["--max-model-len", "9000"]}

    with _Processes(key, token) as processes:
        runs = [
            engine(verbosity=4, **secret),
            engine(verbosity=4, **{**secret, "api_key": f"{key}-new", "hf_token": f"{token}-new"}),
            engine(verbosity=4, **secret, **longer),
            engine(verbosity=4, **secret, memory="7m", recreate=True),
        ]
    (tmp_path / "info").mkdir()
    info = Module("inference.fleet.engine_info", {"docker_host": docker_engine.url}, tmp_path / "info")
    runs += [info(verbosity=4), _role_run(engine, tmp_path / "role", {**secret, **longer})]

    assert runs[1].result["steps"] == ["rewrite files that the engine reads again"]
    assert "put back" in runs[3].result["msg"]
    container = docker_engine.client.containers.get(NAME)
    source = Path(container.labels["inference.fleet.secrets"])
    jobs = []
    for path in (Path.home() / ".ansible_async").glob("*"):
        # Another worker's is gone when it is done.
        with suppress(FileNotFoundError):
            jobs.append(path.read_text() if path.is_file() else "")
    logs = [path.read_text() for path in source.parent.glob("*.log")]
    kept = [path.read_text() for path in source.parent.glob("*") if path.is_file()]
    kept.append((docker_engine.directory / "dockerd.log").read_text())
    seen = [*(run.output for run in runs), str(container.attrs), container.logs().decode(), *jobs, *kept]
    assert len(logs) == 1
    assert processes.looks > 20
    assert processes.found == set()
    for planted in (key, token):
        assert not [text for text in seen if planted in text]
    assert {path.name: path.read_text() for path in source.glob("*_*") if path.suffix != ".py"} == {
        "api_key": key,
        "hf_token": token,
    }
    assert {path.stat().st_mode & 0o777 for path in source.iterdir()} == {0o600}
    assert source.stat().st_mode & 0o777 == 0o700
    engine(state="absent")
    assert not source.exists()


def test_a_registry_s_password_is_sent_to_it_and_kept_nowhere(
    docker_engine: DockerEngine, engine: Module, archive: Path, tmp_path: Path
) -> None:
    password = "planted-password-4711"
    try:
        registry = Registry(("anna", password), "$2b$05$cbsQ7rMyqu4zDWdNBovF9eIQ2Ko48cVEwm2iKE9baUkOKANs3JY8a")
    except NotToBeHadError as error:
        pytest.skip(str(error))
    docker_config = tmp_path / "docker-config"
    docker_config.mkdir()
    engine.environment = {"DOCKER_CONFIG": str(docker_config)}
    with registry:
        registry.push(docker_engine, make_image(docker_engine, archive, "behind-a-login"), "sim:1")
        docker_engine.client.images.remove("behind-a-login:1", force=True)
        image = {"image": f"{registry.host}/sim:1"}
        with _Processes(password) as processes:
            refused = [
                engine(**image),
                engine(**image, registry_username="anna", registry_password="another"),
                engine(**image, registry_username="anna"),
            ]
            runs = [
                engine(verbosity=4, **image, registry_username="anna", registry_password=password),
                engine(verbosity=4, **image, registry_username="anna", registry_password=password),
            ]
    for run, words in zip(refused, ("no basic auth credentials", "unauthorized", "together"), strict=True):
        assert run.result["failed"]
        assert words in run.result["msg"], run.result["msg"]
    assert [run.result["changed"] for run in runs] == [True, False]
    container = docker_engine.client.containers.get(NAME)
    state_of_it = [path.read_text() for path in state.STATE_DIR.rglob("*") if path.is_file() and path.suffix != ".lock"]
    seen = [*(run.output for run in runs), str(container.attrs), container.logs().decode(), *state_of_it]
    seen.append((docker_engine.directory / "dockerd.log").read_text())
    assert processes.looks > 20
    assert processes.found == set()
    assert not [text for text in seen if password in text]
    assert list(docker_config.iterdir()) == []


def test_a_daemon_that_is_not_there_is_told_in_a_sentence(engine: Module) -> None:
    failed = engine(docker_host="unix:///nowhere/docker.sock").result

    assert failed["msg"].startswith("could not reach the Docker daemon at unix:///nowhere/docker.sock")
    assert "Traceback" not in failed["msg"]


def test_engine_info_lists_what_runs(docker_engine: DockerEngine, engine: Module, tmp_path: Path) -> None:
    made = engine().result["engine"]
    (tmp_path / "info").mkdir()
    info = Module("inference.fleet.engine_info", {"docker_host": docker_engine.url}, tmp_path / "info")

    assert info().result["engines"] == [{**made, "task": "chat"}]
    assert info(container_name="other").result["engines"] == []
    assert made["version"]
    with pytest.raises(docker.errors.NotFound):
        docker_engine.client.containers.get("other")
