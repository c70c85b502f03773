# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host is fit for an engine, and what is said of one that is not."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import cuda, gpu_health, gpus
from ansible_collections.inference.fleet.plugins.module_utils.host.checks import checks

GPU = {
    **gpu_health.unknown(),
    "index": 0,
    "name": "NVIDIA H100 80GB HBM3",
    "memory_mib": 81559,
    "persistence_mode": True,
    "fabric_state": "Completed",
    "fabric_status": "Success",
    "recovery_action": "None",
}
HOST: dict[str, Any] = {
    "os": {"id": "ubuntu", "version_id": "24.04", "pretty_name": "Ubuntu 24.04.3 LTS"},
    "python": "3.12.3",
    "python_executable": "/usr/bin/python3",
    "python_from_system": True,
    "privileged": True,
    "clock_synchronized": True,
    "gpus": [GPU] * 4,
    "gpus_on_bus": 4,
    "gpus_error": None,
    "gpus_warnings": [],
    "driver_version": "570.86.15",
    "cuda": cuda.read(0, '{"code": 0, "devices": 4}', ""),
    "due": {"reboot": None, "docker_restart": None},
    "docker": {
        "installed": True,
        "running": True,
        "version": "20.10.24+dfsg1",
        "api_version": "1.41",
        "sdk_version": "5.0.3",
        "config_error": None,
        "error": None,
    },
    "nvidia_container_toolkit": {"installed": True, "configured": True, "hook": True},
    "disk": [{"path": "/var/lib/docker", "free_gib": 400.0, "total_gib": 500.0}],
}


def failing(min_free_gib: float = 5, **changes: Any) -> dict[str, dict[str, Any]]:
    """Return the checks that fail on the good host with changes, by name; a change of a dict is merged into it."""
    host = deepcopy(HOST)
    for name, value in changes.items():
        host[name] = {**host[name], **value} if isinstance(value, dict) else value
    return {check["name"]: check for check in checks(host, min_free_gib) if not check["ok"]}


def test_a_good_host_passes_every_check_and_needs_no_remedy() -> None:
    found = checks(HOST)

    assert [check["name"] for check in found] == [
        "privileges",
        "os",
        "python",
        "gpus",
        "gpu_health",
        "gpu_fabric",
        "cuda",
        "docker",
        "docker_config",
        "docker_sdk",
        "nvidia_container_toolkit",
        "gpu_persistence",
        "gpu_inforom",
        "clock",
        "disk",
    ]
    assert all(check["ok"] and check["remedy"] is None for check in found)


def test_a_host_without_gpus_is_not_asked_for_a_driver() -> None:
    host = {
        **HOST,
        "gpus": [],
        "gpus_on_bus": 0,
        "driver_version": None,
        "nvidia_container_toolkit": {"installed": False, "configured": False},
    }

    found = {check["name"]: check for check in checks(host)}

    for name in ("gpus", "nvidia_container_toolkit"):
        assert (found[name]["ok"], found[name]["found"]) == (True, "not applicable: the host has no GPU")


@pytest.mark.parametrize(
    ("os", "ok"),
    [
        (("debian", "12"), True),
        (("debian", "13"), True),
        (("debian", None), True),
        (("debian", "11"), False),
        (("ubuntu", "22.04"), True),
        (("ubuntu", "20.04"), False),
        (("rocky", "9.4"), False),
        ((None, None), False),
    ],
)
def test_the_operating_systems_that_are_supported(os: tuple[str | None, str | None], ok: bool) -> None:
    assert ("os" not in failing(os={"id": os[0], "version_id": os[1]})) == ok


@pytest.mark.parametrize(
    ("changes", "found", "remedy"),
    [
        (
            {"gpus": [], "driver_version": None},
            "4 on the PCI bus, none answers: no driver is installed",
            "Install the NVIDIA driver",
        ),
        ({"gpus": [GPU] * 3}, "4 on the PCI bus, 3 answer (NVIDIA H100 80GB HBM3)", "Xid"),
        (
            {"gpus": [], "gpus_error": "Failed to initialize NVML: Driver/library version mismatch"},
            "0 answer; nvidia-smi says: Failed to initialize NVML: Driver/library version mismatch",
            "reboot",
        ),
        (
            {"gpus": [], "gpus_on_bus": 0, "gpus_error": "No devices were found"},
            "0 answer; nvidia-smi says: No devices were found",
            "No GPU is on the PCI bus",
        ),
        (
            {"gpus_error": "GPU 3: GPU is lost"},
            "4 answer; nvidia-smi says: GPU 3: GPU is lost",
            "reset the GPU or reboot",
        ),
    ],
)
def test_gpus_that_do_not_answer(changes: dict[str, Any], found: str, remedy: str) -> None:
    check = failing(**changes)["gpus"]

    assert check["found"] == found
    assert remedy in check["remedy"]


@pytest.mark.parametrize(
    ("docker", "found", "remedy"),
    [
        ({"installed": False, "running": False}, "not installed", "docker.io"),
        (
            {"running": False, "error": "its socket does not exist"},
            "installed, but no answer: its socket does not exist",
            "start it",
        ),
        ({"version": "19.03.15", "api_version": "1.40"}, "19.03.15, API 1.40", "Upgrade"),
    ],
)
def test_a_docker_engine_that_does_not_do(docker: dict[str, Any], found: str, remedy: str) -> None:
    check = failing(docker=docker)["docker"]

    assert check["found"] == found
    assert remedy in check["remedy"]


