# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cause of a failure: how it is recognised, and what its reader is told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """One cause. C(told) is a sentence or two without the last full stop: what is wrong, and what to do.

    It may name groups of the regular expression C(pattern) as {what}; one that found nothing is empty. A pattern sees
    one exception with all of its lines, or all lines of a log; a dot stays within a line.
    """

    pattern: str
    told: str


def find(causes: Iterable[Cause], text: str) -> str | None:
    """Return what the first cause that fits a text tells."""
    for cause in causes:
        match = re.search(cause.pattern, text)
        if match:
            groups = {name: " ".join((value or "").split()) for name, value in match.groupdict().items()}
            return cause.told.format(**groups)
    return None
