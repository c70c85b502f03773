# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was sampled during a run as a few short series, so that a result document tells how the run went."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

# A document has at most so many values of each.
MOST = 40

# A time of time.monotonic() with a value, and which GPU it is of; one of the engine has no name.
Value = tuple[float, str, float]


def series(
    gpus: Iterable[tuple[float, Any]], engine: Iterable[tuple[float, Any]], begin: float, end: float, interval: float
) -> dict[str, Any] | None:
    """Return the means of equal parts of the time from *begin* to *end*, in seconds; None where nothing was sampled.

    Parts are no shorter than *interval*, at which was sampled, so that none of them is empty by chance. *gpus* and
    *engine* are a sampler's. Power is that of all GPUs together, the clock their mean, the temperature the highest.
    """
    duration = end - begin
    if not 0 < duration < math.inf:
        return None
    parts = max(1, min(MOST, math.floor(duration / interval)))
    listed, looks = list(gpus), list(engine)

    def of_gpus(name: str) -> list[Value]:
        return [(moment, gpu.uuid, gpu.figures[name]) for moment, gpu in listed if name in gpu.figures]

    def of_engine(read: Callable[[Any], float | None]) -> list[Value]:
        values = ((moment, read(look)) for moment, look in looks)
        return [(moment, "", value) for moment, value in values if value is not None]

    def told(values: Sequence[Value], together: Callable[[list[float]], float]) -> list[float | None] | None:
        return _told(values, together, begin, duration, parts)

    found = {
        **{name: told(of_gpus(name), together) for name, together in _OF_GPUS.items()},
        "running": told(of_engine(lambda look: look.running), _mean),
        "waiting": told(of_engine(lambda look: look.waiting), _mean),
        "kv_cache_usage": told(of_engine(lambda look: look.kv_cache_usage), _mean),
    }
    return {"part_s": round(duration / parts, 3), **found} if any(found.values()) else None


def joined(own: dict[str, Any] | None, of_hosts: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Return *own* series with the GPUs of all of *of_hosts*, series of the same time; without where one has none."""
    known = [each for each in of_hosts if each]
    base = own or next(iter(known), None)
    if base is None:
        return None
    found = dict(base)
    for name, together in _OF_GPUS.items():
        rows = [each[name] for each in known if each[name] and len(each[name]) == len(known[0][name] or ())]
        whole = bool(rows) and len(rows) == len(of_hosts)
        found[name] = (
            [None if None in part else float(f"{together(list(part)):.4g}") for part in zip(*rows, strict=True)]
            if whole
            else None
        )
    return found


def _told(
    values: Sequence[Value], together: Callable[[list[float]], float], begin: float, duration: float, parts: int
) -> list[float | None] | None:
    """Return the value of each part; None in a part in which one of the GPUs did not tell."""
    if not values:
        return None
    names = {name for _moment, name, _value in values}
    held: list[dict[str, list[float]]] = [{} for _part in range(parts)]
    for moment, name, value in values:
        place = math.floor((moment - begin) / duration * parts)
        if 0 <= moment - begin <= duration:
            held[min(place, parts - 1)].setdefault(name, []).append(value)
    return [
        float(f"{together([_mean(found) for found in part.values()]):.4g}") if part.keys() == names else None
        for part in held
    ]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


# How the GPUs' values of one moment become one.
_OF_GPUS: dict[str, Callable[[list[float]], float]] = {
    "power_w": sum,
    "clock_sm_mhz": _mean,
    "temperature_c": max,
}
