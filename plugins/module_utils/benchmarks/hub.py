# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the Hugging Face cache a benchmark wants to know."""

from __future__ import annotations

from pathlib import Path


def revision(model: str, cache_dir: str | None) -> str | None:
    """Return the commit of a hub model as the host has it cached; None for a directory, or where it is not cached."""
    if not cache_dir or model.startswith("/"):
        return None
    reference = Path(cache_dir) / "hub" / f"models--{model.replace('/', '--')}" / "refs" / "main"
    try:
        return reference.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
