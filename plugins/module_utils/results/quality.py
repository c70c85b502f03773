# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run's own warnings mean for its figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

# A power cap is how a GPU under load is meant to run; a hot or failing one is not.
_THROTTLED = re.compile(r"was throttled: [^.]*(?:thermal|hw_slowdown|hw_power_brake)")
_BY_OTHERS = re.compile(
    r"somebody else used it|a neighbour shares the host's|besides the engine: it takes a share"
    r"|came from the engine's prefix cache"
)
_OF_A_REPEAT = re.compile(r"^(?:point \d+/\d+ \([^)]*\), )?(?:benchmark \d+/\d+|warm-up): ")


def throttled(document: Document) -> str | None:
    """Return the warning that a GPU of the engine was slowed down by heat or a fault; None where there is none."""
    return _first(document, _THROTTLED)


def disturbed(document: Document) -> str | None:
    """Return the warning for which a run's figures are not those of its subject: throttling, or what others did."""
    return throttled(document) or _first(document, _BY_OTHERS)


def _first(document: Document, sign: re.Pattern[str]) -> str | None:
    found = next((text for text in document["quality"]["warnings"] if sign.search(text)), None)
    return None if found is None else _OF_A_REPEAT.sub("", found)
