# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, each injected on a real Docker Engine, and what holds after it. The run's end lists them.

After every fault: the engine that served serves, or the one that was wanted does; nothing of the
attempt is left; and the next run ends in the wanted state and then finds nothing to do.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import HELD
from docker_engine import DockerEngine
from faults_rig import Host, SmallDisk
from module_process import ModuleProcess

from ansible_collections.inference.fleet.plugins.module_utils.containers import state


@pytest.fixture
def host(docker_engine: DockerEngine, process: ModuleProcess) -> Host:
    return Host(docker_engine, process)


@pytest.fixture
def held(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Note what held after a fault; the list is printed at the end."""

    def note(what: str) -> None:
        fault = request.node.name.partition("[")[0].removeprefix("test_").replace("_", " ")
        request.node.user_properties.append((HELD, f"{fault}: {what}"))

    return note


@pytest.fixture
def disk(tmp_path: Path, process: ModuleProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    """Keep locks, secrets, logs and progress on a disk that a test may take away."""
    small = SmallDisk(tmp_path / "state")
    monkeypatch.setattr(state, "STATE_DIR", small.path)
    process.progress = small.path / "progress"
    yield small
    small.mend()
    process(state="absent")
    subprocess.run(["umount", "--lazy", str(small.path)], check=True)
