# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fault suite tried, and what held: filled by its tests, printed at the end of the run."""

from __future__ import annotations

NOTED: list[tuple[str, str]] = []
