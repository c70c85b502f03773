# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine and hardware to rent: what was measured last of each configuration, at each load."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import efficiency
from ansible_collections.inference.fleet.plugins.module_utils.evaluations.kept import Told
from ansible_collections.inference.fleet.plugins.module_utils.history import regressions
from ansible_collections.inference.fleet.plugins.module_utils.reports import cohorts
from ansible_collections.inference.fleet.plugins.module_utils.reports.cohorts import Cohort
from ansible_collections.inference.fleet.plugins.module_utils.reports.sweeps import Point, Sweep
from ansible_collections.inference.fleet.plugins.module_utils.results import words
from ansible_collections.inference.fleet.plugins.module_utils.results.comparison import why_not
from ansible_collections.inference.fleet.plugins.module_utils.results.series import Document, Series, group, value

# What of a workload is how much is asked at once; the rest is what is asked.
_LOAD = ("max_concurrency", "request_rate", "num_prompts")
_PRECISIONS = ("--quantization", "--dtype", "--kv-cache-dtype")
_IN_NAME = re.compile(r"(?i)(?:^|[-_.])(nvfp4|mxfp4|fp8|bf16|int4|int8|awq|gptq|w4a16|w8a8)(?=$|[-_.])")


@dataclass(frozen=True)
class Column:
    """A figure of the table: *key* names it in JSON and CSV; *lower*: less is better."""

    key: str
    title: str
    unit: str
    read: Callable[[Document], float | None]
    lower: bool = True


def _per_gpu(document: Document) -> float | None:
    found = (document.get("efficiency") or {}).get("output_throughput_per_gpu")
    return found or value(document, "output_throughput")


COLUMNS = (
    Column("output_per_gpu", "Output per GPU", "tok/s", _per_gpu, lower=False),
    Column("tpot_ms", "TPOT", "ms", lambda document: value(document, "mean_tpot_ms")),
    Column("ttft_p99_ms", "TTFT p99", "ms", lambda document: value(document, "p99_ttft_ms")),
    Column("usd_per_million_output", "Output tokens", "US$/M", cohorts.cost_per_million_output),
    Column("usd_per_million_total", "All tokens", "US$/M", cohorts.cost_per_million),
    Column("kwh_per_million_output", "Energy", "kWh/M", cohorts.energy_per_million_output),
)
# Those that a user has limits for.
LIMITED = COLUMNS[1:3]
_PER_GPU, _TPOT, _TTFT, _COST = (column.key for column in COLUMNS[:4])


@dataclass(frozen=True)
class Offer:
    """One load of a configuration: the median *figures* of its hosts' latest runs, by :data:`COLUMNS`' keys.

    *why_not* says why they are no measure to choose by: simulated, cold, disturbed or failed; else it is empty. *runs*
    are those runs. *order* is the place from the cheapest of its question on, the same for every reader.
    """

    figures: Mapping[str, float | None]
    why_not: str
    runs: tuple[Document, ...]
    order: int = 0

    @property
    def any(self) -> Document:
        return self.runs[0]

    @property
    def load(self) -> str:
        """How much was asked at once, such as C(32) requests in flight or C(4/s)."""
        workload = self.any["workload"]
        rate = workload.get("request_rate")
        return words.count(workload.get("max_concurrency")) if not rate else f"{rate:g}/s"

    @property
    def hosts(self) -> int:
        return len({run["host"] for run in self.runs})


@dataclass(frozen=True)
class Configuration:
    """A row of the table: one engine, version, profile and precision with one model, asked one question.

    *offers* come by load; *question* is the model and shape of its requests, which rows must share to be compared.
    """

    system: str
    version: str
    precision: str
    simulated: bool
    question: tuple[str, str]
    offers: tuple[Offer, ...]

    @property
    def runs(self) -> tuple[Document, ...]:
        return tuple(run for offer in self.offers for run in offer.runs)

    @property
    def best(self) -> Offer:
        """The cheapest of its loads that is a measure, else of all."""
        return min(self.offers, key=lambda offer: (bool(offer.why_not), offer.order))


@dataclass(frozen=True, order=True)
class Score:
    """The last score of a model by one *benchmark*: *value* is a share."""

    benchmark: str
    value: float

    @property
    def text(self) -> str:
        """Such as C(human_eval 90.5 %)."""
        return f"{self.benchmark} {words.percent(self.value)}"


@dataclass(frozen=True)
class Choice:
    """The answer to one question: the cheapest *row*, by money where *priced*, else by output per GPU."""

    question: tuple[str, str]
    row: Configuration
    priced: bool

    @property
    def sentence(self) -> str:
        """The answer in words; the question is said before it."""
        return sentence(self.row, self.row.best)


def scores(row: Configuration, evaluations: Iterable[Told]) -> tuple[Score, ...]:
    """Return the last scores of a row's engine, version, profile and model on its own hosts, by their benchmarks."""
    hosts = {run["host"] for offer in row.offers for run in offer.runs}
    run = row.offers[0].any

    def same(document: Document) -> bool:
        mine, theirs = run["engine"], document["engine"]
        return (
            (document["simulated"], document["model"].get("id")) == (row.simulated, row.question[0])
            and document["host"] in hosts
            and all(mine.get(key) == theirs.get(key) for key in ("name", "version", "profile"))
        )

    documents = [told.document for told in evaluations if same(told.document)]
    return tuple(sorted({Score(found["benchmark"]["name"], found["score"]["value"]) for found in documents}))


