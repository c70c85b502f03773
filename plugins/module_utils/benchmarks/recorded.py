# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs of hosts on which no client ran: from what such a host wrote down into the result document. All pure.

A window is the time of a repeat's requests: C(begin) and C(end) in seconds since the epoch, by the clock of the
client's host, and C(duration_s); or None where that is not known. The clocks of the hosts have to agree within about a
second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import (
    disturbances,
    efficiency,
    over_time,
    telemetry,
)
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.remarks import DOUBT, Remark, told
from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_counters, gpu_recording, gpu_samples

Document = dict[str, Any]
Window = Mapping[str, float]
_OF_GPUS = ("gpus", "missing_gpus", "neighbours")


def samples(lines: Iterable[tuple[float, str, str]], gpus: Sequence[str]) -> telemetry.Samples:
    """Return what the lines of a recording tell; *gpus* has the UUIDs of the engine's."""
    found = telemetry.Samples()
    for moment, kind, text in lines:
        if kind == gpu_recording.ENERGY:
            energy = gpu_counters.parse_energy(text)
            if energy and energy[0] in gpus:
                found.energy.append((moment, *energy))
        else:
            sample = gpu_samples.parse(text)
            if sample:
                (found.gpus if sample.uuid in gpus else found.neighbours).append((moment, sample))
    return found


def summaries(
    recorded: telemetry.Samples, windows: Iterable[Window | None], gpus: Sequence[str]
) -> list[dict[str, Any] | None]:
    """Return what a document's telemetry says of GPUs in each window; None for a window that is not known."""
    return [_summary(recorded, window, gpus) if window else None for window in windows]


def _summary(recorded: telemetry.Samples, window: Window, gpus: Sequence[str]) -> dict[str, Any]:
    begin, end = window["begin"], window["end"]
    return {
        **telemetry.of_gpus(recorded, begin, end, window["duration_s"], gpus),
        "over_time": over_time.series(recorded.gpus, (), begin, end, telemetry.INTERVAL),
    }


def windows(document: Document) -> list[dict[str, float] | None]:
    """Return the windows of a document's repeats, those of a sweep's later points last."""
    return [
        {"begin": window[0], "end": window[1], "duration_s": repeat["duration_s"]} if window else None
        for point in _points(document)
        for repeat in point["repeats"]
        for window in [(repeat["telemetry"] or {}).get("window")]
    ]


def complete(
    document: Document, hosts: Sequence[str], recordings: Mapping[str, Sequence[Mapping[str, Any] | None]]
) -> None:
    """Put what *hosts* wrote down into a document: telemetry, energy, and what may have disturbed a repeat.

    *recordings* has by host a summary for each of :func:`windows`; a host that is not in it wrote nothing down.
    """
    if not hosts:
        return
    silent = [host for host in hosts if not any(recordings.get(host) or ())]
    number = 0
    for point in _points(document):
        remarks = [
            Remark(DOUBT, f"the GPUs of {host} were not recorded: their energy is not known, nor what slowed them")
            for host in silent
        ]
        for repeat in point["repeats"]:
            title = f"benchmark {repeat['index']}/{len(point['repeats'])}: "
            found = {host: None if host in silent else recordings[host][number] for host in hosts}
            for host, summary in found.items():
                remarks += _put(repeat, summary, title, None if host == document["host"] else host)
            _put_over_time(repeat["telemetry"], found.values(), document["host"] in hosts)
            number += 1
        rows = [(each["telemetry"] or {}, each["duration_s"], each["total_output_tokens"]) for each in point["repeats"]]
        point["efficiency"].update(efficiency.energy([] if silent else rows))
        for kind, texts in told(remarks).items():
            point["quality"][kind] += texts
    swept = (document.get("sweep") or {}).get("points")
    if swept:
        swept[0].update({name: document[name] for name in ("efficiency", "quality")})


def _points(document: Document) -> Iterator[Document]:
    """Give what a document says of each workload, with its repeats: those of a sweep's first are the document's own."""
    yield document
    yield from ((document.get("sweep") or {}).get("points") or ())[1:]


def _put_over_time(seen: dict[str, Any] | None, of_hosts: Iterable[Mapping[str, Any] | None], alone: bool) -> None:
    """Put the GPUs of all hosts into the series of a repeat; *alone*: the client's host has none of the engine's."""
    if seen is not None:
        own = seen.get("over_time")
        rows = [each and each["over_time"] for each in of_hosts]
        seen["over_time"] = over_time.joined(own, rows if alone else [own, *rows])


def _put(repeat: dict[str, Any], summary: Mapping[str, Any] | None, title: str, host: str | None) -> list[Remark]:
    """Put one host's GPUs into the telemetry of a repeat; return what is to be said of them."""
    seen = repeat["telemetry"]
    if seen is None or summary is None:
        return []
    named = {"host": host} if host else {}
    for key in _OF_GPUS:
        rows = summary[key]
        if rows is not None:
            rows = rows if key == "missing_gpus" else [{**row, **named} for row in rows]
            seen[key] = [*(seen.get(key) or ()), *rows]
    of = f"{title}{host}: " if host else title
    remarks = disturbances.remarks({**summary, "client": None, "host": None}, repeat["duration_s"])
    return [Remark(remark.kind, f"{of}{remark.text}") for remark in remarks]
