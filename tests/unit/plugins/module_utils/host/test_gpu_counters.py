# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver's own counters: of a real H200's nvidia-smi, and of a small library in NVML's place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_counters, gpu_health

# As a real one printed it, but for UUID, serial number and the list of clocks.
H200 = (Path(__file__).parent / "h200-580.159.04.xml").read_text(encoding="utf-8")
UUID = "GPU-00000000-1111-2222-3333-444444444444"
# A stand-in for NVML, with two GPUs, of which the second does not tell its energy; each look is 300 J later.
NVML = """
#include <string.h>
static unsigned long long energy = 1000000;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **gpu) { *gpu = (void *)(long)(index + 1); return 0; }
int nvmlDeviceGetUUID(void *gpu, char *uuid, unsigned length) {
  strncpy(uuid, (long)gpu == 1 ? "GPU-a" : "GPU-b", length); return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *gpu, unsigned long long *mj) {
  if ((long)gpu != 1) return 3;
  *mj = energy += 300000; return 0;
}
"""


def counted(**microseconds: int) -> str:
    """Return the H200's output with other counts."""
    text = H200
    for reason, count in microseconds.items():
        name = f"clocks_event_reasons_counters_{reason}"
        text = text.replace(f"<{name}>0 us</{name}>", f"<{name}>{count} us</{name}>")
    return text


def test_a_real_gpu_counts_each_reason() -> None:
    assert gpu_counters.parse(H200) == {
        UUID: {
            "sw_power_cap": 0.0,
            "sw_thermal_slowdown": 0.0,
            "hw_thermal_slowdown": 0.0,
            "hw_power_brake_slowdown": 0.0,
        }
    }


def test_a_real_gpu_tells_whether_ecc_is_on() -> None:
    (health,) = list(gpu_health.parse(H200).values())
    assert health["ecc_enabled"] is True


def test_microseconds_between_two_looks_are_seconds_by_reason() -> None:
    first = gpu_counters.parse(counted(sw_power_cap=5_000_000, hw_therm_slowdown=1))
    second = gpu_counters.parse(counted(sw_power_cap=65_250_000, hw_therm_slowdown=2_000_001))
    assert gpu_counters.between(first, second) == {
        UUID: {
            "hw_power_brake_slowdown": 0.0,
            "hw_thermal_slowdown": 2.0,
            "sw_power_cap": 60.25,
            "sw_thermal_slowdown": 0.0,
        }
    }
    # The driver was loaded anew.
    assert gpu_counters.between(second, first) == {}


@pytest.mark.parametrize(
    "output",
    [
        "",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
        "<nvidia_smi_log><gpu id='0'><uuid>GPU-1</uuid></gpu></nvidia_smi_log>",
        H200.replace("0 us", "N/A"),
    ],
)
def test_a_driver_that_does_not_count(output: str) -> None:
    assert gpu_counters.parse(output) == {}
    assert gpu_counters.throttled(lambda _argv: (0, output, "")) == {}


def test_a_host_without_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(_argv: list[str]) -> tuple[int, str, str]:
        raise FileNotFoundError

    assert gpu_counters.throttled(missing) == {}
    monkeypatch.setattr(gpu_counters, "search_path", lambda: str(tmp_path))
    assert gpu_counters.energy(1.0) is None


class TestEnergy:
    @pytest.fixture
    def smi(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n", encoding="utf-8")
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def test_a_line_for_each_gpu_that_counts_again_and_again(self, smi: None, tmp_path: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler for the library in NVML's place: apt-get install gcc libc6-dev")
        source, library = tmp_path / "nvml.c", tmp_path / "libnvml.so"
        source.write_text(NVML, encoding="utf-8")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        program = gpu_counters.energy(0.01, str(library))
        assert program is not None
        assert program.stdout is not None
        lines = [gpu_counters.parse_energy(program.stdout.readline()) for _line in range(3)]
        assert lines == [("GPU-a", 1300.0), ("GPU-a", 1600.0), ("GPU-a", 1900.0)]
        # It ends with its reader.
        program.stdout.close()
        assert program.wait(timeout=60) != 0

    def test_a_driver_without_the_library_says_nothing(self, smi: None) -> None:
        program = gpu_counters.energy(0.01, "libnot-there.so.1")
        assert program is not None
        assert program.communicate()[0] == ""
        assert program.returncode != 0

    @pytest.mark.parametrize("line", ["", "GPU-1", "GPU-1 N/A", "OSError: no such file"])
    def test_what_is_no_line(self, line: str) -> None:
        assert gpu_counters.parse_energy(line) is None

    def test_the_program_is_python_that_any_host_has(self) -> None:
        compile(gpu_counters.PROGRAM, "program", "exec")
        assert sys.version_info >= (3, 10)
