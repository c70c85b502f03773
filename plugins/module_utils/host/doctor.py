# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One table for a group of hosts: a row a host, well or the first thing to mend. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 1
WELL, SICK, UNREACHABLE = "ok", "FAILED", "UNREACHABLE"
_COLUMNS = ("host", "profile", "driver", "docker", "state")
_UNKNOWN = "-"


@dataclass(frozen=True)
class Row:
    """A host in the table, and in the document."""

    host: str
    state: str
    text: str
    cells: tuple[str, str, str]
    document: dict[str, Any]


def row(host: str, result: Mapping[str, Any], ignored: Sequence[str] = ()) -> Row:
    """Return the row of a host from what host_info gave there, or what Ansible said instead."""
    if "checks" not in result:
        state = UNREACHABLE if result.get("unreachable") else SICK
        said = next(
            (str(result[key]) for key in ("module_stderr", "msg", "module_stdout") if result.get(key)), "no word"
        )
        reason = re.sub(r"\s+", " ", said).strip().removeprefix("Task failed: ").rstrip(":")
        document = {"ok": False, "reachable": state != UNREACHABLE, "error": reason, "mend": None}
        return Row(host, state, reason, (_UNKNOWN, _UNKNOWN, _UNKNOWN), {**document, "checks": [], "host": None})
    failing = [check for check in result["checks"] if not check["ok"] and check["name"] not in ignored]
    required = [check for check in failing if check["required"]]
    first = required[0] if required else None
    facts = result["host"]
    if first:
        more = f" (and {len(required) - 1} more)" if len(required) > 1 else ""
        text = f"{first['name']}: found {first['found']}; wanted {first['wanted']}. {first['remedy']}{more}"
    else:
        text = "".join(f"advice, {check['name']}: {check['found']}. " for check in failing).strip()
    document = {"ok": first is None, "reachable": True, "error": None, "mend": first}
    return Row(
        host,
        SICK if first else WELL,
        text,
        (facts["profile"], facts["driver_version"] or _UNKNOWN, facts["docker"]["version"] or _UNKNOWN),
        {**document, "checks": result["checks"], "host": facts},
    )


def table(rows: Sequence[Row], paint: Callable[[str, bool], str] = lambda text, well: text) -> str:
    """Return the rows as text under their heads; *paint* colours a state.

    What there is to mend follows the state in the same line: a line a host, for grep.
    """
    lines = [_COLUMNS, *((item.host, *item.cells, item.state) for item in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(_COLUMNS))]
    printed = ["  ".join(cell.upper().ljust(width) for cell, width in zip(_COLUMNS, widths, strict=True)).rstrip()]
    for item in rows:
        cells = [cell.ljust(width) for cell, width in zip((item.host, *item.cells), widths, strict=False)]
        state = paint(item.state.ljust(widths[-1] if item.text else 0), item.state == WELL)
        printed.append("  ".join([*cells, state, *([item.text] if item.text else [])]))
    return "\n".join(printed)


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the rows as a document: ``{"schema_version", "ok", "hosts": {NAME: {"ok", "reachable", "error", "mend",
    "checks", "host"}}}``, of which ``mend`` is the first failing check that an engine needs.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "ok": all(item.document["ok"] for item in rows),
        "hosts": {item.host: item.document for item in rows},
    }


def summary(rows: Sequence[Row]) -> str:
    """Return how many hosts are well, in a sentence."""
    sick = [item.host for item in rows if item.state != WELL]
    listed = f": {', '.join(sick[:10])}{' and more' if len(sick) > 10 else ''}" if sick else ""
    return f"{len(rows) - len(sick)} of {len(rows)} hosts are ready for an engine" + (f"; not{listed}" if sick else "")
