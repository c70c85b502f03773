# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at an engine loads: each host compiles it anew in each run, and the controller before it asks a host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COLLECTIONS = Path(__file__).resolve().parents[3] / ".build/collections"
OURS = "ansible_collections.inference.fleet.plugins"


def loaded_with(*modules: str) -> set[str]:
    """Return the modules that a new Python has after importing these."""
    code = f"import sys; sys.path.insert(0, {str(COLLECTIONS)!r}); import {', '.join(modules)}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


@pytest.fixture(scope="module")
def look() -> set[str]:
    return loaded_with(f"{OURS}.module_utils.serving.instances")


@pytest.mark.parametrize(
    "acting",
    [
        "module_utils.containers.fetch",
        "module_utils.containers.lifecycle",
        "module_utils.containers.turn",
        "module_utils.containers.waiting",
        "module_utils.diagnosis.log",
        "module_utils.serving.needs",
        "module_utils.serving.preflight",
        "module_utils.simulator.server",
        "module_utils.weights.hub",
    ],
)
def test_a_look_loads_nothing_that_acts(look: set[str], acting: str) -> None:
    assert f"{OURS}.module_utils.containers.look" in look
    assert f"{OURS}.{acting}" not in look
    assert f"{OURS}.{acting}" in loaded_with(f"{OURS}.{acting}")


def test_the_controller_loads_no_docker_sdk_to_ask_a_host() -> None:
    loaded = loaded_with(f"{OURS}.action.engine")
    assert f"{OURS}.plugin_utils.long_task" in loaded
    assert not loaded & {"docker", "requests"}
