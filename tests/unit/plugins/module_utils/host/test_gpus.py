# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nvidia-smi prints, on good days and bad ones, read as data."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.host import gpus

H100 = (
    "0, NVIDIA H100 80GB HBM3, GPU-6a5f0b0e-6a0e-5a6e-8b8c-1f7a0a5e2d11, 81559, "
    "570.86.15, 00000000:19:00.0, 700.00, 1980, Enabled, Disabled\n"
)
A100_80 = (
    "0, NVIDIA A100-SXM4-80GB, GPU-0c4c1d9e-2f1b-4c1b-9d7e-6a4d2f5b8e01, 81920, "
    "535.183.01, 00000000:07:00.0, 400.00, 1410, Enabled, Disabled\n"
)
A100_40 = (
    "0, NVIDIA A100-SXM4-40GB, GPU-5f0d8c3a-7b1e-4d0c-8c3f-9e2b1a7d6c02, 40960, "
    "535.183.01, 00000000:07:00.0, 400.00, 1410, Enabled, Disabled\n"
)
B200 = (
    "0, NVIDIA B200, GPU-9b1f6a77-3c52-4f8e-a9d4-2e7c5d0b1f03, 183359, "
    "570.124.06, 00000000:1B:00.0, 1000.00, 1965, Enabled, Disabled\n"
)
MIG = (
    "0, NVIDIA A100-SXM4-80GB, GPU-1d2c3b4a-5e6f-4a7b-8c9d-0e1f2a3b4c04, 81920, "
    "550.54.15, 00000000:07:00.0, 400.00, 1410, Enabled, Enabled\n"
)
# A card that knows no persistence mode, MIG or power limit.
OLD_CARD = (
    "0, Tesla K80, GPU-7e8d9c0b-1a2f-4e3d-9c8b-7a6f5e4d3c05, 11441, "
    "470.256.02, 00000000:04:00.0, [N/A], 875, [Not Supported], [N/A]\n"
)
LOST = (
    "1, NVIDIA H100 80GB HBM3, GPU-2f3e4d5c-6b7a-4899-8a7b-6c5d4e3f2a06, [GPU is lost], "
    "570.86.15, 00000000:3B:00.0, [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost]\n"
)

VERSION = """\
NVIDIA-SMI version  : 570.86.15
NVML version        : 570.86
DRIVER version      : 570.86.15
CUDA Version        : 12.8
"""
TABLE_HEAD = "| NVIDIA-SMI 535.183.01             Driver Version: 535.183.01   CUDA Version: 12.2     |\n"


def answers(code: int, output: str, error: str = ""):
    """Return a run_command that gives what was recorded."""
    return lambda argv: (code, output, error)


@pytest.mark.parametrize(
    ("output", "profile"),
    [
        (H100, "h100x1"),
        (H100 * 4, "h100x4"),
        (B200 * 2, "b200x2"),
        (A100_80 * 4, "a100x4"),
        (A100_40 * 8, "a100-40gbx8"),
        (A100_80 + A100_40 * 2, "a100-40gbx2+a100x1"),
        ("", "cpu"),
    ],
)
def test_the_profile_follows_from_what_nvidia_smi_prints(output: str, profile: str) -> None:
    found = gpus.query(answers(0, output))

    assert found.error is None
    assert profiles.profile(found.gpus) == profile


def test_every_field_of_a_gpu_has_its_type() -> None:
    assert gpus.parse_query(H100) == [
        {
            "index": 0,
            "name": "NVIDIA H100 80GB HBM3",
            "uuid": "GPU-6a5f0b0e-6a0e-5a6e-8b8c-1f7a0a5e2d11",
            "memory_mib": 81559,
            "driver_version": "570.86.15",
            "pci_bus_id": "00000000:19:00.0",
            "power_limit_w": 700.0,
            "clock_max_sm_mhz": 1980,
            "persistence_mode": True,
            "mig_mode": "Disabled",
        }
    ]


def test_what_a_card_does_not_have_is_null_and_no_trouble() -> None:
    found = gpus.query(answers(0, OLD_CARD))

    assert found.error is None
    assert [found.gpus[0][name] for name in ("power_limit_w", "persistence_mode", "mig_mode")] == [None, None, None]


def test_mig_is_told() -> None:
    assert gpus.parse_query(MIG)[0]["mig_mode"] == "Enabled"


@pytest.mark.parametrize(
    ("code", "output", "error", "said"),
    [
        (
            18,
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.86\n",
            "",
            "Failed to initialize NVML: Driver/library version mismatch; NVML library version: 570.86",
        ),
        (255, "Failed to initialize NVML: Unknown Error\n", "", "Failed to initialize NVML: Unknown Error"),
        (
            9,
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
            "Make sure that the latest NVIDIA driver is installed and running.\n\n",
            "",
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
            "Make sure that the latest NVIDIA driver is installed and running.",
        ),
        (6, "No devices were found\n", "", "No devices were found"),
        (0, "No devices were found\n", "", "No devices were found"),
        (124, "", "nvidia-smi did not answer within 20 s", "nvidia-smi did not answer within 20 s"),
        (1, "", "", "nvidia-smi ended with exit code 1"),
    ],
)
def test_a_broken_driver_is_told_in_its_own_words(code: int, output: str, error: str, said: str) -> None:
    found = gpus.query(answers(code, output, error))

    assert (found.gpus, found.installed, found.error) == ([], True, said)


