# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who used what of a gateway, a day: from the lines of its log to a table."""

# A month's log does not fit into what run_command returns: it is read as it comes.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import collections
import csv
import glob
import gzip
import io
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import config
from ansible_collections.inference.fleet.plugins.module_utils.host.command import search_path

_MARK = '{"at":'
# HAProxy's letters for how a session ended: its client, its engine.
_CUT = ("C", "S")


@dataclass
class Use:
    """What one client asked of one model on one day. *tokens_of* is how many answers told their tokens.

    *cut* are answers that began and did not end, by the client or its engine. Sizes in bytes.
    """

    requests: int = 0
    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    cut: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_of: int = 0

    def add(self, line: dict[str, Any]) -> None:
        """Add a request."""
        self.requests += 1
        self.statuses[str(int(line["status"]))] += 1
        self.cut += line["status"] == 200 and str(line["ended"])[:1] in _CUT
        self.bytes_in += int(line["bytes_in"])
        self.bytes_out += int(line["bytes_out"])
        told = [str(line.get(name, "-")) for name in ("tokens_in", "tokens_out")]
        if told[0].isdigit():
            self.tokens_of += 1
            self.tokens_in += int(told[0])
            self.tokens_out += int(told[1]) if told[1].isdigit() else 0


@dataclass
class Usage:
    """Uses by day (UTC), client and model, empty for one that is not known; *unread* lines were none of a gateway's."""

    uses: dict[tuple[str, str, str], Use] = field(default_factory=lambda: collections.defaultdict(Use))
    unread: int = 0

    def take(self, lines: Iterable[str], since: float, until: float) -> None:
        """Take lines of a log, from *since* until before *until*, in seconds since 1970."""
        for text in lines:
            start = text.find(_MARK)
            if start < 0:
                continue
            try:
                line = json.loads(text[start:])
                at = float(line["at"])
                if since <= at < until:
                    day = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d")
                    self.uses[day, _known(line["client"]), _known(line["model"])].add(line)
            except (ValueError, KeyError, TypeError):
                self.unread += 1

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a day, client and model, as results have it."""
        return [
            {"day": day, "client": client, "model": model, **vars(use), "statuses": dict(sorted(use.statuses.items()))}
            for (day, client, model), use in sorted(self.uses.items())
        ]


def _known(name: str) -> str:
    return "" if name == "-" else name


def journal(since: float, until: float) -> Iterator[str]:
    """Return the lines of the journal. FleetError where there is none."""
    argv = ["journalctl", "-t", config.NAME, "-o", "cat", "--no-pager", "-q"]
    argv += ["--since", f"@{int(since)}", "--until", f"@{int(until) + 1}"]
    with tempfile.TemporaryFile() as words:
        try:
            with subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=words, env={"PATH": search_path(), "LC_ALL": "C"}
            ) as process:
                yield from io.TextIOWrapper(process.stdout, encoding="utf-8", errors="replace")
        except OSError as error:
            raise FleetError(
                f"wanted the gateway's log in the journal, found no journalctl ({error.strerror}). Give the files that "
                "have it: gateway_usage_files."
            ) from error
        if process.returncode:
            words.seek(0)
            said = words.read().decode("utf-8", "replace").strip()
            raise FleetError(f"the journal could not be read: {said or f'exit code {process.returncode}'}.")


def lines_of(patterns: Iterable[str]) -> Iterator[str]:
    """Return the lines of files, rotated and compressed ones too, each file once. FleetError where there is none."""
    paths: dict[str, None] = {}
    for pattern in patterns:
        found = sorted(glob.glob(pattern))
        if not found:
            raise FleetError(f"wanted the gateway's log in {pattern}, found no such file.")
        paths.update(dict.fromkeys(found))
    for path in paths:
        try:
            opened = gzip.open if path.endswith(".gz") else open
            with opened(path, "rt", encoding="utf-8", errors="replace") as stream:
                yield from stream
        except (OSError, EOFError) as error:
            raise FleetError(f"{path} cannot be read: {error}.") from error


_COLUMNS = ("requests", "2xx", "4xx", "5xx", "cut", "tokens_in", "tokens_out", "tokens_of", "bytes_in", "bytes_out")


def cells(row: dict[str, Any]) -> list[str]:
    """Return a row as the table has it: statuses by their first digit."""
    kinds = {f"{digit}xx": sum(n for status, n in row["statuses"].items() if status[0] == digit) for digit in "245"}
    numbers = {**row, **kinds}
    return [row["day"], row["client"] or "-", row["model"] or "-", *(str(numbers[name]) for name in _COLUMNS)]


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return the table of rows, its head first."""
    return [["day", "client", "model", *_COLUMNS], *(cells(row) for row in rows)]


def untold(rows: list[dict[str, Any]]) -> str:
    """Return in words what the tokens of rows are not of, empty where every answer told its own."""
    answered = sum(row["statuses"].get("200", 0) for row in rows)
    silent = answered - sum(row["tokens_of"] for row in rows)
    if silent <= 0:
        return ""
    return (
        f"{silent} of {answered} answers told no tokens, and count for none: streams do where gateway_stream_tokens is "
        "true, of OpenAI's chat and completions only those whose clients set stream_options.include_usage."
    )


def as_csv(rows: list[list[str]]) -> str:
    """Return a table as CSV.

    >>> as_csv([["day", "client"], ["2026-11-26", "anna"]])
    'day,client\\n2026-11-26,anna\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
