# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine module against a real Docker Engine: what it does, and above all what it leaves alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from conftest import Module
from docker_engine import DockerEngine

from ansible_collections.inference.fleet.plugins.module_utils.baselines.published import PUBLISHED
from ansible_collections.inference.fleet.plugins.module_utils.containers import secrets
from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs

NAME = "test-engine"


@pytest.fixture(scope="module", autouse=True)
def no_leftovers() -> Iterator[None]:
    yield
    # The module's own directory for this name, with the logs of the failures that were provoked.
    for path in sorted(secrets.directory(NAME).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    if secrets.directory(NAME).exists():
        secrets.directory(NAME).rmdir()
    (secrets.STATE_DIR / f"{NAME}.lock").unlink(missing_ok=True)


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


def test_deploy_redeploy_update_replace_stop_remove(docker_engine: DockerEngine, engine: Module) -> None:
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

    updated = engine(restart_policy="always").result
    assert updated["steps"] == ["update the container without a restart"]
    assert identity(docker_engine) == before
    assert docker_engine.client.containers.get(NAME).attrs["HostConfig"]["RestartPolicy"]["Name"] == "always"

    docker_engine.client.containers.get(NAME).stop(timeout=5)
    started = engine(restart_policy="always").result
    assert started["steps"][0] == "start the container"
    assert identity(docker_engine)[0] == before[0]

    wanted = {"restart_policy": "always", "extra_args": ["--max-model-len", "9000"]}
    predicted = engine(check=True, **wanted).result
    replaced = engine(**wanted).result
    assert replaced["steps"] == predicted["steps"] == ["replace the container", "wait until the endpoint is ready"]
    assert replaced["diff"] == predicted["diff"]
    assert "9000" in replaced["diff"]["after"]["command"]
    assert "9000" not in replaced["diff"]["before"]["command"]
    assert identity(docker_engine)[0] != before[0]
    assert set(containers(docker_engine)) == {NAME}

    stopped = engine(state="stopped").result
    assert stopped["changed"]
    assert stopped["engine"]["state"] == "exited"
    assert not engine(state="stopped").result["changed"]

    assert engine(state="absent").result["changed"]
    assert containers(docker_engine) == {}
    assert not engine(state="absent").result["changed"]

    predicted = engine(check=True, state="absent", remove_images=True).result
    removed = engine(state="absent", remove_images=True).result
    assert removed["changed"]
    assert removed["steps"] == predicted["steps"] != []
    assert docker_engine.client.images.list() == []
    assert not engine(state="absent", remove_images=True).result["changed"]


def test_a_replacement_that_fails_leaves_what_was_there(docker_engine: DockerEngine, engine: Module) -> None:
    engine()
    before = identity(docker_engine)[0]

    failed = engine(extra_args=["--no-such-flag"]).result

    assert failed["failed"]
    assert "does not know or accept an argument: --no-such-flag" in failed["msg"]
    assert "was put back and serves again" in failed["msg"]
    log = failed["msg"].partition("whole log is in ")[2].partition(" ")[0].rstrip(".")
    assert "--no-such-flag" in Path(log).read_text()
    assert Path(log).stat().st_mode & 0o077 == 0
    assert identity(docker_engine)[0] == before
    assert set(containers(docker_engine)) == {NAME}
    assert not engine().result["changed"]


def test_an_engine_that_never_gets_ready_is_given_up_in_time(docker_engine: DockerEngine, engine: Module) -> None:
    engine()
    before = identity(docker_engine)[0]

    failed = engine(extra_args=["--load-seconds", "3600"], ready_timeout=4).result

    assert "was not ready within ready_timeout, 4 s: GET /health answered 503" in failed["msg"]
    assert identity(docker_engine)[0] == before


def test_a_first_deploy_that_fails_leaves_nothing(docker_engine: DockerEngine, engine: Module) -> None:
    failed = engine(extra_args=["--no-such-flag"]).result

    assert "There was no container before it" in failed["msg"]
    assert containers(docker_engine) == {}


@pytest.mark.parametrize("crashed", ["prepared", "between the renames", "loading"])
def test_an_interrupted_replacement_is_finished(docker_engine: DockerEngine, engine: Module, crashed: str) -> None:
    wanted = {"extra_args": ["--max-model-len", "9000"]}
    engine()
    old = docker_engine.client.containers.get(NAME)
    image, labels = old.attrs["Config"]["Image"], old.attrs["Config"]["Labels"]
    # What a controller that died at this point would have left.
    if crashed == "prepared":
        docker_engine.client.containers.create(image, name=f"{NAME}-next", labels=labels)
    elif crashed == "between the renames":
        old.stop(timeout=5)
        old.rename(f"{NAME}-previous")
        docker_engine.client.containers.create(image, name=f"{NAME}-next", labels=labels)
    else:
        engine(**wanted)
        docker_engine.client.containers.create(image, name=f"{NAME}-previous", labels=labels)

    result = engine(**wanted).result

    assert result["changed"], result
    assert set(containers(docker_engine)) == {NAME}
    assert result["engine"]["state"] == "running"
    assert "9000" in result["engine"]["argv"]
    assert not engine(**wanted).result["changed"]


def test_a_foreign_container_of_the_same_name_is_not_touched(docker_engine: DockerEngine, engine: Module) -> None:
    engine()
    image = docker_engine.client.containers.get(NAME).attrs["Config"]["Image"]
    engine(state="absent")
    foreign = docker_engine.client.containers.create(image, name=NAME)

    for state in ("present", "absent", "stopped", "restarted"):
        failed = engine(state=state).result
        assert "inference.fleet did not make it" in failed["msg"]
    assert docker_engine.client.containers.get(NAME).id == foreign.id


def test_a_taken_port_is_told_in_plain_words(docker_engine: DockerEngine, engine: Module) -> None:
    engine()
    failed = engine(container_name=f"{NAME}-second").result

    assert "the port is taken" in failed["msg"]
    assert set(containers(docker_engine)) == {NAME}


@pytest.fixture
def gpu_image(docker_engine: DockerEngine, tmp_path: Path) -> str:
    """An image that takes vLLM's arguments and serves as the simulator does."""
    figures = json.dumps({key: PUBLISHED[0][key] for key in ("id", "cold", "workload", "metrics")})
    start = (
        "import sys; port = sys.argv[sys.argv.index('--port') + 1]; sys.path.insert(0, '/opt/inference.fleet'); "
        "sys.argv = ['x', '--host', '0.0.0.0', '--port', port, '--model', 'm', "
        f"'--served-model-name', 'qwen3-coder-next', '--figures', {figures!r}]; "
        "from simulator.server import main; main()"
    )
    with (tmp_path / "rootfs.tar").open("wb") as archive:
        rootfs.write_rootfs(archive)
    entrypoint = json.dumps([rootfs.entrypoint()[0], "-c", start])
    docker_engine.client.api.import_image_from_file(
        str(tmp_path / "rootfs.tar"), repository="fake-vllm", tag="1", changes=[f"ENTRYPOINT {entrypoint}"]
    )
    return "fake-vllm:1"


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
    gpu_image: str,
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
    wanted = {"engine": "vllm", "image": gpu_image, **options}

    made = engine(**wanted)

    assert made.result["changed"], made.output
    argv = made.result["engine"]["argv"]
    assert argv[argv.index("--tensor-parallel-size") + 1] == size
    request = docker_engine.client.containers.get(NAME).attrs["HostConfig"]["DeviceRequests"][0]
    assert {key: request[key] or stored[key] for key in stored} == stored
    before = identity(docker_engine)
    assert not engine(**wanted).result["changed"]
    assert identity(docker_engine) == before


def test_a_driver_in_trouble_is_told(engine: Module, tmp_path: Path) -> None:
    (tmp_path / "gpus").write_text("h100x4\nFailed to initialize NVML: Driver/library version mismatch")
    stubs = Path(__file__).resolve().parents[1] / "fleet/stubs"
    engine.environment |= {"STUB_GPUS": str(tmp_path / "gpus"), "PATH": f"{stubs}:{os.environ['PATH']}"}

    failed = engine(engine="vllm").result

    assert "nvidia-smi does not tell the host's GPUs: Failed to initialize NVML" in failed["msg"]


def test_secrets_are_nowhere_to_be_seen(docker_engine: DockerEngine, engine: Module) -> None:
    planted = "planted-secret-4711"
    options = {"api_key": planted}

    run = engine(verbosity=4, **options)
    changed = engine(verbosity=4, api_key=planted + "-new", extra_args=["--max-model-len", "9000"])
    failed = engine(verbosity=4, api_key=planted, extra_args=["--no-such-flag"])

    assert run.result["changed"]
    assert changed.result["changed"]
    assert "put back" in failed.result["msg"]
    for text in (run.output, changed.output, failed.output):
        assert planted not in text
    container = docker_engine.client.containers.get(NAME)
    assert planted not in str(container.attrs)
    assert planted not in container.logs().decode()
    source = Path(container.labels["inference.fleet.secrets"])
    assert planted in (source / "engine.yaml").read_text()
    assert (source / "engine.yaml").stat().st_mode & 0o777 == 0o600
    engine(state="absent")
    assert not source.exists()


def test_a_daemon_that_is_not_there_is_told_in_a_sentence(engine: Module) -> None:
    failed = engine(docker_host="unix:///nowhere/docker.sock").result

    assert failed["msg"].startswith("could not reach the Docker daemon at unix:///nowhere/docker.sock")
    assert "Traceback" not in failed["msg"]


def test_an_image_that_cannot_be_had_is_told(docker_engine: DockerEngine, engine: Module) -> None:
    failed = engine(image="127.0.0.1:1/no/such:tag").result

    assert "could not pull image 127.0.0.1:1/no/such:tag" in failed["msg"]
    never = engine(image="127.0.0.1:1/no/such:tag", pull="never").result
    assert "is not on the host, and pull is never" in never["msg"]
    assert containers(docker_engine) == {}


def test_engine_info_lists_what_runs(docker_engine: DockerEngine, engine: Module, tmp_path: Path) -> None:
    made = engine().result["engine"]
    (tmp_path / "info").mkdir()
    info = Module("inference.fleet.engine_info", {"docker_host": docker_engine.url}, tmp_path / "info")

    assert info().result["engines"] == [made]
    assert info(container_name="other").result["engines"] == []
    assert made["version"]
    with pytest.raises(docker.errors.NotFound):
        docker_engine.client.containers.get("other")
