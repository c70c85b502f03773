# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result document as it lies in memory among ten thousand: its few figures at hand, the rest compressed.

Most readers of a history ask each document for its subject, its time and its figures, and few documents for more. What
many runs share (host, engine, model) is one object for all of them.
"""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from typing import Any, ClassVar, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.results.subject import Subject, subject

# What is asked of every run, and what many runs have in common. A sweep that is none is asked for as well.
_AT_HAND = (
    *("run_id", "host", "started_at", "finished_at", "simulated", "simulates", "warm", "label", "slo", "workload"),
    *("quality", "streaming", "comparison"),
)
_SHARED = ("hardware", "engine", "model")
# So many whole documents stay unpacked: a reader goes through one after the other, and asks each for much.
_UNPACKED = 32


class Row(NamedTuple):
    """A document as the index keeps it: texts of JSON, the last and longest of which is compressed."""

    subject: str
    shared: str
    head: str
    body: bytes


class Stored(Mapping[str, Any]):
    """A document that behaves as the dictionary that was read. *figures* has the mean of every metric."""

    __slots__ = ("_body", "_head", "_shared", "figures", "subject")
    _unpacked: ClassVar[OrderedDict[int, tuple[bytes, dict[str, Any]]]] = OrderedDict()

    def __init__(
        self, of: Subject, figures: Mapping[str, float], head: Mapping[str, Any], shared: Mapping[str, Any], body: bytes
    ) -> None:
        self.subject = of
        self.figures = figures
        self._head = head
        self._shared = shared
        self._body = body

    def __getitem__(self, key: str) -> Any:
        if key in self._head:
            return self._head[key]
        if key in self._shared:
            return self._shared[key]
        return self._rest()[key]

    def __iter__(self) -> Iterator[str]:
        yield from self._head
        yield from self._shared
        yield from self._rest()

    def __len__(self) -> int:
        return len(self._head) + len(self._shared) + len(self._rest())

    def __repr__(self) -> str:
        return f"<{self['run_id']}>"

    def whole(self) -> dict[str, Any]:
        """Return all of it as a dictionary, for who asks it for much."""
        return {**self._head, **self._shared, **_unpacked(self._body)}

    def _rest(self) -> dict[str, Any]:
        key = id(self._body)
        known = Stored._unpacked.get(key)
        if known is not None and known[0] is self._body:
            Stored._unpacked.move_to_end(key)
            return known[1]
        rest = _unpacked(self._body)
        Stored._unpacked[key] = (self._body, rest)
        if len(Stored._unpacked) > _UNPACKED:
            Stored._unpacked.popitem(last=False)
        return rest


def pack(document: Mapping[str, Any]) -> Row:
    """Return a document that was checked as the index keeps it."""
    figures = {name: metric["mean"] for name, metric in document["metrics"].items() if metric}
    head = {key: document.get(key) for key in _AT_HAND}
    if not document.get("sweep"):
        head["sweep"] = None
    rest = {key: value for key, value in document.items() if key not in head and key not in _SHARED}
    return Row(
        _text(astuple(subject(document))),
        _text({key: document[key] for key in _SHARED}),
        _text([figures, head]),
        zlib.compress(_text(_lighter(rest)).encode(), 1),
    )


class Unpacker:
    """Makes documents of rows, and one object of what is the same in many."""

    def __init__(self) -> None:
        self._subjects: dict[str, Subject] = {}
        self._shared: dict[str, dict[str, Any]] = {}

    def document(self, row: Row) -> Stored:
        """Return the document of a row. ValueError, TypeError or KeyError where it is none."""
        of = self._subjects.get(row.subject)
        if of is None:
            of = self._subjects[row.subject] = _subject(json.loads(row.subject))
        shared = self._shared.get(row.shared)
        if shared is None:
            shared = self._shared[row.shared] = json.loads(row.shared)
        figures, head = json.loads(row.head)
        return Stored(of, figures, head, shared, row.body)


def _subject(fields: list[Any]) -> Subject:
    *plain, configuration, label, workload, slo = fields
    return Subject(*plain, tuple(configuration), label, *(tuple(map(tuple, pairs)) for pairs in (workload, slo)))


def _lighter(rest: dict[str, Any]) -> dict[str, Any]:
    """Return the rest of a document without the metrics of its repeats, where the document's own have them all again.

    Numbers are most of what is read, and take most of its time.
    """
    return {
        **rest,
        "repeats": [
            {key: value for key, value in repeat.items() if key != "metrics"}
            if repeat["metrics"] == _metrics(rest, place)
            else repeat
            for place, repeat in enumerate(rest["repeats"])
        ],
    }


def _unpacked(body: bytes) -> dict[str, Any]:
    """Undo :func:`_lighter`, and the compression."""
    rest: dict[str, Any] = json.loads(zlib.decompress(body))
    for place, repeat in enumerate(rest["repeats"]):
        if "metrics" not in repeat:
            repeat["metrics"] = _metrics(rest, place)
    return rest


def _metrics(rest: Mapping[str, Any], place: int) -> dict[str, Any]:
    """Return the metrics of a repeat as the document's own have them."""
    return {
        name: metric["values"][place]
        for name, metric in rest["metrics"].items()
        if metric and len(metric.get("values") or ()) > place
    }


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
