# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a difference, and above all what does not."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import (
    RECREATE,
    REWRITE,
    UPDATE,
    compare,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL, HostSize, observe
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    ALL_GPUS,
    ContainerSpec,
    Gpus,
    Mount,
    Port,
    RestartPolicy,
    Ulimit,
)

WANTED = ContainerSpec(
    name="engine",
    image="vllm/vllm-openai:latest",
    command=("--port", "8000"),
    environment={"HF_HOME": "/root/.cache/huggingface", "A": "1"},
    mounts=(Mount("/root/.cache/huggingface", "/cache"), Mount("/data", "/srv/data", True)),
    ports=(Port(8000, "127.0.0.1", 8000),),
    gpus=ALL_GPUS,
    ipc_mode="host",
    ulimits=(Ulimit("memlock", -1, -1), Ulimit("nofile", 1024, 2048)),
    restart_policy=RestartPolicy("unless-stopped"),
    labels={LABEL: "vllm"},
)

# The daemon's answers, cut down to what is read; API 1.41.
IMAGE = {
    "Id": "sha256:aa",
    "Config": {
        "Env": ["PATH=/usr/bin", "CUDA_VERSION=13.0"],
        "Entrypoint": ["vllm", "serve"],
        "Labels": {"maintainer": "someone"},
        "Volumes": {"/scratch": {}},
    },
}
INSPECT: dict[str, Any] = {
    "Id": "c0ffee",
    "Name": "/engine",
    "Image": "sha256:aa",
    "Created": "2026-11-23T15:00:00Z",
    "RestartCount": 0,
    "State": {"Status": "running", "ExitCode": 0, "OOMKilled": False, "Error": "", "StartedAt": "2026-11-23T15:00:01Z"},
    "Config": {
        "Image": "vllm/vllm-openai:latest",
        "Cmd": ["--port", "8000"],
        "Entrypoint": ["vllm", "serve"],
        "Env": ["A=1", "HF_HOME=/root/.cache/huggingface", "PATH=/usr/bin", "CUDA_VERSION=13.0"],
        "Labels": {"maintainer": "someone", LABEL: "vllm"},
    },
    "HostConfig": {
        "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]},
        "DeviceRequests": [{"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}],
        "IpcMode": "host",
        "ShmSize": 67108864,
        "NetworkMode": "bridge",
        "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}, {"Name": "memlock", "Soft": -1, "Hard": -1}],
    },
    "NetworkSettings": {"Networks": {"bridge": {}}},
    "Mounts": [
        {"Type": "bind", "Source": "/srv/data", "Destination": "/data", "RW": False},
        {"Type": "bind", "Source": "/cache", "Destination": "/root/.cache/huggingface", "RW": True},
        {"Type": "volume", "Name": "f00", "Source": "/var/lib/docker/f00", "Destination": "/scratch", "RW": True},
    ],
}


def changed_inspect(path: str, value: object) -> dict[str, Any]:
    inspect = copy.deepcopy(INSPECT)
    place: Any = inspect
    *parents, last = path.split(".")
    for key in parents:
        place = place[key]
    place[last] = value
    return inspect


def fields(wanted: ContainerSpec, inspect: dict[str, Any], **more: Any) -> dict[str, str]:
    changes = compare(wanted, observe(inspect, IMAGE), more.get("image_id"), more.get("secrets", {}))
    return {change.field: change.how for change in changes}


def test_the_same_container_has_no_difference() -> None:
    assert fields(WANTED, INSPECT) == {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("HostConfig.NetworkMode", "default"),
        ("HostConfig.ShmSize", 0),
        ("HostConfig.RestartPolicy", {"Name": "unless-stopped"}),
        ("Config.Env", ["CUDA_VERSION=13.0", "HF_HOME=/root/.cache/huggingface", "A=1", "PATH=/usr/bin"]),
        ("Config.Labels", {LABEL: "vllm", "inference.fleet.ulimits": "memlock,nofile", "maintainer": "someone"}),
        (
            "HostConfig.DeviceRequests",
            [{"Driver": "nvidia", "Count": -1, "DeviceIDs": [], "Capabilities": [["utility", "gpu"]], "Options": None}],
        ),
    ],
)
def test_what_the_daemon_makes_of_it_is_no_difference(path: str, value: object) -> None:
    assert fields(WANTED, changed_inspect(path, value)) == {}


@pytest.mark.parametrize(
    ("request_", "stored"),
    [
        (Gpus(count=2), {"Driver": "", "Count": 2, "DeviceIDs": None, "Capabilities": [["gpu"]]}),
        (Gpus(device_ids=("0", "3")), {"Driver": "", "Count": 0, "DeviceIDs": ["3", "0"], "Capabilities": [["gpu"]]}),
        (Gpus(device_ids=("0",)), {"Driver": "nvidia", "DeviceIDs": ["0"], "Capabilities": [["gpu", "compute"]]}),
    ],
)
def test_every_gpu_request_is_stable(request_: Gpus, stored: dict[str, Any]) -> None:
    inspect = changed_inspect("HostConfig.DeviceRequests", [stored])
    assert fields(replace(WANTED, gpus=request_), inspect) == {}
    assert fields(WANTED, inspect) == {"gpus": RECREATE}


def test_a_wanted_value_that_the_image_sets_too_is_no_difference() -> None:
    wanted = replace(WANTED, environment={**WANTED.environment, "CUDA_VERSION": "13.0"}, entrypoint=("vllm", "serve"))
    assert fields(wanted, INSPECT) == {}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (replace(WANTED, command=("--port", "9000")), {"command": RECREATE}),
        (replace(WANTED, environment={"A": "2"}), {"environment": RECREATE}),
        (replace(WANTED, ports=(Port(8000, "0.0.0.0", 8000),)), {"ports": RECREATE}),
        (replace(WANTED, gpus=None), {"gpus": RECREATE}),
        (replace(WANTED, ipc_mode="private"), {"ipc_mode": RECREATE}),
        (replace(WANTED, shm_bytes=2**30), {"shm_bytes": RECREATE}),
        (replace(WANTED, network="host"), {"network": RECREATE, "networks": UPDATE}),
        (replace(WANTED, ulimits=()), {"ulimits": RECREATE}),
        (replace(WANTED, mounts=WANTED.mounts[:1]), {"mounts": RECREATE}),
        (replace(WANTED, entrypoint=("sh",)), {"entrypoint": RECREATE}),
        (replace(WANTED, restart_policy=RestartPolicy("always")), {"restart_policy": UPDATE}),
        (replace(WANTED, memory_bytes=2**30), {"memory_bytes": UPDATE}),
        (replace(WANTED, nano_cpus=10**9), {"nano_cpus": UPDATE}),
        (replace(WANTED, cpuset_cpus="0-3"), {"cpuset_cpus": UPDATE}),
        (replace(WANTED, labels={LABEL: "sglang"}), {"labels": UPDATE}),
    ],
)
def test_each_field_is_seen(wanted: ContainerSpec, expected: dict[str, str]) -> None:
    assert fields(wanted, INSPECT) == expected


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("HostConfig.Memory", 2**30, {"memory_bytes": UPDATE}),
        ("HostConfig.NanoCpus", 10**9, {"nano_cpus": UPDATE}),
        ("HostConfig.CpuQuota", 50_000, {"nano_cpus": UPDATE}),
        ("HostConfig.CpusetCpus", "0", {"cpuset_cpus": UPDATE}),
        ("HostConfig.CpusetMems", "1", {"cpuset_mems": UPDATE}),
        ("HostConfig.PidsLimit", 50, {"pids_limit": UPDATE}),
        ("HostConfig.CpuShares", 2, {"cpu_shares": UPDATE}),
        ("HostConfig.CpuShares", 2048, {"cpu_shares": UPDATE}),
        ("NetworkSettings.Networks", {}, {"networks": UPDATE}),
        # A proxy's, for which somebody attached the container: theirs to take off.
        ("NetworkSettings.Networks", {"bridge": {}, "other": {}}, {}),
        # The daemon widens a limit and does not take it off: the whole host is no limit.
        ("HostConfig.Memory", 16 * 2**30, {}),
        ("HostConfig.NanoCpus", 8 * 10**9, {}),
        ("HostConfig.CpusetCpus", "0-7", {}),
        ("HostConfig.CpusetMems", "0-1", {}),
        ("HostConfig.PidsLimit", -1, {}),
        ("HostConfig.CpuShares", 1024, {}),
    ],
)
def test_what_was_changed_by_hand_is_seen(path: str, value: object, expected: dict[str, str]) -> None:
    host = HostSize(memory_bytes=16 * 2**30, cpus=8, memory_nodes="0-1")
    observed = observe(changed_inspect(path, value), IMAGE, host)
    assert {change.field: change.how for change in compare(WANTED, observed, None, {})} == expected


