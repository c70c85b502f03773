# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks, clients and browsers on this machine are tested with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def aiperf() -> str:
    """Return the path of an AIPerf that is installed."""
    candidates = (
        os.environ.get("INFERENCE_FLEET_AIPERF"),
        shutil.which("aiperf"),
        str(ROOT / ".build/venvs/aiperf/bin/aiperf"),
    )
    for path in candidates:
        if path and os.access(path, os.X_OK):
            return path
    pytest.skip("no aiperf: set INFERENCE_FLEET_AIPERF, or install it in .build/venvs/aiperf")
