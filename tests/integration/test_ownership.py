# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container is whose, on a real Docker Engine: slots, models that change in them, and neighbours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import NAME, Images, forget
from docker_engine import DockerEngine
from module_process import ModuleProcess

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.serving import placement

STUBS = Path(__file__).resolve().parents[1] / "fleet/stubs"
# Of an engine that is named as the model is: the container's name follows the model, and its slot is the port.
UNNAMED: dict[str, Any] = {"container_name": None}


@pytest.fixture(autouse=True)
def no_leftovers(free_port: int, other_port: int) -> Iterator[None]:
    yield
    forget(str(free_port), str(other_port))


def running(engine: DockerEngine) -> dict[str, str]:
    """Return the names of all containers, with their states."""
    return {item.name: item.status for item in engine.client.containers.list(all=True)}


def served(port: int) -> str:
    """Ask an endpoint for the model that it serves."""
    return requests.get(f"http://127.0.0.1:{port}/v1/models", timeout=60).json()["data"][0]["id"]


def test_an_engine_may_be_called_as_another_ones_successor(
    docker_engine: DockerEngine, process: ModuleProcess, other_port: int
) -> None:
    """NAME ends in -next, as qwen3-coder-next does."""
    process()
    before = docker_engine.client.containers.get(NAME).id
    shorter = {"container_name": NAME.removesuffix("-next"), "port": other_port}

    made = process(**shorter)

    assert made["changed"], made
    assert running(docker_engine) == {NAME: "running", shorter["container_name"]: "running"}
    assert docker_engine.client.containers.get(NAME).id == before
    assert not process(**shorter)["changed"]
    assert process(state="absent", **shorter)["changed"]
    assert running(docker_engine) == {NAME: "running"}


# A model that changes


def test_another_model_takes_its_predecessors_place(
    docker_engine: DockerEngine, process: ModuleProcess, images: Images, free_port: int
) -> None:
    first = process(served_model_name="first", **UNNAMED)
    assert (first["engine"]["name"], first["engine"]["slot"]) == ("first", str(free_port))
    second = {"served_model_name": "org/second", "model": "org/second", "image": images.tag("1"), **UNNAMED}

    predicted = process(check=True, **second)
    done = process(**second)

    assert done["steps"] == predicted["steps"] == [plan.PULL_IMAGE, plan.REPLACE, plan.WAIT]
    assert done["diff"] == predicted["diff"]
    assert running(docker_engine) == {"org-second": "running"}
    assert served(free_port) == "org/second"
    said = process.said()
    assert said.index("stopping the old container; it is kept until the new one is ready") > next(
        place for place, line in enumerate(said) if line.startswith("pulling")
    )
    assert not process(**second)["changed"]


def test_a_model_that_does_not_come_up_gives_its_place_back(
    docker_engine: DockerEngine, process: ModuleProcess, free_port: int
) -> None:
    process(served_model_name="first", **UNNAMED)
    before = docker_engine.client.containers.get("first").id

    failed = process(served_model_name="second", extra_args=["--no-such-flag"], **UNNAMED)

    assert "was put back and serves again" in failed["msg"]
    assert running(docker_engine) == {"first": "running"}
    assert docker_engine.client.containers.get("first").id == before
    assert served(free_port) == "first"
    assert not process(served_model_name="first", **UNNAMED)["changed"]


def test_another_engine_takes_the_same_place(
    docker_engine: DockerEngine, process: ModuleProcess, fake_vllm: Callable[..., str]
) -> None:
    process()
    other = {"engine": "vllm", "image": fake_vllm("one"), "model": "/models/local", "profile": "cpu"}
    assert process(**other)["steps"] == [plan.REPLACE, plan.WAIT]
    assert running(docker_engine) == {NAME: "running"}
    assert process(**other)["engine"]["engine"] == "vllm"


def test_a_new_name_takes_no_restart(docker_engine: DockerEngine, process: ModuleProcess, free_port: int) -> None:
    made = process(slot=NAME)["engine"]["container"]
    renamed = {"container_name": f"{NAME}-renamed"}
    for options in ({"slot": NAME, **renamed}, {"slot": f"{NAME}-moved", **renamed}):
        predicted = process(check=True, **options)
        done = process(**options)
        assert done["steps"] == predicted["steps"] == [plan.UPDATE_CONTAINER]
        assert done["diff"] == predicted["diff"]
        assert done["engine"]["container"] == made
        assert not process(**options)["changed"]
        assert running(docker_engine) == {f"{NAME}-renamed": "running"}
    assert process(state="absent", slot=f"{NAME}-moved")["changed"]
    assert running(docker_engine) == {}


def test_removal_means_the_engine_and_not_what_serves_at_its_port(
    docker_engine: DockerEngine, process: ModuleProcess
) -> None:
    process(served_model_name="first", **UNNAMED)

    left = process(served_model_name="second", state="absent", **UNNAMED)

    assert not left["changed"]
    assert "has first, and not second: it was left as it is" in left["warnings"][0]
    assert running(docker_engine) == {"first": "running"}
    assert process(served_model_name="first", state="absent", **UNNAMED)["changed"]
    assert running(docker_engine) == {}