def sentence(row: Configuration, offer: Offer) -> str:
    """Return a load of a configuration in words, such as C(vLLM on 2x B200, 0.32.0, 32 at once: 2.12 US$ ...)."""
    figures = offer.figures
    name = f"{row.system}, {row.version or 'version unknown'}, {offer.load} at once"
    fast = f"TPOT {words.number(figures[_TPOT])} ms, TTFT p99 {words.number(figures[_TTFT])} ms"
    if figures[_COST] is not None:
        return f"{name}: {words.number(figures[_COST])} US$ per million output tokens, {fast}"
    return f"{name}: {words.number(figures[_PER_GPU])} tok/s per GPU (no run has a price), {fast}"


def table(every: Iterable[Series]) -> tuple[Configuration, ...]:
    """Return a row a configuration, measured ones first, by question and price. *every* has the points of sweeps."""
    listed = [cohort for item in group(every) for cohort in cohorts.cohorts(item)]
    rows: dict[tuple[Any, ...], list[tuple[Cohort, Offer]]] = {}
    for cohort in listed:
        of = cohort.series[0].subject
        shape = tuple(pair for pair in of.workload if pair[0] not in _LOAD)
        versions: dict[str, list[Document]] = {}
        for run in cohort.latest:
            versions.setdefault(run["engine"].get("version") or "", []).append(run)
        for version, runs in versions.items():
            key = (
                of.simulated,
                of.model,
                shape,
                of.profile,
                of.engine,
                of.configuration,
                of.revision,
                of.label,
                of.slo,
            )
            rows.setdefault((*key, version), []).append((cohort, _offer(runs)))
    found = [_row(key, members) for key, members in rows.items()]
    return tuple(
        sorted(
            _ordered(found),
            key=lambda row: (row.simulated, row.question, bool(row.best.why_not), row.best.order, row.system),
        )
    )


def choices(rows: Sequence[Configuration]) -> tuple[Choice, ...]:
    """Return the cheapest row of each question. Simulated, cold, disturbed and failed runs are no answer."""
    found: dict[tuple[str, str], Choice] = {}
    for row in rows:
        if not row.best.why_not:
            priced = row.best.figures[_COST] is not None
            found.setdefault(row.question, Choice(row.question, row, priced))
    return tuple(found.values())


def curve(row: Configuration) -> Sweep:
    """Return a row's loads as a sweep that can be drawn, those alone that have both figures."""
    known = [offer for offer in row.offers if offer.figures[_PER_GPU] and offer.figures[_TPOT]]
    pairs = [(offer.figures[_PER_GPU] or 0.0, 1000 / (offer.figures[_TPOT] or 1.0)) for offer in known]
    points = tuple(
        Point(offer.any["workload"].get("max_concurrency"), *pair, front, offer.any)
        for offer, pair, front in zip(known, pairs, efficiency.pareto(pairs), strict=True)
    )
    return Sweep(row.offers[0].any, points, f"{row.system}, {row.version}".rstrip(", "))


def precision(document: Document) -> str:
    """Return what tells a model's precision: the engine's options, else the model's own name; else nothing.

    >>> precision({"engine": {"argv": ["--dtype", "bfloat16"]}, "model": {"id": "a/b-FP8"}})
    'dtype bfloat16'
    """
    argv = document["engine"].get("argv") or ()
    words_of = [part for word in argv for part in word.split("=", 1)]
    told = [
        f"{name.removeprefix('--')} {words_of[place + 1]}"
        for name in _PRECISIONS
        for place, word in enumerate(words_of[:-1])
        if word == name and words_of[place + 1] != "auto"
    ]
    named = _IN_NAME.search(document["model"]["id"].rpartition("/")[2])
    return ", ".join(told) or (named.group(1).upper() if named else "")


def _offer(runs: Sequence[Document]) -> Offer:
    reasons = [why_not(run, cold=False, published=True) for run in runs]
    # Of several hosts those that were disturbed say nothing where others were not.
    sound = [run for run, reason in zip(runs, reasons, strict=True) if reason is None]
    counted = tuple(sound or runs)
    figures = {}
    for column in COLUMNS:
        figure = cohorts.median(map(column.read, counted))
        figures[column.key] = figure.middle if figure else None
    return Offer(figures, "" if sound else reasons[0] or "", counted)


def _row(key: tuple[Any, ...], members: Sequence[tuple[Cohort, Offer]]) -> Configuration:
    simulated, model, _shape, *_others, version = key
    newest = max(words.parse_time(run["started_at"]) for _cohort, offer in members for run in offer.runs)
    # A load that nobody asked for in a month is none of today's.
    oldest = newest - timedelta(days=regressions.MAX_AGE)
    offers = [offer for _cohort, offer in members if words.parse_time(offer.runs[-1]["started_at"]) >= oldest] or [
        members[0][1]
    ]
    offers.sort(key=lambda offer: (offer.any["workload"].get("max_concurrency") or 0, offer.any["run_id"]))
    document = offers[0].any
    workload = document["workload"]
    shape = f"{words.count(workload['input_length'])} in, {words.count(workload['output_length'])} out"
    return Configuration(members[0][0].system, version, precision(document), simulated, (model, shape), tuple(offers))


def _ordered(rows: Sequence[Configuration]) -> list[Configuration]:
    """Return the rows with each offer's place from the cheapest on: by money, then by output per GPU."""
    offers = sorted((offer for row in rows for offer in row.offers), key=_price)
    places = {id(offer): place for place, offer in enumerate(offers)}
    return [
        Configuration(
            **{
                **vars(row),
                "offers": tuple(Offer(**{**vars(offer), "order": places[id(offer)]}) for offer in row.offers),
            }
        )
        for row in rows
    ]


def _price(offer: Offer) -> tuple[bool, float, float]:
    cost = offer.figures[_COST]
    return cost is None, cost or 0.0, -(offer.figures[_PER_GPU] or 0.0)
