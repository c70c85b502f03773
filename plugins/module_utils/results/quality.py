# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run's own warnings and marks mean for its figures: which may be compared, and which may not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

# What disturbs a run, as quality.disturbed of documents of version 2 has it, those first that say more; and whether the
# run's figures are none of its subject's then. A client that is short of CPU is so every night: its runs are compared
# with one another, and warned of.
THROTTLED, OTHERS, NEIGHBOUR, COUNTS, CLIENT = "throttled", "others", "neighbour", "counts", "client"
KINDS: Mapping[str, bool] = {THROTTLED: True, OTHERS: True, NEIGHBOUR: True, COUNTS: True, CLIENT: False}
# In documents of version 1 it is in the warnings alone. A power cap is how a GPU under load is meant to run; a hot or
# failing one is not.
_SIGNS = (
    (THROTTLED, re.compile(r"was throttled: [^.]*(?:thermal|hw_slowdown|hw_power_brake)")),
    (OTHERS, re.compile(r"somebody else used it|came from the engine's prefix cache")),
    (NEIGHBOUR, re.compile(r"a neighbour shares the host's|besides the engine: it takes a share")),
)
_OF_A_REPEAT = re.compile(r"^(?:point \d+/\d+ \([^)]*\), )?(?:benchmark \d+/\d+|warm-up): ")


def disturbed(document: Document) -> str | None:
    """Return why a run's figures are not those of its subject, throttling or what others did; None where they are."""
    quality = document["quality"]
    if quality.get("disturbed") is not None:
        by_kind = {item["kind"]: item["text"] for item in reversed(quality["disturbed"])}
        found = next((by_kind[kind] for kind, left_out in KINDS.items() if left_out and kind in by_kind), None)
    else:
        texts = quality["warnings"]
        found = next((text for _kind, sign in _SIGNS for text in texts if sign.search(text)), None)
    return None if found is None else _OF_A_REPEAT.sub("", found)


def marked(document: Document, metric: str) -> bool:
    """Whether a figure is not what its name says: ITL, where a chunk of the stream has several tokens."""
    return metric.endswith("itl_ms") and (document.get("streaming") or {}).get("itl_is_per_token") is False
