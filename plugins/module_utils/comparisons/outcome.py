# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a comparison showed: each variant's figures, verdicts between them, and what to choose. All pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.comparisons import verdicts
from ansible_collections.inference.fleet.plugins.module_utils.comparisons.progress import Failure, Progress, members
from ansible_collections.inference.fleet.plugins.module_utils.comparisons.verdicts import Values, Verdict
from ansible_collections.inference.fleet.plugins.module_utils.results import quality, series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.comparison import BETTER, WORSE, judgeable
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED

Document = Mapping[str, Any]
OUTPUT, FIRST, LAST_FIRST, NEXT = "output_throughput", "mean_ttft_ms", "p99_ttft_ms", "mean_tpot_ms"
# What the sentences speak of, and how they say that it is more, or less.
_SPOKEN = (
    (OUTPUT, "output", ("more", "less")),
    (FIRST, "TTFT mean", ("longer", "shorter")),
    (LAST_FIRST, "TTFT p99", ("longer", "shorter")),
    (NEXT, "TPOT mean", ("longer", "shorter")),
)
# What a document says of cost and energy, and where.
EFFICIENCY = (
    ("output_throughput_per_gpu", "Output per GPU", "tok/s"),
    ("cost_per_million_output_tokens_usd", "Cost", "US$ per million output tokens"),
    ("energy_per_output_token_j", "Energy", "J per output token"),
)


