# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A log, line by line: which process a line is of, how grave it is, and what it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Colours and movements of a terminal.
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# vLLM: (EngineCore pid=788) ERROR 11-26 05:31:44 [core.py:1165] what it says. A process may be named twice.
_PROCESS = re.compile(r"\(([\w.-]+(?: [\w=.-]+)*? pid=\d+[^()]*)\) ?")
_LEVEL = re.compile(
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)"
    r"(?:: | +[\d-]+ [\d:.]+ (?:\[[^\]]*\]|[\w.]+:\d+\])) ?"
)
# SGLang: [2025-03-29 18:18:34 TP0] what it says.
_STAMP = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: (?P<process>[A-Z][\w ]*))?\] ?")
QUIET = ("DEBUG", "INFO", "WARNING")


@dataclass(frozen=True)
class Line:
    """One line. C(process) is empty where the line names none, and C(level) where it tells none.

    C(head) is all that was before the text: lines of one message have the same.
    """

    text: str
    process: str = ""
    level: str = ""
    head: str = ""


def read(log: str) -> Iterator[Line]:
    """Yield the lines of a log that say something. A return ends a line too: progress bars write over themselves."""
    for raw in _ESCAPE.sub("", log).splitlines():
        if raw.strip():
            yield _line(raw.rstrip())


def _line(raw: str) -> Line:
    rest, process, level = raw, "", ""
    while match := _PROCESS.match(rest):
        # The one that is named last is the one that speaks.
        process, rest = match.group(1), rest[match.end() :]
    stamp = _STAMP.match(rest)
    if stamp:
        process, rest = stamp.group("process") or process, rest[stamp.end() :]
    match = _LEVEL.match(rest)
    if match:
        level, rest = match.group("level"), rest[match.end() :]
    return Line(rest, process, level, raw[: len(raw) - len(rest)].rstrip())


def last(log: str, count: int = 20) -> list[str]:
    """Return the last lines of a log that say something."""
    return [line.rstrip() for line in log.splitlines() if line.strip()][-count:]


def without(lines: Iterable[Line], harmless: Iterable[str]) -> list[Line]:
    """Return the lines that match none of these regular expressions."""
    patterns = [re.compile(pattern) for pattern in harmless]
    return [line for line in lines if not any(pattern.search(line.text) for pattern in patterns)]
