# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How tests wait: for what has to come, and not for a time. The limit is there for what never comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

# Seconds, far above what anything takes on a machine that is loaded ten times over.
PATIENCE = 300.0


def until(found: Callable[[], Any], what: str = "what was waited for") -> Any:
    """Ask again and again, and return the first answer that is not empty."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < deadline, f"not so after {PATIENCE} s: {what}"
        time.sleep(0.05)
    return answer
