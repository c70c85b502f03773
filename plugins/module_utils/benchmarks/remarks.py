# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader is told beside the figures of a run, and how much it weighs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results.quality import KINDS

# Worth knowing, and no reason to believe the figures less.
NOTE = "note"
# A reason to believe the figures less, of no known origin.
DOUBT = "doubt"


@dataclass(frozen=True)
class Remark:
    """A sentence, and its kind: one of those above, or of what disturbs a run, :data:`.quality.KINDS`."""

    kind: str
    text: str

    @property
    def disturbing(self) -> bool:
        """Whether a comparison with other runs would tell of this rather than of the engine."""
        return self.kind in KINDS


def told(remarks: Iterable[Remark]) -> dict[str, list[Any]]:
    """Return remarks as a document has them, each once: what disturbed a run is among its warnings."""
    once = list(dict.fromkeys(remarks))
    return {
        "warnings": [remark.text for remark in once if remark.kind != NOTE],
        "disturbed": [{"kind": remark.kind, "text": remark.text} for remark in once if remark.disturbing],
        "notes": [remark.text for remark in once if remark.kind == NOTE],
    }
