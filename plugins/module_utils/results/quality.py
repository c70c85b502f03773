# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run's own warnings mean for its figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

# In documents of version 2 the kinds of what disturbed a run, those first that say more. A client that was short of CPU
# is so every night: its runs are compared with one another, and warned of.
_KINDS = ("throttled", "others", "neighbour", "counts")
# In documents of version 1 it is in the warnings alone. A power cap is how a GPU under load is meant to run; a hot or
# failing one is not.
_SIGNS = (
    ("throttled", re.compile(r"was throttled: [^.]*(?:thermal|hw_slowdown|hw_power_brake)")),
    ("others", re.compile(r"somebody else used it|came from the engine's prefix cache")),
    ("neighbour", re.compile(r"a neighbour shares the host's|besides the engine: it takes a share")),
)
_OF_A_REPEAT = re.compile(r"^(?:point \d+/\d+ \([^)]*\), )?(?:benchmark \d+/\d+|warm-up): ")


def disturbed(document: Document) -> str | None:
    """Return why a run's figures are not those of its subject, throttling or what others did; None where they are."""
    quality = document["quality"]
    if quality.get("disturbed") is not None:
        by_kind = {item["kind"]: item["text"] for item in reversed(quality["disturbed"])}
        found = next((by_kind[kind] for kind in _KINDS if kind in by_kind), None)
    else:
        texts = quality["warnings"]
        found = next((text for _kind, sign in _SIGNS for text in texts if sign.search(text)), None)
    return None if found is None else _OF_A_REPEAT.sub("", found)
