# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's log."""

from __future__ import annotations

from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import Log
from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.phase import Phases

LOG = Log(
    phases=Phases(
        lines=(
            (r"Starting (?:vLLM|simulator)", "starting the server"),
            (r"Starting to load model", "loading the model"),
            (r"Loading weights took ([0-9.]+) seconds", "weights loaded in {0} s"),
        ),
        bars=((r"checkpoint shards", "loading weights"),),
    )
)
