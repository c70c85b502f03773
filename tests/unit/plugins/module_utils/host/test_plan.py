# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host role does about a host, by what the host is and what the user allows."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import cuda, gpu_health
from ansible_collections.inference.fleet.plugins.module_utils.host.checks import checks
from ansible_collections.inference.fleet.plugins.module_utils.host.plan import Wishes, plan

UBUNTU = {"id": "ubuntu", "version_id": "24.04", "pretty_name": "Ubuntu 24.04.3 LTS"}
DEBIAN = {"id": "debian", "version_id": "12", "pretty_name": "Debian GNU/Linux 12 (bookworm)"}
H100, B200, V100 = "0x2330", "0x2901", "0x1db1"
TOOLKIT = {"uris": "https://example.com/toolkit", "suites": "/", "key": "https://example.com/key"}
KERNEL = "6.8.0-87-generic"
GPU = {**gpu_health.unknown(), "index": 0, "name": "NVIDIA H100 80GB HBM3", "persistence_mode": True}
BARE: dict[str, Any] = {
    "os": UBUNTU,
    "kernel": KERNEL,
    "kernels": [KERNEL],
    "kernel_flavours": ["generic"],
    "secure_boot": False,
    "architecture": "x86_64",
    "python": "3.12.3",
    "python_executable": "/usr/bin/python3",
    "python_from_system": True,
    "privileged": True,
    "clock_synchronized": True,
    "gpus": [],
    "gpus_on_bus": 2,
    "gpus_error": None,
    "gpus_warnings": [],
    "pci_gpus": [H100, H100],
    "nvswitches": 0,
    "switch_bridges": 0,
    "fabric_manager_installed": False,
    "driver_installed": False,
    "driver_version": None,
    "cuda": None,
    "due": {"reboot": None, "docker_restart": None},
    "docker": {
        "installed": False,
        "running": False,
        "version": None,
        "api_version": None,
        "containers_running": None,
        "live_restore": None,
        "sdk_version": None,
        "config_error": None,
        "error": "its socket does not exist",
    },
    "nvidia_container_toolkit": {"installed": False, "configured": False, "hook": False},
    "disk": [{"path": "/var/lib/docker", "free_gib": 400.0, "total_gib": 500.0}],
}
DOCKER = {
    "docker": {
        "installed": True,
        "running": True,
        "version": "28.3.3",
        "api_version": "1.51",
        "containers_running": 0,
        "live_restore": False,
        "sdk_version": "5.0.3",
        "error": None,
    }
}
DRIVER = {
    "gpus": [GPU, {**GPU, "index": 1}],
    "driver_installed": True,
    "driver_version": "570.86.15",
    "cuda": cuda.read(0, '{"code": 0, "devices": 2}', ""),
}
READY = {**DOCKER, **DRIVER, "nvidia_container_toolkit": {"installed": True, "configured": True, "hook": True}}
HELD = {"processes": [{"pid": 7, "name": "vllm", "memory_mib": 9, "container": "c0ffee" * 8}]}
UNJOINED = {"fabric_state": "In Progress", "fabric_status": None}
NOT_READY = cuda.read(0, '{"code": 802, "devices": 0}', "")


def made(changes: dict[str, Any], **wishes: Any) -> dict[str, Any]:
    """Return the plan for the bare host with changes; a change of a dict is merged into it."""
    host = deepcopy(BARE)
    for name, value in changes.items():
        host[name] = {**host[name], **value} if isinstance(value, dict) and host[name] else value
    return plan(host, checks(host), Wishes(**{"toolkit_repository": TOOLKIT, **wishes}))


def test_a_host_that_has_everything_is_left_alone() -> None:
    found = made(READY)

    assert (found["steps"], found["beyond"], found["blocked"]) == ([], [], [])


def test_a_bare_host_gets_everything_in_order() -> None:
    found = made({})

    assert (found["beyond"], found["blocked"]) == ([], [])
    assert found["steps"] == [
        "add the package source nvidia-container-toolkit (https://example.com/toolkit)",
        f"install linux-headers-{KERNEL}, linux-headers-generic, nvidia-headless-580-server-open, "
        "nvidia-utils-580-server, docker.io, iptables, python3-docker, nvidia-container-toolkit",
        "load the NVIDIA driver, or reboot for it",
        "add the runtime nvidia to Docker's daemon.json",
        "restart Docker Engine",
    ]


def test_a_bare_host_without_gpus_gets_docker_only() -> None:
    found = made({"gpus_on_bus": 0, "pci_gpus": []})

    assert found["steps"] == ["install docker.io, iptables, python3-docker", "start Docker Engine"]
    assert found["extras"] == ["docker-cli"]
    # Another's packages have a command of their own, which it would be in the way of.
    assert made({"gpus_on_bus": 0, "pci_gpus": []}, docker_packages=["docker-ce"])["extras"] == []


