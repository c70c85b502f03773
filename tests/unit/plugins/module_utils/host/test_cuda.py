# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether CUDA starts, asked of stubs of libcuda that are compiled for it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import command, cuda

STUB = Path(__file__).parents[4] / "fleet" / "stubs" / "libcuda.c"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> functools.partial[Path]:
    """Compile the stub so that cuInit() returns a code; -1 hangs, and -2 crashes."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")

    def make(code: int) -> Path:
        folder = tmp_path_factory.mktemp("stub")
        flags = [f"-DCODE={code}", "-shared", "-nostdlib", "-fPIC"]
        subprocess.run(["gcc", *flags, "-o", str(folder / cuda.LIBRARY), str(STUB)], check=True)
        return folder

    return functools.partial(make)


def start(folder: Path, timeout: float = 20) -> dict[str, object]:
    """Start CUDA with the libcuda of a folder."""

    def run_command(argv: Sequence[str]) -> tuple[int, str, str]:
        return command.run(["env", f"LD_LIBRARY_PATH={folder}", *argv], timeout)

    return cuda.start(run_command)


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        (0, None, "it starts, with 4 GPUs"),
        (
            802,
            "CUDA_ERROR_SYSTEM_NOT_READY",
            "error 802 CUDA_ERROR_SYSTEM_NOT_READY: the system is not yet initialised",
        ),
        (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "libcuda and the kernel's driver are of different versions"),
        (100, "CUDA_ERROR_NO_DEVICE", "CUDA sees no GPU"),
        (555, None, "error 555: see cudaError_enum"),
    ],
)
def test_what_cuinit_says(compiled: functools.partial[Path], code: int, name: str | None, words: str) -> None:
    result = start(compiled(code))

    assert (result["code"], result["name"]) == (code, name)
    assert words in cuda.describe(result)
    assert (result["remedy"] is None) == (code == 0)


def test_a_libcuda_that_hangs_is_ended(compiled: functools.partial[Path]) -> None:
    result = start(compiled(-1), timeout=1)

    assert (result["code"], cuda.describe(result)) == (None, "it did not come back, and was ended")


def test_a_libcuda_that_crashes_takes_nothing_with_it(compiled: functools.partial[Path]) -> None:
    result = start(compiled(-2))

    assert result["code"] is None
    assert "exit code -" in cuda.describe(result)


def test_a_driver_without_libcuda_is_told(tmp_path: Path) -> None:
    result = start(tmp_path)

    assert cuda.describe(result).startswith("libcuda.so.1 cannot be loaded: ")
    assert result["remedy"] == "Install the driver's libcuda."


def test_what_a_container_s_log_has_before_it_does_not_matter() -> None:
    assert cuda.read(0, 'some banner\n{"code": 0, "devices": 1}\n', "")["code"] == 0
    assert os.path.basename(cuda.argv()[0]) == os.path.basename(sys.executable)