# Several engines


def instances(process: ModuleProcess, *entries: dict[str, Any], check: bool = False, **host: Any) -> dict[str, Any]:
    return process(check=check, instances=list(entries), container_name=None, **host)


def test_two_engines_exchange_their_models(
    docker_engine: DockerEngine, process: ModuleProcess, free_port: int, other_port: int
) -> None:
    def entries(first: str, second: str) -> list[dict[str, Any]]:
        return [
            {"served_model_name": first, "port": free_port},
            {"served_model_name": second, "port": other_port},
        ]

    instances(process, *entries("one", "two"))
    done = instances(process, *entries("two", "one"))

    assert done["changed"], done
    assert running(docker_engine) == {"one": "running", "two": "running"}
    assert (served(free_port), served(other_port)) == ("two", "one")
    assert [part["engine"]["name"] for part in done["instances"]] == ["two", "one"]
    again = instances(process, *entries("two", "one"))
    assert not again["changed"], again["steps"]
    assert set(running(docker_engine)) == {"one", "two"}


def test_one_of_two_engines_changes_its_model(
    docker_engine: DockerEngine, process: ModuleProcess, free_port: int, other_port: int
) -> None:
    first = {"container_name": f"{NAME}-1", "port": free_port}
    second = {"container_name": f"{NAME}-2", "port": other_port}
    instances(process, first, second)
    before = docker_engine.client.containers.get(f"{NAME}-1").id

    instances(process, first, {**second, "served_model_name": "other"})

    assert docker_engine.client.containers.get(f"{NAME}-1").id == before
    assert (served(free_port), served(other_port)) == ("qwen3-coder-next", "other")


