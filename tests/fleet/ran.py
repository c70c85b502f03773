# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook came to on hosts of the tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ran:
    """A playbook's exit code, what it printed, and its summary, by host; *hosts* are those that outcomes are of."""

    code: int
    output: str
    summary: dict[str, Any]
    hosts: Sequence[str]

    def __getitem__(self, host: str) -> dict[str, Any]:
        return next(each for each in self.summary["hosts"] if each["host"] == host)

    @property
    def outcomes(self) -> list[str]:
        return [self[host]["outcome"] for host in self.hosts]
