# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks that go with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
from typing import IO, Any


def taken(lock: IO[Any]) -> bool:
    """Take the lock of an open file where nobody else has it, and tell whether it is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
