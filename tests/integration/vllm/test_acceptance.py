# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""accept.yml with a real torch, on CPUs in the place of stub GPUs: what is sick is named, and nothing is left.

Faults are made in the torch of one device, from outside: the program that measures is the collection's own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.tests.patience import until

ROOT = Path(__file__).resolve().parents[3]
STUB = ROOT / "tests/fleet/stubs/nvidia-smi"
# tests/rigs/vllm_cpu/build makes both.
PYTHON = ROOT / ".build/venvs/vllm-cpu/bin/python"
IMAGE = "inference-fleet/vllm-cpu:0.32.0"
CONTAINER = "inference.fleet-gpu-acceptance"
# A limit for what has to come; it is as quick as the machine is.
# Done in the process of each device that has a rank: FAULTS has Python by rank.
PATCH = """\
import json, os

words = open("/proc/self/cmdline").read().split("\\0")
if len(words) > 3 and words[1].endswith("program.py") and words[3].isdigit():
    fault = json.loads(os.environ["FAULTS"]).get(words[3])
    if fault:
        import time, torch
        exec(fault)
"""
SLOW = """
real = torch.mm
def slow(*words, **options):
    time.sleep(0.05)
    return real(*words, **options)
torch.mm = slow
"""
# One bit, after the pattern was written.
FLIPPED = """
real = torch.ne
seen = []
def flip(held, wanted):
    if not seen:
        seen.append(True)
        held[1000] ^= 16
    return real(held, wanted)
torch.ne = flip
"""
DEAD = """
def dead(*words, **options):
    raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
torch.mm = dead
"""

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no torch here: tests/rigs/vllm_cpu/build makes it")


class Host:
    """This machine with stub GPUs, and accept.yml on it."""

    def __init__(self, folder: Path, gpus: str) -> None:
        self.folder, self.work = folder, folder / "work"
        (folder / "bin").mkdir()
        (folder / "bin/nvidia-smi").symlink_to(STUB)
        (folder / "gpus").write_text(gpus, encoding="utf-8")

    def faulty(self, **faults: str) -> str:
        """Return a Python whose torch has these faults, by rank."""
        (self.folder / "patch").mkdir()
        (self.folder / "patch/sitecustomize.py").write_text(PATCH, encoding="utf-8")
        python = self.folder / "python"
        given = json.dumps({rank.removeprefix("rank"): fault for rank, fault in faults.items()})
        (self.folder / "faults.json").write_text(given, encoding="utf-8")
        python.write_text(
            f'#!/bin/sh\nexport PYTHONPATH={self.folder}/patch FAULTS="$(cat {self.folder}/faults.json)"\n'
            f'exec {PYTHON} "$@"\n'
        )
        python.chmod(0o755)
        return str(python)

    def start(self, **variables: Any) -> subprocess.Popen[str]:
        given = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
            "gpu_acceptance_on_cpus": True,
            "gpu_acceptance_prepare_host": False,
            "gpu_acceptance_python": str(PYTHON),
            "gpu_acceptance_work_dir": str(self.work),
            "gpu_acceptance_cache_dir": str(self.folder),
            "gpu_acceptance_seconds": 1,
            "fleet_dir": str(self.folder),
            **variables,
        }
        return subprocess.Popen(
            ["ansible-playbook", "inference.fleet.accept", "-i", "h100-1,", "-e", json.dumps(given)],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "STUB_GPUS": str(self.folder / "gpus"),
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_HOME": str(self.folder / "ansible"),
                "ANSIBLE_ASYNC_DIR": str(self.folder / "async"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def accept(self, **variables: Any) -> tuple[int, str]:
        process = self.start(**variables)
        printed, _none = process.communicate(timeout=900)
        self.nothing_is_left()
        return process.returncode, printed

    def document(self) -> dict[str, Any]:
        (path,) = (self.folder / "results/acceptance").glob("*.json")
        return json.loads(path.read_text(encoding="utf-8"))

    def measuring(self) -> list[int]:
        """Return the processes of the program, in a container or not."""
        sign = f"{self.work}/run/program.py".encode()
        found = []
        for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if sign in cmdline.read_bytes().split(b"\0"):
                    found.append(int(cmdline.parent.name))
            except OSError:
                continue
        return found

    def nothing_is_left(self) -> None:
        assert self.measuring() == []
        assert [path.name for path in self.work.glob("*")] in ([], ["lock"])
        assert not (self.folder / ".inference.fleet").exists()


def parent(number: int) -> int:
    return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])


