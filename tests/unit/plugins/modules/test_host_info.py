# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it: a process, arguments in, one JSON document out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.inference.fleet.plugins.modules import host_info

COLLECTIONS = Path(__file__).resolve().parents[4] / ".build" / "collections"
ERROR = "Failed to initialize NVML: Unknown Error"


def run(path: str, **arguments: Any) -> dict[str, Any]:
    """Run the module in this Python with a PATH of its own, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.inference.fleet.plugins.modules.host_info"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS), "PATH": path},
    )
    return json.loads(done.stdout)


@pytest.fixture
def smi(tmp_path: Path) -> Path:
    """A directory for a stub of nvidia-smi that comes first on PATH."""
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def write_smi(directory: Path, script: str) -> str:
    stub = directory / "nvidia-smi"
    stub.write_text(f"#!/bin/sh\n{script}\n")
    stub.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def test_what_is_returned_is_what_is_documented(smi: Path) -> None:
    line = "0, NVIDIA H100 80GB HBM3, GPU-1, 81559, 570.86.15, 00000000:19:00.0, 700.00, 1980, Enabled, Disabled"
    path = write_smi(smi, f'case $1 in --version) echo "CUDA Version : 12.8";; *) echo "{line}";; esac')

    result = run(path, docker_host="unix:///nowhere/docker.sock")

    documented = yaml.safe_load(host_info.RETURN)
    assert result["host"].keys() == documented["host"]["contains"].keys()
    assert result["host"]["gpus"][0].keys() == documented["host"]["contains"]["gpus"]["contains"].keys()
    assert result["host"]["docker"].keys() == documented["host"]["contains"]["docker"]["sample"].keys()
    assert {name for check in result["checks"] for name in check} == documented["checks"]["contains"].keys()
    names = re.findall(r"V\((\w+)\)", documented["checks"]["contains"]["name"]["description"][0])
    # The last one is made only where the host's engines are named.
    assert [*(check["name"] for check in result["checks"]), "engines"] == names
    assert (result["host"]["profile"], result["host"]["driver_version"], result["host"]["cuda_version"]) == (
        "h100x1",
        "570.86.15",
        "12.8",
    )
    assert result["changed"] is False


def test_a_broken_driver_and_no_docker_are_checks_and_no_failure(smi: Path) -> None:
    path = write_smi(smi, f'echo "{ERROR}"; exit 255')

    result = run(path, docker_host="unix:///nowhere/docker.sock", paths=["/nowhere/weights"], min_free_gib=10**9)

    failing = {check["name"]: check["found"] for check in result["checks"] if not check["ok"]}
    assert failing["gpus"] == f"0 answer; nvidia-smi says: {ERROR}"
    assert {"docker", "disk"} <= failing.keys()
    assert result["host"]["profile"] == "cpu"
    assert [disk["path"] for disk in result["host"]["disk"]][1:] == ["/nowhere/weights"]