def test_a_gpu_off_the_bus_leaves_the_others_and_is_told() -> None:
    said = (
        "Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.  Reboot the system to recover this GPU"
    )

    found = gpus.query(answers(15, f"{H100}{said}\n"))

    assert [gpu["index"] for gpu in found.gpus] == [0]
    assert "GPU is lost" in str(found.error)


def test_a_gpu_that_is_listed_but_lost_is_told_by_its_index() -> None:
    found = gpus.query(answers(0, H100 + LOST))

    assert [gpu["memory_mib"] for gpu in found.gpus] == [81559, None]
    assert found.error == "GPU 1: GPU is lost"


@pytest.mark.parametrize("code", [2, 127])
def test_a_host_without_nvidia_smi_has_no_gpu_and_no_error(code: int) -> None:
    assert gpus.query(answers(code, "", "nvidia-smi: not found")) == gpus.Gpus(installed=False)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        (VERSION, "12.8"),
        (VERSION.replace("CUDA Version        : 12.8", "CUDA UMD Version    : 13.1"), "13.1"),
        (TABLE_HEAD, "12.2"),
        ("CUDA Version        : Not Found\n", None),
        ("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n", None),
    ],
)
def test_the_cuda_version_is_the_drivers(output: str, version: str | None) -> None:
    assert gpus.parse_cuda_version(output) == version


def test_gpus_of_names_alike_are_kinds_of_their_own(case: Callable[[str], str]) -> None:
    rows = [line.rpartition(", ") for line in case("12-profile-names").splitlines()]
    assert {name: profiles.family(name, int(memory)) for name, _comma, memory in rows} == {
        "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": "rtx-pro-6000",
        "NVIDIA RTX PRO 4500 Blackwell": "rtx-pro-4500",
        "Quadro RTX 6000": "quadro-rtx-6000",
        "NVIDIA RTX 6000 Ada Generation": "rtx-6000-ada",
    }


@pytest.mark.parametrize(
    ("name", "memory_mib", "family"),
    [
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 97887, "rtx-pro-6000-max-q"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887, "rtx-pro-6000-server"),
        ("NVIDIA A100-SXM-64GB", 65536, "a100-64gb"),
        ("NVIDIA RTX A6000", 49140, "rtx-a6000"),
        ("NVIDIA GeForce RTX 4090", 24564, "rtx-4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16376, "rtx-4090-laptop"),
        ("NVIDIA H100 NVL", 95830, "h100-94gb"),
        ("NVIDIA H100 PCIe", 81559, "h100"),
        ("Tesla V100-SXM2-32GB", 32510, "v100-32gb"),
        ("NVIDIA H200", 143771, "h200"),
        ("NVIDIA L40S", 46068, "l40s"),
        ("NVIDIA GH200 480GB", 97871, "gh200"),
    ],
)
def test_families(name: str, memory_mib: int, family: str) -> None:
    assert profiles.family(name, memory_mib) == family
    assert profiles.split(f"{family}x2") == (family, 2)


def test_a_gpu_without_memory_of_its_own(case: Callable[[str], str]) -> None:
    found = gpus.query(answers(0, case("20-gb10-no-memory")))

    assert (len(found.gpus), found.error, found.gpus[0]["memory_mib"]) == (1, None, None)
    assert profiles.profile(found.gpus) == "gb10x1"


def test_a_damaged_inforom_is_a_warning_of_a_gpu_that_works(case: Callable[[str], str]) -> None:
    found = gpus.query(answers(14, case("09-inforom-corrupted")))

    assert [gpu["name"] for gpu in found.gpus] == ["Tesla P100-PCIE-16GB"]
    assert (found.error, found.warnings) == (None, ("infoROM is corrupted at gpu 0000:0B:00.0",))


def test_code_14_without_a_gpu_is_an_error() -> None:
    assert gpus.query(answers(14, "")).error == "nvidia-smi ended with exit code 14"


LISTED = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-1d2c3b4a-5e6f-4a7b-8c9d-0e1f2a3b4c04)
  MIG 3g.40gb     Device  0: (UUID: MIG-5e0a1b2c-0000-5000-8000-000000000001)
  MIG 1g.10gb     Device  1: (UUID: MIG-5e0a1b2c-0000-5000-8000-000000000002)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-1d2c3b4a-5e6f-4a7b-8c9d-0e1f2a3b4c05)
"""


def test_what_mig_made_of_a_gpu_is_told() -> None:
    def run(argv: list[str]) -> tuple[int, str, str]:
        return 0, LISTED if argv == gpus.LIST else MIG, ""

    (found,) = gpus.query(run).gpus
    assert found["mig_devices"] == [
        {"uuid": "MIG-5e0a1b2c-0000-5000-8000-000000000001", "slice": "3g.40gb"},
        {"uuid": "MIG-5e0a1b2c-0000-5000-8000-000000000002", "slice": "1g.10gb"},
    ]
