# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host still waits for: notes that the host role leaves before it changes something, and that a boot removes.

A role that is cut off half-way leaves its notes, and the next run finishes.
"""

from __future__ import annotations

from pathlib import Path

# /run is empty after a boot, which is a restart of everything.
DIRECTORY = Path("/run/inference.fleet")
REBOOT, DOCKER_RESTART = "reboot", "docker_restart"


def found(directory: Path = DIRECTORY) -> dict[str, str | None]:
    """Return ``{"reboot", "docker_restart"}``: why each is due, or ``None``."""
    return {name: _read(directory / f"{name}_due") for name in (REBOOT, DOCKER_RESTART)}


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
