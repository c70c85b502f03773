# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy on this machine, set up by the modules, in front of simulators that are processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateway_rig import ENGINE_KEY, MODEL, Engine, Gateway, opened


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Start engines."""
    started: list[Engine] = []

    def start(model: str = MODEL, key: str = ENGINE_KEY) -> Engine:
        started.append(Engine(tmp_path, model, key))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that is not there yet, and is gone afterwards."""
    if not shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin"):
        pytest.skip("haproxy is not installed: apt-get install haproxy")
    if os.geteuid() != 0:
        pytest.skip("HAProxy becomes a user of its own, which needs root")
    if Path("/run/systemd/system").is_dir():
        pytest.skip("here the modules would write a systemd service: tests/fleet has hosts for that")
    with opened(tmp_path) as found:
        yield found