@pytest.fixture
def eight_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Eight GPUs, as a stub of the driver tells them."""
    (tmp_path / "gpus").write_text("h100x8")
    monkeypatch.setenv("STUB_GPUS", str(tmp_path / "gpus"))
    monkeypatch.setenv("PATH", f"{STUBS}:{os.environ['PATH']}")
    placement.query.cache_clear()
    yield
    placement.query.cache_clear()


@pytest.mark.usefixtures("eight_gpus")
def test_gpus_are_compared_as_gpus(
    docker_engine: DockerEngine, process: ModuleProcess, fake_vllm: Callable[..., str], other_port: int
) -> None:
    uuids = [gpu["uuid"] for gpu in placement.query().gpus]
    process.defaults |= {"engine": "vllm", "image": fake_vllm("gpus"), "model": "/models/local", "prefetch": False}
    made = process(profile="h100x4")
    assert made["engine"]["gpus"] == ["0", "1", "2", "3"], "a profile of four takes four of eight"
    before = docker_engine.client.containers.get(NAME).id

    same = process(gpus=uuids[:4], profile="h100x4", tensor_parallel_size=4)

    assert (same["changed"], same["steps"]) == (False, []), "the same cards by another name are no difference"
    other = {"container_name": f"{NAME}-2", "port": other_port, "tensor_parallel_size": 1}
    for check in (True, False):
        refused = process(check=check, gpus=[uuids[3]], **other)
        assert f"{NAME} runs on GPUs (devices 0, 1, 2, 3) that {NAME}-2 would have too" in refused["msg"]
    assert docker_engine.client.containers.get(NAME).id == before
    both = instances(
        process,
        {"container_name": f"{NAME}-3", "gpus": ["5"], "port": other_port + 1},
        {"container_name": f"{NAME}-4", "gpus": [uuids[5]], "port": other_port + 2},
        tensor_parallel_size=1,
    )
    assert f"{NAME}-3 and {NAME}-4 would both have GPUs" in both["msg"]
    assert process(gpus=[uuids[4]], **other)["changed"]
    assert running(docker_engine) == {NAME: "running", f"{NAME}-2": "running"}


@pytest.mark.usefixtures("eight_gpus")
def test_engines_that_change_gpus_wait_for_each_other(
    docker_engine: DockerEngine, process: ModuleProcess, fake_vllm: Callable[..., str], free_port: int, other_port: int
) -> None:
    process.defaults |= {"engine": "vllm", "image": fake_vllm("gpus"), "model": "/models/local", "prefetch": False}

    def entries(first: list[str], second: list[str]) -> list[dict[str, Any]]:
        return [
            {"container_name": f"{NAME}-1", "gpus": first, "port": free_port, "tensor_parallel_size": len(first)},
            {"container_name": f"{NAME}-2", "gpus": second, "port": other_port, "tensor_parallel_size": len(second)},
        ]

    instances(process, *entries(["0", "1"], ["2", "3"]))
    # The second leaves what the first is to have.
    grown = instances(process, *entries(["0", "1", "2"], ["3"]))
    assert grown.get("changed"), grown
    before = {item.name: item.id for item in docker_engine.client.containers.list()}
    refused = instances(process, *entries(["3"], ["0"]))
    assert "would have what the other has now, and no engine was touched" in refused["msg"]
    assert {item.name: item.id for item in docker_engine.client.containers.list()} == before


# Engines that are not wanted any more


def test_engines_that_are_not_wanted_any_more_are_told_and_go_on_request(
    docker_engine: DockerEngine, process: ModuleProcess, other_port: int
) -> None:
    other = {"container_name": f"{NAME}-other", "port": other_port}
    process(**other)

    told = process()

    assert f"{NAME}-other (slot {NAME}-other, running)" in told["warnings"][-1]
    assert running(docker_engine) == {NAME: "running", f"{NAME}-other": "running"}
    again = process()
    assert (again["changed"], len(again["warnings"])) == (False, 1)
    # One that is stopped is there too.
    process(state="stopped", **other)
    for check in (True, False):
        pruned = process(check=check, prune=True)
        assert pruned["steps"] == [f"remove {NAME}-other, which is not wanted any more"]
    assert running(docker_engine) == {NAME: "running"}
    assert process(prune=True)["changed"] is False
    assert process()["warnings"] == []


def test_an_engine_that_is_not_wanted_any_more_makes_room(
    docker_engine: DockerEngine, process: ModuleProcess, free_port: int
) -> None:
    """It has the port that is wanted: it goes only when the new one serves, and serves again where that fails."""
    other = {"container_name": f"{NAME}-other"}
    process(**other)
    before = docker_engine.client.containers.get(f"{NAME}-other").id
    assert f"or, to have it take the place of {NAME}-other, set slot to {NAME}-other" in process()["msg"]

    failed = process(prune=True, extra_args=["--no-such-flag"])

    assert f"{NAME}-other, which made room for it, was started again" in failed["msg"]
    assert running(docker_engine) == {f"{NAME}-other": "running"}
    assert docker_engine.client.containers.get(f"{NAME}-other").id == before
    done = process(prune=True)
    assert done["ready"], done
    assert running(docker_engine) == {NAME: "running"}
    assert served(free_port) == "qwen3-coder-next"


# What an earlier version made


def _as_before_slots(engine: DockerEngine, name: str, started: bool = True, called: str = "") -> str:
    """Make a container of ours again, with the labels that an earlier version gave it; return its id."""
    api = engine.client.api
    found = api.inspect_container(name)
    labels = {
        key: value
        for key, value in found["Config"]["Labels"].items()
        if key.rpartition(".")[2] not in ("slot", "container-name", "replaces")
    }
    api.remove_container(name, force=True)
    host = {key: value for key, value in found["HostConfig"].items() if value}
    config = {**{key: found["Config"][key] for key in ("Image", "Cmd", "Env", "ExposedPorts")}, "Labels": labels}
    made = api.create_container_from_config({**config, "HostConfig": host}, called or name)["Id"]
    if started:
        api.start(made)
    return made


@pytest.mark.parametrize("options", [{}, UNNAMED])
def test_an_engine_of_an_earlier_version_is_left_alone_and_its_model_changed(
    docker_engine: DockerEngine, process: ModuleProcess, options: dict[str, Any], free_port: int
) -> None:
    first, second = ({**options, "served_model_name": name} for name in ("first", "second"))
    name = process(**first)["engine"]["name"]
    before = _as_before_slots(docker_engine, name)

    kept = process(**first)

    assert not kept["changed"], kept["diff"]
    assert docker_engine.client.containers.get(name).id == before
    failed = process(**second, extra_args=["--no-such-flag"])
    assert "was put back and serves again" in failed["msg"]
    assert docker_engine.client.containers.get(name).id == before
    assert process(**second)["steps"] == [plan.REPLACE, plan.WAIT]
    assert served(free_port) == "second"
    assert len(running(docker_engine)) == 1


def test_what_an_interrupted_run_of_an_earlier_version_left_is_finished(
    docker_engine: DockerEngine, process: ModuleProcess
) -> None:
    """Cut off before each of its calls: stop, rename, rename, start, remove."""
    api = docker_engine.client.api
    changed = {"extra_args": ["--max-model-len", "9000"]}
    for cut in ("stop", "rename", "second rename", "start", "remove"):
        process()
        old = _as_before_slots(docker_engine, NAME)
        image = api.inspect_container(old)
        api.rename(old, f"{NAME}-old")
        # The successor, as that version made it.
        labels, host = image["Config"]["Labels"], {key: value for key, value in image["HostConfig"].items() if value}
        config = {**{key: image["Config"][key] for key in ("Image", "Env", "ExposedPorts")}, "Labels": labels}
        command = [*image["Config"]["Cmd"], "--max-model-len", "9000"]
        new = api.create_container_from_config({**config, "Cmd": command, "HostConfig": host}, f"{NAME}-next")["Id"]
        api.rename(old, NAME)
        if cut != "stop":
            api.stop(old, timeout=5)
        if cut not in ("stop", "rename"):
            api.rename(old, f"{NAME}-previous")
        if cut not in ("stop", "rename", "second rename"):
            api.rename(new, NAME)
        if cut == "remove":
            api.start(new)

        done = process(**changed)

        assert "failed" not in done, (cut, done["msg"])
        assert running(docker_engine) == {NAME: "running"}, cut
        assert "9000" in done["engine"]["argv"], cut
        assert not process(**changed)["changed"], cut
        process(state="absent")
