# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain progress lines from a module on a host to the person on the controller."""

from __future__ import annotations

from pathlib import Path


class Progress:
    """Append lines to a file that the controller follows; without a path, say nothing.

    A line equal to the one before it is dropped, so callers may report in a loop.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = Path(path) if path else None
        self._last: str | None = None

    def say(self, text: str) -> None:
        """Append one line. Whatever line breaks the text has are made spaces."""
        line = " ".join(text.split())
        if self._path is None or line == self._last:
            return
        self._last = line
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
