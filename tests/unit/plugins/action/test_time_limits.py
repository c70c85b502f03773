# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long an action waits for a module, by what the task says: a result need not say what it was called with."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.action import engine as action
from ansible_collections.inference.fleet.plugins.action import weights_copy
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import Timeouts
from ansible_collections.inference.fleet.plugins.modules import engine
from ansible_collections.inference.fleet.plugins.modules import weights_copy as copy_module


@pytest.mark.parametrize(
    ("args", "seconds"),
    [
        ({}, 2 * (7200 + 2 * (30 + 120 + 1800))),
        # As a play hands them: as text where they came from the command line.
        ({"ready_timeout": "7200", "weights_timeout": 21600}, 2 * (21600 + 2 * (30 + 120 + 7200))),
        ({"pull_timeout": 9000}, 2 * (9000 + 2 * (30 + 120 + 1800))),
        ({"ready_timeout": None, "instances": []}, 2 * (7200 + 2 * (30 + 120 + 1800))),
        (
            {"ready_timeout": 600, "instances": [{"port": 8000}, {"port": 8001, "ready_timeout": "60"}]},
            # The old engine has its own time to be put back, however short that of the new one is.
            2 * (7200 + 2 * (30 + 120) + 600 + 1800) + 2 * (7200 + 2 * (30 + 120) + 60 + 1800),
        ),
    ],
)
def test_an_engine_s(args: dict[str, Any], seconds: int) -> None:
    assert action.time_limit(args) == seconds


def test_the_defaults_are_the_modules_own() -> None:
    spec = engine.argument_spec()
    assert {kind: spec[f"{kind}_timeout"]["default"] for kind in action.KINDS} == Timeouts()._asdict()
    assert copy_module.argument_spec()["timeout"]["default"] == weights_copy.TIMEOUT