def test_sound_gpus_are_measured_and_kept(tmp_path: Path) -> None:
    host = Host(tmp_path, "h100x2")
    code, printed = host.accept()
    assert code == 0, printed
    found = host.document()
    assert (found["verdict"], found["simulated"], found["measured"]) == ("sound", True, True)
    assert found["runtime"]["torch"].startswith("2.")
    for gpu in found["gpus"]:
        for key in ("memory_gb_s", "bf16_tflop_s", "fp8_tflop_s", "from_host_gb_s", "load_tflop_s", "all_reduce_gb_s"):
            assert gpu["figures"][key] > 0, key
        assert gpu["figures"]["memory_wrong_words"] == 0
        assert gpu["figures"]["memory_tested_mib"] == 16
        assert gpu["after"]["pcie_width"] == 16
    assert [list(gpu["figures"]["to_peers_gb_s"]) for gpu in found["gpus"]] == [["1"], ["0"]]
    assert found["machine"]["disk_read_mb_s"] > 0
    assert "Acceptance of h100-1 (2\N{MULTIPLICATION SIGN} H100): sound, rehearsed on CPUs" in printed
    for stage in ("starting torch", "memory bandwidth", "all-reduce", "load for 1 s"):
        assert f"[h100-1] {stage}\n" in printed


def test_a_slow_one_a_hot_one_and_one_that_forgets_are_found_by_name(tmp_path: Path) -> None:
    host = Host(tmp_path, "h100x3 hot=0")
    code, printed = host.accept(gpu_acceptance_python=host.faulty(rank1=SLOW, rank2=FLIPPED))
    assert code != 0, printed
    found = host.document()
    sick = {(line["of"], line["what"]): line["text"] for line in found["verdicts"] if line["verdict"] == "sick"}
    assert set(sick) == {
        ("GPU 0", "temperature"),
        ("GPU 1", "bf16 products beside siblings"),
        ("GPU 1", "bf16 products under load beside siblings"),
        ("GPU 2", "memory pattern"),
    }
    assert sick["GPU 2", "memory pattern"].startswith("1 words of 16 MiB")
    assert "at up to 93 degrees" in sick["GPU 0", "temperature"]
    for of, what in sick:
        assert f"{of}, {what}: " in printed
    assert "Have it replaced, or give it back" in printed


def test_one_that_dies_is_named_and_ends_the_others(tmp_path: Path) -> None:
    host = Host(tmp_path, "h100x2")
    code, printed = host.accept(gpu_acceptance_python=host.faulty(rank1=DEAD))
    assert code != 0, printed
    assert (
        "GPU 1, matrix products: failed in the stage matrix products: RuntimeError: CUDA error: uncorrectable"
        in printed
    )
    found = host.document()
    assert [bool(gpu["error"]) for gpu in found["gpus"]] == [False, True]
    assert found["gpus"][1]["figures"]["memory_gb_s"] > 0, "what was measured before is kept"


@pytest.mark.parametrize("how", ["ctrl-c", "controller killed", "module killed"])
def test_an_interruption_leaves_nothing(tmp_path: Path, how: str) -> None:
    host = Host(tmp_path, "h100x1")
    process = host.start(gpu_acceptance_seconds=600)
    figures = host.work / "run/figures"
    until(lambda: process.poll() is not None or (figures.exists() and '"load"' in figures.read_text()), "load")
    assert process.poll() is None, process.communicate()[0]
    assert host.measuring()
    if how == "module killed":
        programs = set(host.measuring())
        (module,) = {parent(number) for number in programs} - programs
        os.kill(module, signal.SIGKILL)
    elif how == "ctrl-c":
        # As a terminal does: all of its group.
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid, signal.SIGKILL)
    until(lambda: not host.measuring(), "the program has ended")
    process.communicate(timeout=300)
    if how == "module killed":
        # What it wrote stays until the next test of the host.
        code, printed = host.accept(gpu_acceptance_measure=True)
        assert code == 0, printed
    until(lambda: [path.name for path in host.work.glob("*")] == ["lock"], "its folder is gone")


def has_image() -> bool:
    done = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not has_image(), reason=f"no image {IMAGE}: tests/rigs/vllm_cpu/build makes it")
@pytest.mark.xdist_group("acceptance container")
@pytest.mark.parametrize("killed", [False, True])
def test_the_engine_s_own_image_measures_and_is_gone_after(tmp_path: Path, killed: bool) -> None:
    host = Host(tmp_path, "h100x1")

    def containers() -> str:
        listed = ["docker", "ps", "--all", "--quiet", "--filter", f"name={CONTAINER}"]
        return subprocess.run(listed, check=True, capture_output=True, text=True).stdout

    variables = {"gpu_acceptance_python": "", "gpu_acceptance_image": IMAGE}
    if killed:
        process = host.start(gpu_acceptance_seconds=600, **variables)
        until(lambda: host.measuring() or process.poll() is not None, "it measures")
        assert process.poll() is None, process.communicate()[0]
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: not containers(), "the container is gone")
        process.communicate(timeout=300)
    else:
        code, printed = host.accept(**variables)
        assert code == 0, printed
        found = host.document()
        assert found["verdict"] == "sound"
        assert (found["runtime"]["image"], found["runtime"]["python"]) == (IMAGE, None)
        assert found["runtime"]["image_id"].startswith("sha256:")
        assert found["gpus"][0]["figures"]["load_tflop_s"] > 0
    assert containers() == ""
    until(lambda: not host.measuring(), "nothing measures")
