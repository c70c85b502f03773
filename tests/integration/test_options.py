# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options on a real Docker Engine: each reaches the container, and a second run, however it is spelt, does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import NAME
from docker_engine import DockerEngine
from module_process import ModuleProcess
from test_transitions import CREATE, REPLACE, UPDATE, identity, inspect, settle

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan


@pytest.fixture
def proxy(docker_engine: DockerEngine) -> Iterator[str]:
    network = docker_engine.client.networks.create("proxy")
    yield "proxy"
    network.reload()
    for container in network.containers:
        network.disconnect(container, force=True)
    network.remove()


def test_every_option_reaches_the_container_and_no_spelling_is_a_difference(
    docker_engine: DockerEngine, process: ModuleProcess, tmp_path: Path, proxy: str
) -> None:
    (tmp_path / "hf").mkdir()
    process(state="prefetched")
    plain: dict[str, Any] = {
        "networks": [proxy],
        "devices": ["/dev/zero:/dev/zero2:rm"],
        "cap_add": ["IPC_LOCK", "SYS_PTRACE"],
        "security_opt": ["no-new-privileges:true"],
        "labels": {"team": "search"},
        "ulimits": {"nofile": 4096},
        "cpuset_cpus": "0-1",
        "mounts": [{"source": f"{tmp_path}/hf", "target": "/data/hf"}],
        "bind_address": "127.0.0.1",
        "user": "0",
        "log": {"driver": "json-file", "options": {"max-size": "1m"}},
    }
    settle(process, CREATE, **plain)
    before = identity(docker_engine)
    found = inspect(docker_engine)
    host = found["HostConfig"]
    assert sorted(found["NetworkSettings"]["Networks"]) == ["bridge", proxy]
    assert host["Devices"] == [{"PathOnHost": "/dev/zero", "PathInContainer": "/dev/zero2", "CgroupPermissions": "rm"}]
    assert host["CapAdd"] == ["IPC_LOCK", "SYS_PTRACE"]
    assert "no-new-privileges=true" in host["SecurityOpt"]
    assert found["Config"]["Labels"]["team"] == "search"
    assert found["Config"]["User"] == "0"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m"}}

    for other in (
        {"devices": ["//dev/zero:/dev/./zero2:mr"]},
        {"cap_add": ["cap_sys_ptrace", "CAP_IPC_LOCK"]},
        {"security_opt": ["no-new-privileges", "label=disable"]},
        {"ulimits": {"NOFILE": "4096"}},
        {"cpuset_cpus": "1,0"},
        {"mounts": [{"source": f"{tmp_path}//hf/", "target": "/data/./hf/"}]},
        {"bind_address": "::ffff:127.0.0.1"},
        {"user": "root:root"},
        # What runs keeps the log that it has.
        {"log": None},
    ):
        result = process(**{**plain, **other})
        assert not result["changed"], (other, result["diff"])
    assert identity(docker_engine) == before

    settle(process, UPDATE, **{**plain, "networks": []})
    assert sorted(inspect(docker_engine)["NetworkSettings"]["Networks"]) == ["bridge"]
    assert identity(docker_engine) == before
    for other in ({"devices": []}, {"cap_add": []}, {"security_opt": []}, {"labels": {}}, {"user": "65534"}):
        check = process(check=True, **{**plain, "networks": [], **other})
        assert check["steps"] == REPLACE, (other, check["steps"])


def test_a_declared_network_comes_with_a_new_container(
    docker_engine: DockerEngine, process: ModuleProcess, proxy: str
) -> None:
    process()
    before = identity(docker_engine)
    settle(process, UPDATE, networks=[proxy])
    assert identity(docker_engine) == before
    settle(process, REPLACE, networks=[proxy], environment={"A": "2"})
    assert sorted(inspect(docker_engine)["NetworkSettings"]["Networks"]) == ["bridge", proxy]
    refused = process(networks=["nowhere"], environment={"A": "2"})
    assert refused["failed"]
    assert "docker network create nowhere" in refused["msg"]


def test_a_network_that_was_attached_by_hand_comes_with_a_new_container(
    docker_engine: DockerEngine, process: ModuleProcess, proxy: str
) -> None:
    process()
    docker_engine.client.networks.get(proxy).connect(NAME)
    settle(process, REPLACE, environment={"A": "2"})
    assert sorted(inspect(docker_engine)["NetworkSettings"]["Networks"]) == ["bridge", proxy]
    # Declared and not any more, it is the option's to take back.
    settle(process, UPDATE, networks=[proxy], environment={"A": "2"})
    settle(process, REPLACE, environment={"A": "3"})
    assert sorted(inspect(docker_engine)["NetworkSettings"]["Networks"]) == ["bridge"]


def test_a_model_is_served_by_each_of_its_names(
    docker_engine: DockerEngine, process: ModuleProcess, fake_vllm: Callable[..., str]
) -> None:
    wanted = {
        "engine": "vllm",
        "image": fake_vllm("names"),
        "model": "/weights",
        "profile": "cpu",
        "served_model_aliases": ["coder", "default"],
    }
    process(**wanted)
    before = identity(docker_engine)
    url = f"http://127.0.0.1:{process.defaults['port']}/v1"
    listed = [item["id"] for item in requests.get(f"{url}/models", timeout=60).json()["data"]]
    assert listed == ["qwen3-coder-next", "coder", "default"]
    for name, status in (("coder", 200), ("default", 200), ("qwen3-coder-next", 200), ("other", 404)):
        body = {"model": name, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        assert requests.post(f"{url}/chat/completions", json=body, timeout=60).status_code == status, name
    settle(process, [], **wanted)
    assert identity(docker_engine) == before


def test_a_new_container_s_log_is_rotated(docker_engine: DockerEngine, process: ModuleProcess) -> None:
    process()
    assert inspect(docker_engine)["HostConfig"]["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-file": "5", "max-size": "100m"},
    }


def test_a_key_is_replaced_while_it_is_in_use(docker_engine: DockerEngine, process: ModuleProcess) -> None:
    url = f"http://127.0.0.1:{process.defaults['port']}/v1/models"

    def let_in() -> list[str]:
        return [
            key
            for key in ("first", "second", "third")
            if requests.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=60).status_code == 200
        ]

    process(api_key="first")
    before = identity(docker_engine)
    done = settle(process, [plan.REWRITE_SECRETS], api_key="second", api_keys=["first"])
    assert let_in() == ["first", "second"]
    assert not any(f"'{key}'" in str(done) for key in ("first", "second"))
    settle(process, [plan.REWRITE_SECRETS], api_key="second")
    assert let_in() == ["second"]
    assert identity(docker_engine) == before
    log = docker_engine.client.containers.get(NAME).logs().decode()
    assert "second" not in log
