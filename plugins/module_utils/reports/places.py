# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many parts of a page share, named by its place in a list."""

from __future__ import annotations

from typing import Any


class Places(dict[Any, int]):
    """Values in the order in which they were met, each with its place."""

    def place(self, value: Any) -> int:
        """Return the place of a value, which is the next one where it is new."""
        return self.setdefault(value, len(self))
