# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make ``ansible_collections.inference.fleet`` importable from the checkout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".build" / "collections"

if not (COLLECTIONS / "ansible_collections" / "inference" / "fleet").exists():
    raise RuntimeError(f"{COLLECTIONS} has no link to the checkout: run 'make setup' first")
sys.path.insert(0, str(COLLECTIONS))

CASES = Path(__file__).parent / "cases"


@pytest.fixture(scope="session")
def case() -> Callable[[str], str]:
    """Return what a public case says; the first line of its file tells where it is from, and what it is to show."""

    def text(name: str) -> str:
        return (CASES / f"{name}.txt").read_text(encoding="utf-8").partition("\n")[2]

    return text
