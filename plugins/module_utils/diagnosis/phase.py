# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a start is, from the lines of an engine's log."""

from __future__ import annotations

import re
from dataclasses import dataclass

# tqdm's bar: "Capturing CUDA graphs: 17%|█▋   | 6/35 [00:04<00:20, 1.41it/s]"; what it is about may be left out.
_BAR = re.compile(r"(?:(?P<what>[^|%\r\n]*?):? +)?\d+% ?(?:Completed ?)?\|[^|]*?\|? ?(?P<done>\d+)/(?P<total>\d+) \[")


@dataclass(frozen=True)
class Phase:
    """One phase of a start; C(done) of C(total) where it counts."""

    name: str
    done: int | None = None
    total: int | None = None

    def __str__(self) -> str:
        return self.name if self.done is None else f"{self.name}: {self.done} of {self.total}"

    @property
    def tenth(self) -> int | None:
        """How many tenths are done; None where nothing is counted."""
        return self.done * 10 // self.total if self.done is not None and self.total else None


@dataclass(frozen=True)
class Phases:
    """The phases that an engine tells of.

    C(lines) are pairs of a regular expression and the phase, which may name the expression's groups as {0}, {1}.
    C(bars) are pairs of an expression that is sought in what a progress bar is about, and the phase that it counts;
    a bar that none fits is told in its own words.
    """

    lines: tuple[tuple[str, str], ...] = ()
    bars: tuple[tuple[str, str], ...] = ()

    def read(self, line: str) -> Phase | None:
        """Return the phase that a line tells of; a bar that a terminal would overwrite is read where it stands last."""
        bars = list(_BAR.finditer(line))
        if bars:
            return self._counted(bars[-1])
        for pattern, text in self.lines:
            match = re.search(pattern, line)
            if match:
                return Phase(text.format(*match.groups()))
        return None

    def _counted(self, found: re.Match[str]) -> Phase | None:
        what = (found.group("what") or "").strip()
        done, total = int(found.group("done")), int(found.group("total"))
        for pattern, text in self.bars:
            if re.search(pattern, what):
                return Phase(text, done, total)
        return Phase(what[:60].lower(), done, total) if what else None
