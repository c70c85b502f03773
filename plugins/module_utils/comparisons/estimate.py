# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a comparison takes, told before it begins: time, disk, money. All pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.comparisons.variants import Turn
from ansible_collections.inference.fleet.plugins.module_utils.results import series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.published import published

# Seconds that an engine takes to start, where nothing is known of it: with compiled kernels in its cache, and without.
_START, _FIRST_START, _SIMULATOR = 240, 600, 10
# Around each benchmark, in seconds: looks, checks, the client's own start. A simulator's is not compiled, nor large.
_AROUND, _AROUND_SIMULATOR = 45, 20
# Bytes a second at which images and weights come, where nothing is known.
_RATE = 300e6
_GIB = 2**30
SIMULATOR = "simulator"


@dataclass(frozen=True)
class Work:
    """What each turn measures: *workloads* are its points, in a document's names; *repeats* are without the warm-up."""

    workloads: tuple[Mapping[str, Any], ...]
    repeats: int
    warm_up: bool


@dataclass(frozen=True)
class Estimate:
    """Seconds, bytes to bring, US dollars; None where nothing tells. *unknown* names the variants without a time."""

    seconds: float
    bring_bytes: float
    cost: float | None
    price: float | None
    unknown: tuple[str, ...] = ()


def estimate(
    turns: Sequence[Turn],
    looks: Mapping[str, Mapping[str, Any]],
    work: Work,
    earlier: Iterable[Mapping[str, Any]],
    price: float | None,
    restarts: int,
) -> Estimate:
    """Return what turns take.

    *looks* has of each variant C(engine), C(profile), C(model) and C(fetch), which is what the module engine tells of
    an engine that is only to be fetched. *earlier* are documents, the newest last; *restarts* are the starts besides
    those of the turns; *price* is US dollars an hour.
    """
    documents = list(earlier)
    seconds, unknown, started = 0.0, [], set()
    for turn in turns:
        look = looks[turn.variant]
        measured = _measuring(look, work, documents)
        if measured is None:
            unknown.append(turn.variant)
        starting = _START if turn.variant in started else _FIRST_START
        started.add(turn.variant)
        simulator = look["engine"] == SIMULATOR
        seconds += _SIMULATOR + _AROUND_SIMULATOR if simulator else starting + _AROUND
        seconds += measured or 0.0
    names = dict.fromkeys(turn.variant for turn in turns)
    bring = sum(gib for _disk, gib, _what in _due(looks[name] for name in names)) * _GIB
    seconds += bring / _RATE
    if turns:
        simulated = all(looks[name]["engine"] == SIMULATOR for name in names)
        seconds += restarts * (_SIMULATOR if simulated else _START)
    cost = seconds / 3600 * price if price else None
    return Estimate(seconds, bring, cost, price, tuple(dict.fromkeys(unknown)))


def lacking(looks: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return which file systems cannot hold what is to be brought for all variants together."""
    needs: dict[Any, list[tuple[Mapping[str, Any], float, str]]] = {}
    for disk, gib, what in _due(looks):
        if disk:
            needs.setdefault(disk["device"], []).append((disk, gib, what))
    found = []
    for items in needs.values():
        total, disk = sum(gib for _disk, gib, _what in items), items[0][0]
        if total > disk["free_gib"]:
            parts = ", ".join(f"{gib:.0f} GiB for {what}" for _disk, gib, what in items)
            found.append(
                f"disk: wanted {total:.0f} GiB in {disk['path']} for all variants together ({parts}), found "
                f"{disk['free_gib']:.0f} GiB free. Make room, use another disk (engine_cache_dir), or compare fewer."
            )
    return found


def _due(looks: Iterable[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any] | None, float, str]]:
    """Return disk, GiB and name of each image and each model's weights that are not there yet, each once."""
    found: dict[str, tuple[Mapping[str, Any] | None, float, str]] = {}
    for look in looks:
        for item in look.get("fetch") or ():
            if not item["here"] and item.get("gib"):
                found[item["what"]] = (item.get("disk"), item["gib"], item["what"])
    return list(found.values())


def _measuring(look: Mapping[str, Any], work: Work, documents: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the seconds of one turn's repeats and warm-ups; None where nothing tells how fast such an engine is."""
    total = 0.0
    for workload in work.workloads:
        rate = _tokens_per_second(look, workload, documents)
        if rate is None:
            return None
        tokens = workload["num_prompts"] * (workload["input_length"] + workload["output_length"])
        total += tokens / rate * (work.repeats + bool(work.warm_up))
    return total


def _tokens_per_second(
    look: Mapping[str, Any], workload: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]
) -> float | None:
    """Return the total token throughput of the newest run like it, or else that of the published row."""
    lengths = ("input_length", "output_length", "max_concurrency")
    for document in reversed(documents):
        alike = (series.engine(document), series.profile(document), document["model"]["id"]) == (
            _plays(look, "engine"),
            _plays(look, "profile"),
            look["model"],
        )
        if alike and all(document["workload"].get(key) == workload.get(key) for key in lengths):
            return series.value(document, "total_token_throughput")
    row = published(_plays(look, "engine"), _plays(look, "profile") or "")
    if row is None:
        return None
    theirs, at_once = row["workload"], workload.get("max_concurrency") or row["workload"]["max_concurrency"]
    # Output takes nearly all of the time: each request streams at the pace of its tokens.
    shares = [part["input_length"] / 20 + part["output_length"] for part in (theirs, workload)]
    seconds = (
        shares[1]
        / shares[0]
        * theirs["max_concurrency"]
        * ((theirs["input_length"] + theirs["output_length"]) / row["metrics"]["total_token_throughput"])
    )
    waves = -(-workload["num_prompts"] // min(at_once, workload["num_prompts"]))
    tokens = workload["num_prompts"] * (workload["input_length"] + workload["output_length"])
    return tokens / (waves * seconds)


def _plays(look: Mapping[str, Any], what: str) -> Any:
    played = look.get("simulates") if look["engine"] == SIMULATOR else None
    return played[what] if played else look[what]


def sentence(variants: int, rounds: int, turns: int, found: Estimate) -> str:
    """Return an estimate in one line.

    >>> sentence(2, 2, 4, Estimate(11400, 181e9, 51.8, 16.36))
    '2 variants, 2 rounds, 4 turns to take: about 3 h 10 min, 181 GB to bring, US$ 51.80 at 16.36 an hour'
    """
    parts = [f"about {_span(found.seconds)}"]
    if found.unknown:
        parts = [
            f"{_span(found.seconds)} and the benchmarks of {', '.join(found.unknown)}, of which no figure is known"
        ]
    parts.append(f"{found.bring_bytes / 1e9:,.0f} GB to bring" if found.bring_bytes else "nothing to bring")
    if found.cost is not None:
        at_least = "at least " if found.unknown else ""
        parts.append(f"{at_least}US$ {words.price(found.cost)} at {words.price(found.price)} an hour")
    return f"{variants} variants, {_number(rounds, 'round')}, {_number(turns, 'turn')} to take: {', '.join(parts)}"


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _span(seconds: float) -> str:
    return words.span(max(60, 60 * round(seconds / 60)) if seconds >= 90 else seconds)