def test_a_missing_sdk_is_told_for_the_python_that_lacks_it() -> None:
    own = failing(docker={"sdk_version": None}, python_from_system=False, python_executable="/opt/venv/bin/python")[
        "docker_sdk"
    ]

    assert "python3-docker" in failing(docker={"sdk_version": None})["docker_sdk"]["remedy"]
    assert "/opt/venv/bin/python -m pip install docker" in own["remedy"]
    assert "docker_sdk" in failing(docker={"sdk_version": "4.4.4"})


def test_gpus_without_the_container_toolkit() -> None:
    assert "nvidia-ctk" in failing(nvidia_container_toolkit={"installed": False})["nvidia_container_toolkit"]["remedy"]


def test_root_is_not_needed_where_docker_answers() -> None:
    assert failing(privileged=False) == {}
    refused = {"running": False, "error": "this user may not use its socket"}
    assert failing(privileged=False, docker=refused).keys() == {"privileges", "docker"}


def test_an_old_python() -> None:
    assert "python" in failing(python="3.9.18")


def test_a_full_disk_is_named_and_an_unknown_one_is_not_guessed() -> None:
    disk = [
        {"path": "/var/lib/docker", "free_gib": 30.5, "total_gib": 100.0},
        {"path": "/data", "free_gib": 2.0, "total_gib": 100.0},
        {"path": "/unknown", "free_gib": None, "total_gib": None},
    ]

    assert failing(disk=disk)["disk"]["remedy"] == "Make room, or mount a larger disk, for /data."
    assert "disk" not in failing(1, disk=disk)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"recovery_action": "Reset"}, "GPU 2: the driver wants: reset"),
        ({"ecc_uncorrected": 3}, "GPU 2: 3 uncorrected ECC errors"),
        ({"remap_pending": True}, "GPU 2: a remapping of memory waits for a reset"),
        ({"remap_pending": True, "remap_failed": True}, "GPU 2: no spare rows left to remap"),
        ({"recovery_action": None, "xids": [{"code": 79, "message": "x"}]}, "GPU 2: Xid 79 (fell off the bus)"),
    ],
)
def test_a_sick_gpu_is_named(changes: dict[str, Any], found: str) -> None:
    gpus = [{**GPU, "index": index, **(changes if index == 2 else {})} for index in range(4)]
    check = failing(gpus=gpus)["gpu_health"]
    assert check["found"] == found
    assert check["required"]
    assert "nvidia-smi --gpu-reset -i 2;" in check["remedy"]


@pytest.mark.parametrize(
    "changes",
    [
        # A program that crashed; and an old Xid of a GPU that the driver holds to be well again.
        {"recovery_action": None, "xids": [{"code": 13, "message": "x"}]},
        {"xids": [{"code": 79, "message": "x"}]},
        {"ecc_uncorrected": 0, "remap_pending": False, "remap_failed": False},
    ],
)
def test_a_well_gpu_is_not_blamed(changes: dict[str, Any]) -> None:
    assert failing(gpus=[{**GPU, **changes}] * 4) == {}


@pytest.mark.parametrize(
    ("state", "status", "found"),
    [
        ("In Progress", None, "GPU 0: In Progress"),
        ("Completed", "Insufficient Resources", "GPU 0: Completed, Insufficient Resources"),
        ("Not Started", None, "GPU 0: Not Started"),
    ],
)
def test_a_fabric_that_is_not_set_up(state: str, status: str | None, found: str) -> None:
    gpus = [{**GPU, "fabric_state": state, "fabric_status": status}]
    check = failing(gpus=gpus, gpus_on_bus=1)["gpu_fabric"]
    assert check["found"] == found
    assert "570.86.15" in check["remedy"]


def test_engines_that_nothing_names_are_advice() -> None:
    assert "engines" not in {check["name"] for check in checks(HOST)}
    assert checks(HOST, unnamed=[])[-1]["ok"]
    check = checks(HOST, unnamed=["old (slot 8000, running)"])[-1]
    assert (check["name"], check["ok"], check["required"]) == ("engines", False, False)
    assert check["found"] == "old (slot 8000, running)"
    assert "engine_prune: true" in check["remedy"]


def test_advice_is_not_required() -> None:
    gpus = [{**GPU, "persistence_mode": False}] * 4
    found = failing(gpus=gpus, clock_synchronized=False)
    assert {name: check["required"] for name, check in found.items()} == {"gpu_persistence": False, "clock": False}
    assert failing(clock_synchronized=None) == {}


def test_a_damaged_inforom_is_advice_and_blocks_nothing(case: Callable[[str], str]) -> None:
    # nvidia-smi prints this after its answer, and ends with 14.
    found = gpus.query(lambda argv: (14, case("09-inforom-corrupted"), ""))

    assert (len(found.gpus), found.error) == (1, None)
    (check,) = failing(gpus_warnings=list(found.warnings)).values()
    assert (check["name"], check["required"]) == ("gpu_inforom", False)
    assert check["found"] == "infoROM is corrupted at gpu 0000:0B:00.0"
    assert "goes on working" in check["remedy"]
    assert "reinstall" not in check["remedy"]