@pytest.mark.parametrize(
    ("changes", "wishes", "pins", "packages"),
    [
        ({}, {}, [], ["nvidia-headless-580-server-open", "nvidia-utils-580-server"]),
        ({}, {"driver_modules": "proprietary"}, [], ["nvidia-headless-580-server", "nvidia-utils-580-server"]),
        ({"pci_gpus": [V100]}, {}, [], ["nvidia-headless-580-server", "nvidia-utils-580-server"]),
        ({"pci_gpus": [B200]}, {}, [], ["nvidia-headless-580-server-open", "nvidia-utils-580-server"]),
        (
            {},
            {"driver_version": "580.95.05"},
            [],
            ["nvidia-headless-580-server-open=580.95.05-*", "nvidia-utils-580-server=580.95.05-*"],
        ),
        (
            {"nvswitches": 4},
            {"driver_version": "570"},
            [],
            ["nvidia-headless-570-server-open", "nvidia-utils-570-server", "nvidia-fabricmanager-570"],
        ),
        (
            {"os": DEBIAN},
            {},
            ["nvidia-driver-pinning-580"],
            ["nvidia-driver-cuda", "nvidia-kernel-open-dkms"],
        ),
        (
            {"os": DEBIAN, "switch_bridges": 2, "pci_gpus": [B200]},
            {"driver_version": "580.95.05"},
            ["nvidia-driver-pinning-580.95.05"],
            [
                "nvidia-driver-cuda",
                "nvidia-kernel-open-dkms",
                "nvidia-fabricmanager=580.95.05-*",
                "nvlsm",
            ],
        ),
    ],
)
def test_the_driver_s_packages(
    changes: dict[str, Any], wishes: dict[str, Any], pins: list[str], packages: list[str]
) -> None:
    found = made({**DOCKER, **changes}, toolkit_packages=[], **wishes)

    assert found["pins"] == pins
    assert found["packages"] == [f"linux-headers-{KERNEL}", "linux-headers-generic", *packages]
    assert found["fabric_manager"] == any("fabricmanager" in package for package in packages)


def test_every_kernel_gets_its_headers() -> None:
    kernels = ["6.8.0-9-generic", KERNEL, "6.14.0-5-generic"]
    found = made({**DOCKER, "kernels": kernels, "kernel_flavours": ["generic-hwe-24.04"]})

    assert found["packages"][:3] == [
        f"linux-headers-{KERNEL}",
        "linux-headers-6.14.0-5-generic",
        "linux-headers-generic-hwe-24.04",
    ]
    # Of an older one the archive may not have them any more.
    assert found["extras"] == ["linux-headers-6.8.0-9-generic"]


def test_with_secure_boot_ubuntu_s_signed_modules_are_taken() -> None:
    found = made({**DOCKER, "secure_boot": True}, toolkit_packages=[])

    assert found["packages"] == [
        f"linux-modules-nvidia-580-server-open-{KERNEL}",
        "linux-modules-nvidia-580-server-open-generic",
        "nvidia-headless-no-dkms-580-server-open",
        "nvidia-utils-580-server",
    ]
    assert found["extras"] == []


@pytest.mark.parametrize(
    ("changes", "wishes", "said"),
    [
        ({"os": DEBIAN}, {}, "Secure Boot, which takes signed ones only"),
        ({}, {"driver_version": "580.95.05"}, 'Set host_nvidia_driver_version: "580"'),
    ],
)
def test_what_secure_boot_forbids_is_said_first(changes: dict[str, Any], wishes: dict[str, Any], said: str) -> None:
    found = made({**DOCKER, "secure_boot": True, **changes}, **wishes)

    assert said in found["blocked"][0]
    # Whoever enrolled a key names the packages.
    assert made({**DOCKER, "secure_boot": True, **changes}, driver_packages=["own"], **wishes)["blocked"] == []


def test_the_user_s_own_packages_and_repository_come_before_what_is_derived() -> None:
    found = made(
        {**DOCKER, "os": DEBIAN},
        toolkit_packages=[],
        toolkit_repository={},
        driver_packages=["own-driver"],
        driver_repository={"uris": "http://mirror/"},
    )

    assert found["packages"] == ["own-driver"]
    assert found["repositories"] == [{"name": "nvidia-driver", "uris": "http://mirror/"}]


def test_one_mirror_for_both_is_one_package_source() -> None:
    found = made({"os": DEBIAN}, driver_repository=TOOLKIT)

    assert [item["name"] for item in found["repositories"]] == ["nvidia-driver"]


@pytest.mark.parametrize(
    ("version", "key"), [("12", "debian12/x86_64/3bf863cc.pub"), ("13", "debian13/x86_64/8793F200.pub")]
)
def test_debian_has_its_driver_from_nvidia(version: str, key: str) -> None:
    found = made({**DOCKER, "os": {**DEBIAN, "version_id": version}})

    assert found["repositories"][0]["name"] == "nvidia-driver"
    assert found["repositories"][0]["key"].endswith(key)


