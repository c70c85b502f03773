# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmark clients leave behind, read with care."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

_PROGRESS_BAR = re.compile(r"(\d+)/(\d+) \[")


class Reader:
    """Numbers of a client's raw result, or a FleetError that says which one is not there."""

    def __init__(self, raw: Mapping[str, Any], source: str) -> None:
        self._raw = raw
        self._source = source

    def require(self, keys: Iterable[str], since: str) -> None:
        """Raise FleetError that names all keys that are missing; *since* says which versions write them."""
        missing = [key for key in keys if key not in self._raw]
        if missing:
            raise FleetError(
                f"{self._source} cannot be used: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing. "
                f"{since}"
            )

    def number(self, key: str) -> float:
        """Return a finite number."""
        value = self._raw.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            found = "is missing" if key not in self._raw else f"is {value!r}"
            raise FleetError(
                f"{self._source} cannot be used: {key} {found}, wanted a number. "
                "Is it the output of a client version that is not known here?"
            )
        return float(value)

    def integer(self, key: str) -> int:
        """Return a count."""
        value = self.number(key)
        if value != int(value) or value < 0:
            raise FleetError(f"{self._source} cannot be used: {key} is {value}, wanted a count")
        return int(value)


def json_object(path: Path, client: str) -> dict[str, Any]:
    """Return the JSON object in a file that a client should have written."""
    return _object(_text(path, client), path, client)


def last_json_line(path: Path, client: str) -> dict[str, Any]:
    """Return the last line of a file of JSON lines: clients append a line a run."""
    return _object(_text(path, client).strip().splitlines()[-1], path, client)


def json_lines(path: Path, client: str) -> list[dict[str, Any]]:
    """Return every object of a file of JSON lines."""
    return [_object(line, path, client) for line in _text(path, client).splitlines() if line.strip()]


def errors(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what became of the requests that failed, each once, of a raw result with a list of C(errors).

    A client's traceback says it in its last line.
    """
    listed = raw.get("errors")
    texts = [str(error).strip() for error in listed] if isinstance(listed, list) else []
    return tuple(dict.fromkeys(text.splitlines()[-1] for text in texts if text))


def details(raw: Mapping[str, Any], completed: int) -> dict[str, Any]:
    """Return what a raw result tells of single requests, as fields of RepeatResult; nothing where it does not tell.

    Of C(vllm bench serve --save-detailed) and C(sglang.benchmark.serving --output-details): lists with an item a
    request, in the order in which they were sent, times in seconds. C(itls) has the gaps between an answer's chunks,
    which with the time to the first one make up its latency.
    """
    ttfts, itls, tokens = (raw.get(key) for key in ("ttfts", "itls", "output_lens"))
    inputs = raw.get("input_lens")
    lists = (ttfts, itls, tokens, inputs)
    if not completed or not all(isinstance(value, list) and len(value) == completed for value in lists):
        return {}
    latencies = [ttft + sum(gaps) for ttft, gaps in zip(ttfts, itls, strict=True)]
    decoded = [
        (latency - ttft) / (count - 1)
        for latency, ttft, count in zip(latencies, ttfts, tokens, strict=True)
        if count > 1
    ]
    values = {
        "ttft_ms": ttfts,
        "tpot_ms": decoded,
        "itl_ms": [gap for gaps in itls for gap in gaps],
        "e2el_ms": latencies,
    }
    return {
        "values": {name: [1000 * value for value in listed] for name, listed in values.items()},
        "input_lengths": tuple(inputs),
        "chunks": sum(len(gaps) + 1 for gaps in itls),
    }


def without_lists(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a raw result without its lists, which have an item a request, or a token, and are most of its size."""
    return {name: value for name, value in raw.items() if not isinstance(value, list)}


def last_of_progress_bar(log: str) -> int | None:
    """Return how far tqdm's last progress bar in a log is."""
    bars = _PROGRESS_BAR.findall(log)
    return int(bars[-1][0]) if bars else None


def _text(path: Path, client: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FleetError(f"{client} left no result: {path.name} was not written") from None
    except UnicodeDecodeError as error:
        raise FleetError(f"{client} left no usable result: {path.name} is not text ({error.reason})") from error
    if not text.strip():
        raise FleetError(f"{client} left no usable result: {path.name} is empty")
    return text


def _object(text: str, path: Path, client: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise FleetError(f"{client} left no usable result: {path.name} is not whole JSON ({error})") from error
    if not isinstance(value, dict):
        raise FleetError(f"{client} left no usable result: {path.name} holds {type(value).__name__}, wanted an object")
    return value
