# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as a reader sees them: numbers, times, names and commands."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

_LINES = str.maketrans("", "", "\n\t")
NOTHING = "\N{EN DASH}"
_TIMES = "\N{MULTIPLICATION SIGN}"
_ENGINES = {"vllm": "vLLM", "sglang": "SGLang"}


def clean(text: object, lines: bool = False) -> str:
    """Return *text* without characters that could move a terminal's cursor or break a document.

    Control characters, bidirectional overrides and lone surrogates become U+FFFD. With *lines*,
    line breaks and tabs stay; otherwise they become spaces.
    """
    text = str(text)
    # Nearly every text is: a report cleans hundreds of thousands.
    if text.isprintable() or (lines and text.translate(_LINES).isprintable()):
        return text
    keep = "\n\t" if lines else ""
    return "".join(
        char if char.isprintable() or char in keep else " " if char in "\r\n\t" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def shorten(text: str, width: int) -> str:
    """Cut the middle out of a text longer than *width*.

    >>> shorten("abcdefghij", 7)
    'abc…hij'
    """
    if len(text) <= width:
        return text
    head = width // 2
    return text[:head] + "…" + text[len(text) - (width - head - 1) :]


def number(value: float | None) -> str:
    """Return a measurement with at least three significant digits, and no more than it can bear.

    A whole number, as published figures are, stays one.

    >>> [number(value) for value in (19617.4, 933.2, 14.04, 14, 1.5, 0.01234)]
    ['19,617', '933', '14.0', '14', '1.50', '0.0123']
    """
    if value is None:
        return NOTHING
    if isinstance(value, int) or value == 0:
        return f"{value:,.0f}"
    size = abs(value)
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    if size >= 0.9995:
        return f"{value:.2f}"
    return f"{value:.{min(12, 2 - math.floor(math.log10(size)))}f}"


def count(value: float | None) -> str:
    """Return a whole number with separators; a fraction is kept.

    >>> count(65536)
    '65,536'
    """
    if value is None:
        return NOTHING
    return f"{value:,}" if isinstance(value, int) or value != int(value) else f"{int(value):,}"


def price(value: float | None) -> str:
    """Return an amount of money to the cent, as it was given.

    >>> price(16.36)
    '16.36'
    """
    return NOTHING if value is None else f"{value:,.2f}"


def ratio(value: float | None) -> str:
    """Return measured ÷ published.

    >>> [ratio(value) for value in (1.0, 0.034, 12.34, 187.2)]
    ['1.00', '0.034', '12.3', '187']
    """
    if value is None:
        return NOTHING
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    if abs(value) >= 0.0995 or value == 0:
        return f"{value:.2f}"
    return f"{value:.2g}" if abs(value) >= 0.0001 else f"{value:.0e}"


def percent(value: float | None) -> str:
    """Return a fraction as a percentage.

    >>> percent(0.0123)
    '1.2 %'
    """
    return NOTHING if value is None else f"{value * 100:.1f} %"


def parse_time(text: str) -> datetime:
    """Return an RFC 3339 time in UTC; ValueError where *text* is none."""
    # Python 3.10 does not know the Z.
    moment = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "Zz" else text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(timezone.utc)


def when(text: str) -> str:
    """Return a time as ``2026-11-23 15:30 UTC``."""
    return f"{minute(text)} UTC"


def minute(text: str) -> str:
    """Return a time as ``2026-11-23 15:30``, where it is said elsewhere that it is UTC."""
    return parse_time(text).strftime("%Y-%m-%d %H:%M")


def day(text: str) -> str:
    """Return the day of a time, in UTC."""
    return parse_time(text).strftime("%Y-%m-%d")


def change(value: float | None) -> str:
    """Return a change of a fraction as a percentage with its sign.

    >>> change(-0.0123).encode("ascii", "replace"), change(0.2), change(-0.0001)
    (b'?1.2 %', '+20.0 %', '0.0 %')
    """
    if value is None:
        return NOTHING
    text = f"{value * 100:+.1f} %".replace("-", "\N{MINUS SIGN}")
    return text[1:] if text[1:] == "0.0 %" else text


def duration(start: str, end: str) -> str:
    """Return the time between two times.

    >>> duration("2026-11-23T15:30:00Z", "2026-11-23T15:31:05Z")
    '1 min 5 s'
    """
    return span((parse_time(end) - parse_time(start)).total_seconds())


def span(seconds: float) -> str:
    """Return a number of seconds, in minutes or hours where that reads better."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def engine(name: str) -> str:
    """Return an engine's name as its makers write it."""
    return _ENGINES.get(name, name)


def profile(name: str) -> str:
    """Return a profile as people write it.

    >>> profile("h100x4").encode("ascii", "replace"), profile("cpu")
    (b'4? H100', 'CPU')
    >>> profile("2xh100x8").encode("ascii", "replace"), profile("cpu/h100x4").encode("ascii", "replace")
    (b'2 hosts of 8? H100', b'CPU and 4? H100')
    """
    hosts = re.fullmatch("([0-9]+)x(.+)", name)
    if hosts:
        return f"{hosts[1]} hosts of {profile(hosts[2])}"
    if "/" in name:
        return " and ".join(map(profile, name.split("/")))
    family, mark, number_of = name.rpartition("x")
    if mark and family and number_of.isdigit():
        return f"{number_of}{_TIMES} {family.upper()}"
    return name.upper() if name == "cpu" else name


def sentence(text: str) -> str:
    """Return a remark with a capital and a full stop.

    >>> sentence("one repeat: nothing is known")
    'One repeat: nothing is known.'
    """
    text = clean(text).strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def outcome(gate: Mapping[str, Any]) -> str:
    """Return what became of a gate.

    >>> [outcome({"passed": passed, "why": "the run is simulated"}) for passed in (True, False, None)]
    ['met', 'FAILED', 'not judged (the run is simulated)']
    """
    if gate["passed"] is None:
        return f"not judged ({gate['why']})" if gate.get("why") else "not judged"
    return "met" if gate["passed"] else "FAILED"


def prompts(value: int) -> str:
    """Return a number of prompts with its word."""
    return f"{value:,} prompt" + ("" if value == 1 else "s")


def workload(values: Mapping[str, Any]) -> str:
    """Return a workload in one line, such as ``8,192 in, 1,024 out, 512 prompts, 32 at once``."""
    parts = [
        f"{count(values['input_length'])} in",
        f"{count(values['output_length'])} out",
        prompts(values["num_prompts"]),
    ]
    concurrency = values.get("max_concurrency")
    parts.append("no concurrency limit" if concurrency is None else f"{count(concurrency)} at once")
    if values.get("request_rate") is not None:
        parts.append(f"{number(values['request_rate'])} requests/s")
    if values.get("random_range_ratio"):
        parts.append(f"lengths \u00b1 {100 * values['random_range_ratio']:g} %")
    return ", ".join(parts)


def command(argv: Iterable[str]) -> str:
    """Return an argv as a command for a shell, one long option a line."""
    lines: list[str] = []
    for word in map(clean, argv):
        if not lines or word.startswith("--"):
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    # Arguments without their program stand in one column.
    return (" \\\n" if lines and lines[0].startswith("-") else " \\\n  ").join(lines)


def gpus(devices: Sequence[Mapping[str, Any]]) -> str:
    """Return the GPUs of a host, equal ones together, each with its memory and limits."""
    kinds: dict[str, int] = {}
    for device in devices:
        kind = str(device.get("name", "unknown GPU"))
        for key, unit in (("memory_mib", "MiB"), ("power_limit_w", "W limit"), ("clock_max_sm_mhz", "MHz SM maximum")):
            if isinstance(device.get(key), (int, float)):
                kind += f", {count(device[key])} {unit}"
        kinds[kind] = kinds.get(kind, 0) + 1
    return "; ".join(f"{times}{_TIMES} {kind}" for kind, times in kinds.items())


def aligned(rows: Sequence[Sequence[str]], numbers_from: int | None = None) -> list[str]:
    """Return a line a row, in columns as wide as their widest cell; columns from *numbers_from* on stand to the right.

    >>> aligned([("A", "B"), ("long", "x")])
    ['A     B', 'long  x']
    >>> aligned([("day", "requests"), ("1", "7")], numbers_from=1)
    ['day  requests', '1           7']
    """
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    left = len(widths) if numbers_from is None else numbers_from
    return [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