@pytest.mark.parametrize(
    ("changes", "wishes", "said"),
    [
        ({"pci_gpus": [V100, B200]}, {}, "found GPUs (0x1db1, 0x2901) of which some have only the open ones"),
        ({"pci_gpus": [B200]}, {"driver_modules": "proprietary"}, "wanted the proprietary kernel modules"),
        ({"os": {**DEBIAN, "version_id": None}}, {}, "Set host_nvidia_driver_repository"),
        (
            {**READY, "docker": {**DOCKER["docker"], "config_error": "line 3"}, "due": {"docker_restart": "why"}},
            {},
            "Docker: wanted to restart it, found: line 3",
        ),
        (
            {**READY, "docker": {**DOCKER["docker"], "containers_running": 2}, "due": {"docker_restart": "why"}},
            {},
            "found 2 running containers, which would end",
        ),
        (
            {**READY, "gpus": [{**GPU, **HELD, **UNJOINED}], "nvswitches": 4},
            {},
            "wanted to install nvidia-fabricmanager-570=570.86.15-*, found containers that use GPUs (c0ffeec0ffee)",
        ),
    ],
)
def test_what_may_not_be_done_is_said_before_anything_is(
    changes: dict[str, Any], wishes: dict[str, Any], said: str
) -> None:
    assert any(said in sentence for sentence in made(changes, **wishes)["blocked"])


@pytest.mark.parametrize(
    ("changes", "wishes"),
    [({"containers_running": 2}, {"restart_docker": True}), ({"containers_running": 2, "live_restore": True}, {})],
)
def test_docker_is_restarted_where_containers_survive_or_may_end(
    changes: dict[str, Any], wishes: dict[str, Any]
) -> None:
    found = made({**READY, "docker": {**DOCKER["docker"], **changes}, "due": {"docker_restart": "why"}}, **wishes)

    assert (found["blocked"], found["steps"]) == ([], ["restart Docker Engine"])


def test_a_toolkit_that_docker_cannot_use_is_configured() -> None:
    found = made({**READY, "nvidia_container_toolkit": {"installed": True, "configured": False, "hook": False}})

    assert found["steps"] == ["add the runtime nvidia to Docker's daemon.json", "restart Docker Engine"]


def test_the_hook_alone_gives_containers_gpus() -> None:
    assert (
        made({**READY, "nvidia_container_toolkit": {"installed": True, "configured": False, "hook": True}})["steps"]
        == []
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"gpus": [], "due": {"reboot": "the NVIDIA driver was installed"}},
        {"gpus": [], "gpus_error": "Failed to initialize NVML: Driver/library version mismatch"},
    ],
)
def test_a_reboot_that_is_due(changes: dict[str, Any]) -> None:
    found = made({**READY, **changes})

    assert found["beyond"] == []
    assert found["steps"] == [f"reboot ({found['reboot']})"]


@pytest.mark.parametrize(
    ("changes", "wishes", "names"),
    [
        # A driver that is there and does not work is not installed a second time.
        ({**READY, "gpus": [], "gpus_error": "No devices were found"}, {}, ["gpus"]),
        ({**DOCKER, "driver_installed": True, "gpus": []}, {"toolkit": False}, ["gpus", "nvidia_container_toolkit"]),
        ({**READY, "gpus": [GPU]}, {}, ["gpus"]),
        (DOCKER, {"driver": False}, ["gpus"]),
        # The fabric of a virtual machine is its host's.
        ({**READY, "gpus": [{**GPU, **UNJOINED}] * 2, "cuda": NOT_READY}, {}, ["gpu_fabric", "cuda"]),
        ({**READY, "os": {**DEBIAN, "version_id": "11"}}, {}, ["os"]),
        ({"docker": {"config_error": "line 3"}}, {}, ["docker_config"]),
        ({**READY, "docker": {**DOCKER["docker"], "version": "19.03.1"}}, {}, ["docker"]),
    ],
)
def test_what_the_role_cannot_mend(changes: dict[str, Any], wishes: dict[str, Any], names: list[str]) -> None:
    assert [check["name"] for check in made(changes, **wishes)["beyond"]] == names


def test_a_fabric_that_is_not_set_up_gets_its_manager_of_the_driver_s_version() -> None:
    unjoined = {**READY, "gpus": [{**GPU, **UNJOINED}] * 2, "cuda": NOT_READY, "nvswitches": 4}

    assert made(unjoined)["steps"] == ["install nvidia-fabricmanager-570=570.86.15-*", "start the fabric manager"]
    assert made({**unjoined, "fabric_manager_installed": True})["steps"] == ["start the fabric manager"]
    assert made(unjoined)["beyond"] == []


def test_ignored_checks_are_not_mended() -> None:
    found = made({}, ignored_checks=["gpus", "nvidia_container_toolkit", "docker_sdk"])

    assert found["steps"] == ["install docker.io, iptables", "start Docker Engine"]
