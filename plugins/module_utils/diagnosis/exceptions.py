# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exceptions that a log tells of, and which one ended the start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.lines import QUIET, Line

_TRACEBACK = "Traceback (most recent call last):"
# A class of an exception at the line's beginning: with a module before it, or named as exceptions are. An import or a
# warning in the middle of a sentence is none.
_NAME = re.compile(
    r"(?:[+| ]*)(?P<name>(?:[a-z_]\w*\.)+[A-Z]\w*|[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Iteration|Abort|Timeout))"
    r"(?:: (?P<text>.*)|:?)$"
)
# Between two exceptions of which one followed the other.
_CHAIN = ("During handling of the above exception", "The above exception was the direct cause")
# What begins a new thing, whoever writes it.
_NEW = re.compile(r"Process [\w:-]+:$|\[rank\d+\]|\[[WEF]\d{4} |" + "|".join(map(re.escape, _CHAIN)))
# What a message of several lines may have.
_LONGEST = 24
# Pydantic's head and tail, which say nothing of the cause.
_COUNTED = re.compile(r"^\d+ validation errors? for \S+\s*")
_TAIL = re.compile(r"\s*\[type=\w+, input_value=.*|\s*For further information visit \S+.*", re.DOTALL)


@dataclass(frozen=True)
class Raised:
    """One exception: its class with its module, its message with line breaks, and the process that told of it.

    C(survived) tells that the process went on with its work.
    """

    name: str
    text: str
    process: str = ""
    place: int = 0
    survived: bool = False

    @property
    def whole(self) -> str:
        """All of it, as Python prints it."""
        return f"{self.name}: {self.text}" if self.text else self.name

    def quoted(self, limit: int = 300) -> str:
        """Return it in one line, of at most so many characters."""
        told = " ".join(_TAIL.sub("", _COUNTED.sub("", self.text)).split())
        name = self.name.rpartition(".")[2]
        line = f"{name}: {told}" if told else name
        return line if len(line) <= limit else line[:limit].rstrip() + " …"


def raised(lines: Sequence[Line]) -> list[Raised]:
    """Return the exceptions of a log in its order."""
    found: list[Raised] = []
    inside: dict[str, bool] = {}
    owner, index = "", 0
    while index < len(lines):
        line = lines[index]
        process = line.process or (owner if inside.get(owner) else "")
        if _TRACEBACK in line.text:
            inside[process], owner = True, process
            index += 1
            continue
        match = _NAME.match(line.text)
        if match and line.level not in QUIET and _is_one(match, lines, index, inside.get(process, False)):
            more = _rest(lines, index, process)
            text = "\n".join([match.group("text") or "", *(item.text for item in more)]).strip()
            found.append(Raised(match.group("name"), text, process, index))
            inside[process] = False
            index += len(more)
        index += 1
    return [_with_fate(item, lines) for item in found]


def first_to_fail(found: Iterable[Raised], echoes: Iterable[str]) -> list[Raised]:
    """Return the exceptions by how near they are to the cause: the last of the process that failed first leads.

    *echoes* match those that only say that another process failed. They, and what a process survived, are left out.
    """
    patterns = [re.compile(pattern) for pattern in echoes]
    own = [item for item in found if not item.survived and not any(pattern.search(item.whole) for pattern in patterns)]
    processes = list(dict.fromkeys(item.process for item in own))
    return sorted(own, key=lambda item: (processes.index(item.process), -item.place))


def _is_one(match: re.Match[str], lines: Sequence[Line], index: int, inside: bool) -> bool:
    """Tell whether a line that begins as an exception does is one: in a traceback, or with what it says."""
    if inside or match.group("text"):
        return True
    # Without text it could be any word: it follows the line of code that raised it.
    return index > 0 and lines[index - 1].text.startswith("  ") and lines[index - 1].process == lines[index].process


def _rest(lines: Sequence[Line], index: int, process: str) -> list[Line]:
    """Return the further lines of an exception's message."""
    begin, rest = lines[index], []
    for line in lines[index + 1 : index + 1 + _LONGEST]:
        same = line.head == begin.head or (not line.head and line.text.startswith(" "))
        # A message of several lines has its head, where that has a time, at the first line only.
        if not begin.head:
            same = not line.head
        if not same or _TRACEBACK in line.text or _NEW.match(line.text):
            break
        name = _NAME.match(line.text)
        if name and name.group("text") and not line.text.startswith(" "):
            break
        rest.append(line)
    return rest


def _with_fate(item: Raised, lines: Sequence[Line]) -> Raised:
    """Tell of an exception whether its process went on to work: it says so, and not that it ends."""
    ends = re.compile(r"(?i)shut|exit|terminat|stop|clean|kill|abort|destroy")
    goes_on = any(
        line.level == "INFO" and line.process == item.process and not ends.search(line.text)
        for line in lines[item.place + 1 :]
    )
    return Raised(item.name, item.text, item.process, item.place, goes_on and bool(item.process))