@dataclass(frozen=True)
class Measured:
    """What is known of one variant. *figures* are means over its runs, by metric; *values* are those that count."""

    name: str
    runs: tuple[Document, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, Values] = field(default_factory=dict)
    failures: tuple[tuple[str, Failure], ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A comparison of one or several hosts of one kind; *pairs* has the verdicts of a variant beside another."""

    id: str
    hosts: tuple[str, ...]
    rounds: int
    complete: bool
    variants: tuple[Measured, ...]
    pairs: Mapping[tuple[str, str], Mapping[str, Verdict]]

    @property
    def measured(self) -> tuple[Measured, ...]:
        """The variants that have a result."""
        return tuple(item for item in self.variants if item.runs)

    @property
    def simulated(self) -> bool:
        """Whether anything in it is simulated."""
        return any(run["simulated"] for item in self.variants for run in item.runs)

    @property
    def leader(self) -> Measured | None:
        """The variant with the most output, by its figure alone."""
        return max(self.measured, key=lambda item: item.figures.get(OUTPUT, 0.0), default=None)

    @property
    def winner(self) -> str | None:
        """The variant whose output is better than that of every other one that was measured; None where none is."""
        return self._best((OUTPUT,)) if len(self.measured) > 1 else None

    def _best(self, metrics: Sequence[str]) -> str | None:
        """Return the variant that is better than each other one in one of the metrics, and worse in none."""
        for item in self.measured:
            others = [other.name for other in self.measured if other is not item]
            judged = [[self._verdict(item.name, other, metric) for metric in metrics] for other in others]
            if all(BETTER in each and WORSE not in each for each in judged):
                return item.name
        return None

    def _verdict(self, one: str, other: str, metric: str) -> str | None:
        found = self.pairs.get((one, other), {}).get(metric)
        return found.verdict if found else None


def outcomes(comparisons: Iterable[Progress], documents: Iterable[Document]) -> tuple[Outcome, ...]:
    """Return what comparisons showed: hosts of one kind that compared the same are one outcome."""
    listed = list(documents)
    groups: dict[Any, list[tuple[Progress, list[tuple[Document, Mapping[str, Any]]]]]] = {}
    for progress in comparisons:
        runs = [(run, told) for run, told in members(listed, progress.id) if run["host"] == progress.host]
        # Variants may imitate several profiles; the host itself has one.
        kinds = sorted({(str(run["hardware"]["profile"]), run["simulated"]) for run, _told in runs})
        groups.setdefault((progress.fingerprint, tuple(kinds)), []).append((progress, runs))
    return tuple(_outcome(members_) for members_ in groups.values())


def of_documents(documents: Iterable[Document]) -> tuple[Outcome, ...]:
    """Return the comparisons that result documents alone tell of, the newest first: what failed is not among them."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    listed = [document for document in documents if document.get("comparison")]
    for document in listed:
        told = document["comparison"]
        known = found.setdefault(
            (told["id"], document["host"], told["fingerprint"]),
            {"names": {}, "rounds": 0, "at": document["started_at"]},
        )
        known["names"][told["variant"]] = None
        known["rounds"] = max(known["rounds"], told["rounds"])
    every = [
        Progress(identity, host, "", fingerprint, tuple(known["names"]), known["rounds"], (), known["at"], known["at"])
        for (identity, host, fingerprint), known in found.items()
    ]
    by_id: dict[str, list[Progress]] = {}
    for item in every:
        by_id.setdefault(item.id, []).append(item)
    return tuple(one for identity in sorted(by_id, reverse=True) for one in outcomes(by_id[identity], listed))


def _outcome(group: Sequence[tuple[Progress, Sequence[tuple[Document, Mapping[str, Any]]]]]) -> Outcome:
    first = group[0][0]
    runs = [(run, told["variant"]) for _progress, each in group for run, told in each]
    variants = tuple(
        _measured(
            name,
            [run for run, of in runs if of == name],
            [(item.host, failure) for item, _runs in group for failure in item.failures if failure.variant == name],
        )
        for name in first.variants
    )
    return Outcome(
        id=first.id,
        hosts=tuple(dict.fromkeys(item.host for item, _runs in group)),
        rounds=first.rounds,
        complete=all(item.finished_at for item, _runs in group),
        variants=variants,
        pairs={
            (one.name, other.name): found
            for one in variants
            for other in variants
            if one is not other and (found := _pair(one, other, variants))
        },
    )


def _measured(name: str, runs: Sequence[Document], failures: Sequence[tuple[str, Failure]]) -> Measured:
    ordered = sorted(runs, key=lambda run: (words.parse_time(run["started_at"]), run["run_id"]))
    left_out = [f"{run['run_id']}: {reason}" for run in ordered if (reason := _why_not(run))]
    counted = [run for run in ordered if not _why_not(run)]
    metrics = dict.fromkeys(metric for run in ordered for metric in series.metrics_of(run))
    figures, values = {}, {}
    for metric in metrics:
        # What does not count is shown only where nothing does.
        shown = [found for run in counted or ordered if (found := series.value(run, metric)) is not None]
        if shown:
            figures[metric] = statistics.fmean(shown)
        by_host: dict[str, list[float]] = {}
        for run in counted:
            found = series.value(run, metric)
            if found is not None:
                by_host.setdefault(run["host"], []).append(found)
        values[metric] = by_host
    return Measured(name, tuple(ordered), figures, values, tuple(failures), tuple(left_out))


def _why_not(run: Document) -> str | None:
    """Return why a run says nothing about its variant; None where it does."""
    if not judgeable(run, cold=False, published=False):
        return "not warmed up, or a request failed"
    return quality.disturbed(run)


def _pair(one: Measured, other: Measured, every: Sequence[Measured]) -> dict[str, Verdict]:
    # A simulation says nothing of a GPU.
    if not one.runs or not other.runs or one.runs[0]["simulated"] != other.runs[0]["simulated"]:
        return {}
    found = {}
    for metric in [metric.key for metric in COMPARED]:
        sides = [item.values.get(metric, {}) for item in (one, other)]
        verdict = verdicts.verdict(metric, *sides, [item.values.get(metric, {}) for item in every])
        if verdict:
            found[metric] = verdict
    return found


def efficiency(measured: Measured, key: str) -> float | None:
    """Return a figure of a variant's cost or energy, as a mean over its runs; None where a run does not tell it."""
    found = [(run.get("efficiency") or {}).get(key) for run in measured.runs]
    means = [value["mean"] if isinstance(value, Mapping) else value for value in found]
    return statistics.fmean(means) if means and None not in means else None


def sentences(outcome: Outcome) -> list[str]:
    """Return what to say of a comparison: how the others stand beside the leader, and what to choose."""
    leader = outcome.leader
    if leader is None:
        return ["Nothing was measured: every variant failed."]
    if len(outcome.measured) == 1:
        return [f"Only {leader.name} was measured: there is nothing to compare it with."]
    said = [_beside(outcome, leader, other) for other in outcome.measured if other is not leader]
    return [*said, _for_throughput(outcome, leader), _for_latency(outcome)]


def _beside(outcome: Outcome, one: Measured, other: Measured) -> str:
    found = outcome.pairs.get((one.name, other.name), {})
    if not found:
        mixed = one.runs[0]["simulated"] != other.runs[0]["simulated"]
        why = "one is simulated and the other is not" if mixed else "no run of one of them counts"
        return f"{one.name} and {other.name}: no verdict, as {why}."
    parts = []
    for metric, name, (more, less) in _SPOKEN:
        verdict = found.get(metric)
        if verdict is None:
            continue
        noise = f"the noise of {words.percent(verdict.margin)}"
        size = words.percent(abs(verdict.change))
        if verdict.verdict not in (BETTER, WORSE):
            parts.append(f"{name}: no difference that these runs show ({size}, within {noise})")
            continue
        how = more if verdict.change > 0 else less
        said = f"{size} more output" if (metric, how) == (OUTPUT, "more") else f"{name} {size} {how}"
        parts.append(f"{said}, beyond {noise}{_on_each(verdict)}")
    return f"{one.name} beside {other.name}: {'; '.join(parts)}."


def _on_each(verdict: Verdict) -> str:
    if len(verdict.changes) < 2:
        return ""
    low, high = (words.change(pick(verdict.changes.values())) for pick in (min, max))
    return f", from {low} to {high} on {len(verdict.changes)} hosts"


def _for_throughput(outcome: Outcome, leader: Measured) -> str:
    if outcome.winner is None:
        equal = [
            other.name
            for other in outcome.measured
            if other is not leader and outcome._verdict(leader.name, other.name, OUTPUT) != BETTER
        ]
        return f"For throughput: no choice between {_and([leader.name, *equal])} that these runs show."
    cost, others = efficiency(leader, EFFICIENCY[1][0]), [item for item in outcome.measured if item is not leader]
    costs = [(item.name, efficiency(item, EFFICIENCY[1][0])) for item in others]
    if cost is None or any(value is None for _name, value in costs):
        return f"For throughput choose {outcome.winner}."
    listed = ", ".join(f"{words.price(value)} with {name}" for name, value in costs)
    return f"For throughput choose {outcome.winner}: US$ {words.price(cost)} per million output tokens, {listed}."


def _for_latency(outcome: Outcome) -> str:
    best = outcome._best((FIRST, NEXT))
    if best:
        return f"For latency choose {best}."
    first, next_ = outcome._best((FIRST,)), outcome._best((NEXT,))
    if first and next_:
        return f"For latency it depends: {first} has the first token sooner, {next_} the following ones."
    if first or next_:
        sooner, which = (first, "the first token") if first else (next_, "each token after the first")
        rest = "those after it" if first else "the first"
        return f"For latency choose {sooner}: it has {which} sooner; of {rest} these runs show no best."
    return "For latency: no choice that these runs show."


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
