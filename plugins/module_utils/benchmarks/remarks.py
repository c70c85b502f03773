# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader is told beside the figures of a run, and how much it weighs."""

from __future__ import annotations

from dataclasses import dataclass

# Worth knowing, and no reason to believe the figures less.
NOTE = "note"
# A reason to believe the figures less, of no known origin.
DOUBT = "doubt"
# What disturbed a run: its figures are not the engine's own. In a document these are the kinds of quality.disturbed.
OTHERS = "others"
NEIGHBOUR = "neighbour"
THROTTLED = "throttled"
CLIENT = "client"
COUNTS = "counts"
DISTURBED = (OTHERS, NEIGHBOUR, THROTTLED, CLIENT, COUNTS)


@dataclass(frozen=True)
class Remark:
    """A sentence, and its kind: one of those above."""

    kind: str
    text: str

    @property
    def disturbing(self) -> bool:
        """Whether a comparison with other runs would tell of this rather than of the engine."""
        return self.kind in DISTURBED
