# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions of ansible-core that the collection supports, by version of Python; a table tells what they showed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
# scripts/parts makes them.
PLACE = ROOT / ".build/ansible"
CORES = ("2.19-3.11", "2.19-3.12", "2.19-3.13", "2.20-3.12", "2.20-3.13", "2.21-3.12", "2.21-3.13")


@pytest.fixture(params=CORES)
def core(request: pytest.FixtureRequest) -> Path:
    """Return the programs of an ansible-core."""
    place = PLACE / request.param
    if not (place / "made-from").exists():
        reason = PLACE / f"{request.param}.reason"
        pytest.skip(reason.read_text().strip() if reason.exists() else "'make test PARTS=ansible' makes it")
    return place / "bin"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table: a row a version, with what each test gave."""
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.getreports(outcome):
            name, _bracket, version = report.nodeid.rpartition("::")[2].rstrip("]").partition("[")
            if version in CORES and (report.when == "call" or outcome != "passed"):
                rows[version][name] = f"{outcome} ({report.duration:.0f} s)" if outcome != "skipped" else outcome
    if not rows:
        return
    tests = sorted({name for row in rows.values() for name in row})
    terminalreporter.section("ansible-core by Python")
    heads = ["ansible-core", "Python", *(name.removeprefix("test_").replace("_", " ") for name in tests)]
    lines = [[*version.split("-"), *(row.get(name, "-") for name in tests)] for version, row in sorted(rows.items())]
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    for line in [heads, *lines]:
        told = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        terminalreporter.write_line(told.rstrip())
