# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a driver's counters: of a real H200's nvidia-smi, and of the stub's NVLinks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import counters

HERE = Path(__file__).parent
H200 = (HERE.parent / "host/h200-580.159.04.xml").read_text(encoding="utf-8")
STUB = HERE.parents[4] / "tests/fleet/stubs/nvidia-smi"


def test_a_real_h200_is_read() -> None:
    found = next(iter(counters.parse(H200).values()))
    assert found == {
        "ecc_uncorrected": 0,
        "ecc_corrected": 0,
        "remapped_rows": 0,
        "remap_pending": False,
        "remap_failed": False,
        "recovery_action": "None",
        "pcie_gen": 5,
        "pcie_max_gen": 5,
        "pcie_width": 16,
        "pcie_max_width": 16,
        "pcie_replays": 0,
        "temperature_c": 34,
        "throttled_s": {
            "sw_power_cap": 0.0,
            "sw_thermal_slowdown": 0.0,
            "hw_thermal_slowdown": 0.0,
            "hw_power_brake_slowdown": 0.0,
        },
    }


def test_what_is_no_answer_tells_nothing() -> None:
    assert counters.parse("NVIDIA-SMI has failed") == {}
    assert counters.parse_links("NVIDIA-SMI has failed") == {}


def test_links_and_their_errors_are_counted(tmp_path: Path) -> None:
    played = tmp_path / "gpus"
    played.write_text("h100x2 link=1\n")

    def run(argv):
        done = subprocess.run(
            [str(STUB), *argv[1:]],
            env={**os.environ, "STUB_GPUS": str(played)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.returncode, done.stdout, done.stderr

    first, second = counters.look(run, True).values()
    assert (first["nvlinks_up"], second["nvlinks_up"]) == (18, 17)
    assert first["nvlink_errors"] == 0
    text = "GPU 0: NVIDIA H200 (UUID: GPU-1)\n\t Link 0: Replay Errors: 4\n\t Link 1: CRC Errors: 3\n"
    assert counters.parse_link_errors(text) == {"GPU-1": 7}


def test_growth_is_told_of_what_both_looks_have() -> None:
    before = {"remapped_rows": 1, "pcie_replays": 5, "ecc_corrected": None}
    after = {"remapped_rows": 3, "pcie_replays": 5, "ecc_corrected": 9}
    assert counters.growth(before, after) == {"remapped_rows": 2}


def test_a_gpu_s_numa_node(tmp_path: Path) -> None:
    device = tmp_path / "0000:3b:00.0"
    device.mkdir()
    (device / "numa_node").write_text("1\n")
    assert counters.numa_node("00000000:3B:00.0", tmp_path) == 1
    (device / "numa_node").write_text("-1\n")
    assert counters.numa_node("00000000:3B:00.0", tmp_path) is None
    assert counters.numa_node(None) is None
