# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's part in an engine of several: its place, its share of the model, its container."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ALL_GPUS, Device, Ulimit
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import DOCKER_HOST
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import Group
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import groups
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request

HEAD = Group(0, ("a", "b"), ("10.0.0.1", "10.0.0.2"), "eth1", 29501)
MEMBER = HEAD._replace(rank=1)
ASKED = Request("vllm", "org/large", "large", "/cache", api_key="secret", group=HEAD)
EIGHT = [{"index": index, "name": "NVIDIA H100 80GB HBM3", "memory_mib": 81559} for index in range(8)]
GIVEN = {"rank": 1, "names": ["a", "b"], "addresses": ["10.0.0.1", "gpu-b"], "port": 29501}


def named(address: str) -> str:
    return {"gpu-b": "10.0.0.2"}.get(address, address)


def ip(*addresses: str) -> Any:
    """Stand in for the program ip, which lists these addresses on eth0, eth1 and so on."""
    links = [{"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}]}]
    links += [{"ifname": f"eth{n}", "addr_info": [{"local": address}]} for n, address in enumerate(addresses)]

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        assert list(argv) == ["ip", "-json", "address", "show"]
        return 0, json.dumps(links), ""

    return run


def test_the_interface_is_that_of_the_host_s_own_address() -> None:
    found = groups.group(GIVEN, DOCKER_HOST, named, ip("192.0.2.7", "10.0.0.2"))
    assert found == Group(1, ("a", "b"), ("10.0.0.1", "10.0.0.2"), "eth1", 29501, rdma=groups.RDMA.is_dir())
    assert groups.group({**GIVEN, "interface": "ib0"}, DOCKER_HOST, named, ip()).interface == "ib0"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"addresses": ["10.0.0.1", "10.0.0.9"]}, "wanted the address 10.0.0.9 of b on an interface.*10.0.0.2 on eth0"),
        ({"addresses": ["8.8.8.8", "10.0.0.2"]}, "address of a is 8.8.8.8, which is not of a private network"),
        ({"addresses": ["127.0.0.1", "10.0.0.2"]}, "address of a is 127.0.0.1, at which only that host"),
        ({"addresses": ["10.0.0.2", "10.0.0.2"]}, "a and b have the same address, 10.0.0.2"),
    ],
)
def test_hosts_that_cannot_talk_safely_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FleetError, match=said):
        groups.group({**GIVEN, **given}, DOCKER_HOST, named, ip("10.0.0.2"))


def test_a_public_address_by_the_user_s_word_and_a_shared_one() -> None:
    public = {**GIVEN, "addresses": ["8.8.8.8", "10.0.0.2"], "public": True}
    assert groups.group(public, DOCKER_HOST, named, ip("10.0.0.2")).addresses[0] == "8.8.8.8"
    shared = {**GIVEN, "addresses": ["100.64.0.1", "10.0.0.2"]}
    assert groups.group(shared, DOCKER_HOST, named, ip("10.0.0.2")).addresses[0] == "100.64.0.1"


def test_a_name_that_means_nothing_and_another_machine_s_docker() -> None:
    with pytest.raises(FleetError, match=r"'nowhere\.invalid' of a member means nothing to this host"):
        groups.group({**GIVEN, "addresses": ["nowhere.invalid", "10.0.0.2"]}, DOCKER_HOST)
    with pytest.raises(FleetError, match="wanted Docker of the host itself"):
        groups.group(GIVEN, "tcp://elsewhere:2375", named, ip())


def test_each_host_has_a_part_of_the_layers() -> None:
    head = placement(ASKED, EIGHT)
    assert (head.parallel.tensor, head.parallel.pipeline, head.parallel.nodes) == (8, 2, 2)
    assert (head.gpus, head.profile) == (ALL_GPUS, "h100x8")
    whole = placement(replace(ASKED, tensor_parallel_size=16), EIGHT)
    assert (whole.parallel.tensor, whole.parallel.pipeline, whole.gpus) == (16, 1, ALL_GPUS)
    half = placement(replace(ASKED, tensor_parallel_size=8), EIGHT)
    assert (half.parallel.gpus, half.profile) == (4, "h100x4")
    with pytest.raises(FleetError, match=r"take 5 GPUs in all .*, which 2 hosts do not divide"):
        placement(replace(ASKED, tensor_parallel_size=5), EIGHT)


def test_vllm_s_containers() -> None:
    head, member = (
        deployment(asked, placement(asked, EIGHT)).container for asked in (ASKED, replace(ASKED, group=MEMBER))
    )
    line = " ".join(head.command)
    assert line.startswith(
        "--host 127.0.0.1 --port 8000 --nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 29501"
    )
    assert "--pipeline-parallel-size 2" in line
    assert "--tensor-parallel-size 8" in line
    assert " ".join(member.command).startswith("--headless --nnodes 2 --node-rank 1 --master-addr 10.0.0.1")
    assert head.environment["VLLM_HOST_IP"] == "10.0.0.1"
    assert member.environment["VLLM_HOST_IP"] == "10.0.0.2"
    assert {member.environment[f"{name}_SOCKET_IFNAME"] for name in ("NCCL", "GLOO", "TP")} == {"eth1"}
    for one in (head, member):
        assert (one.network, one.restart_policy.name) == ("host", "no")
    # Only the head answers requests, and only it has a key to ask for.
    assert [port.container_port for port in head.ports] == [8000]
    assert member.ports == ()
    assert head.secrets
    assert not member.secrets
    assert member.labels["inference.fleet.url"] == ""
    assert json.loads(member.labels["inference.fleet.group"]) == {"rank": 1, "names": ["a", "b"]}


def test_sglang_s_arguments() -> None:
    asked = replace(ASKED, engine="sglang", group=MEMBER)
    command = " ".join(deployment(asked, placement(asked, EIGHT)).container.command)
    assert "--nnodes 2 --node-rank 1 --dist-init-addr 10.0.0.1:29501" in command
    assert deployment(asked, placement(asked, EIGHT)).container.environment["SGLANG_HOST_IP"] == "10.0.0.2"


def test_devices_for_remote_memory_access_are_passed_on() -> None:
    asked = replace(ASKED, group=HEAD._replace(rdma=True))
    container = deployment(asked, placement(asked, EIGHT)).container
    assert container.devices == (Device("/dev/infiniband"),)
    assert container.ulimits == (Ulimit("memlock", -1, -1),)
    assert container.cap_add
    assert "IPC_LOCK" in container.cap_add[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"networks": ("proxy",)}, "networks: proxy: an engine of several hosts"),
        ({"data_parallel_size": 2}, "a group holds one copy of the model"),
        ({"extra_args": ("--nnodes", "3")}, "--nnodes .set by group."),
        ({"extra_args": ("--node_rank=3",)}, "set by group"),
    ],
)
def test_what_several_hosts_cannot_have_is_refused(given: dict[str, Any], said: str) -> None:
    def deployed() -> None:
        asked = replace(ASKED, **given)
        deployment(asked, placement(asked, EIGHT))

    with pytest.raises(FleetError, match=said):
        deployed()


def test_a_host_alone_is_as_it_was() -> None:
    alone = replace(ASKED, group=None)
    container = deployment(alone, placement(alone, EIGHT)).container
    assert container.network == "bridge"
    assert "--nnodes" not in container.command
    assert "inference.fleet.group" not in container.labels