@pytest.mark.parametrize(
    ("swap", "limits_swap", "expected"),
    [
        (2**30, True, {}),
        (2**31, True, {"swap_bytes": UPDATE}),
        (-1, True, {"swap_bytes": UPDATE}),
        # What a daemon makes of every container where the kernel does not account for swap.
        (-1, False, {}),
    ],
)
def test_swap_beside_limited_memory_is_seen_where_it_can_be_limited(
    swap: int, limits_swap: bool, expected: dict[str, str]
) -> None:
    inspect = changed_inspect("HostConfig.Memory", 2**30)
    inspect["HostConfig"]["MemorySwap"] = swap
    observed = observe(inspect, IMAGE, HostSize(16 * 2**30, 8, limits_swap=limits_swap))
    changes = compare(replace(WANTED, memory_bytes=2**30), observed, None, {})
    assert {change.field: change.how for change in changes} == expected


def test_a_wanted_limit_beyond_the_host_is_none() -> None:
    inspect = changed_inspect("HostConfig.Memory", 32 * 2**30)
    observed = observe(inspect, IMAGE, HostSize(memory_bytes=16 * 2**30, cpus=8))
    assert compare(replace(WANTED, memory_bytes=32 * 2**30), observed, None, {}) == []


def test_an_image_under_another_name_is_the_same_content() -> None:
    wanted = replace(WANTED, image="vllm/vllm-openai@sha256:bb")
    assert fields(wanted, INSPECT, image_id="sha256:aa") == {}
    assert fields(wanted, INSPECT, image_id="sha256:cc") == {"image": RECREATE}
    assert fields(wanted, INSPECT) == {"image": RECREATE}


def test_secret_files_are_compared_and_never_shown() -> None:
    wanted = replace(WANTED, secrets={"engine.yaml": "new", "hf_token": "new"}, live_secrets=frozenset({"hf_token"}))
    observed = observe(INSPECT, IMAGE)

    changes = compare(wanted, observed, None, {"engine.yaml": "old", "hf_token": "old"})

    assert [(change.field, change.how) for change in changes] == [
        ("file engine.yaml", RECREATE),
        ("file hf_token", REWRITE),
    ]
    assert all(value not in repr(changes) for value in ("'new'", "'old'"))
    assert compare(wanted, observed, None, dict(wanted.secrets)) == []


def test_a_first_secret_needs_the_directory_s_mount() -> None:
    wanted = replace(WANTED, secrets={"hf_token": "new"}, live_secrets=frozenset({"hf_token"}))
    assert fields(wanted, INSPECT) == {"file hf_token": RECREATE}


def test_a_secret_looking_variable_is_hidden_in_the_diff() -> None:
    wanted = replace(WANTED, environment={**WANTED.environment, "MY_TOKEN": "planted"})
    changes = compare(wanted, observe(INSPECT, IMAGE), None, {})
    assert "planted" not in repr(changes)
