# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last run of each host as Prometheus reads it, in the text format of node_exporter's textfile collector.

Pure: the same documents give the same text. Units are the base units of Prometheus: seconds, not milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.history import environment, regressions
from ansible_collections.inference.fleet.plugins.module_utils.results import quality, series, words
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import Subject

Document = Mapping[str, Any]
Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]

PREFIX = "inference_fleet_"
_THROUGHPUTS = (
    ("output_throughput", "output_tokens_per_second", "Output tokens a second."),
    ("total_token_throughput", "total_tokens_per_second", "Input and output tokens a second."),
    ("request_throughput", "requests_per_second", "Requests a second."),
)
_EFFICIENCY = (
    ("output_throughput_per_gpu", "output_tokens_per_second_per_gpu", "Output tokens a second and GPU."),
    ("gpu_power_w", "gpu_power_watts", "Mean power of all the engine's GPUs."),
    ("energy_per_output_token_j", "energy_joules_per_output_token", "Energy of the GPUs by output tokens."),
    (
        "cost_per_million_output_tokens_usd",
        "cost_usd_per_million_output_tokens",
        "Price of the GPUs by output tokens, in US dollars.",
    ),
)
# How a run's surroundings are labelled.
_INFO = {
    "engine version": "engine_version",
    "image digest": "image_digest",
    "model revision": "model_revision",
    "driver": "driver",
    "GPU": "gpu",
}


def text(
    documents: Iterable[Document],
    found: Sequence[Mapping[str, Any]] = (),
    damaged: int = 0,
    absent: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return the metrics of the last run of each series.

    *found* has the regressions, as items of :class:`.regressions.Finding`; *damaged* counts files that could not be
    read, *absent* has the hosts that were not measured, as :class:`.absence.Absent`.
    """
    ordered = sorted(documents, key=lambda document: (words.parse_time(document["started_at"]), document["run_id"]))
    latest = sorted(
        ((_labels(item.subject), item.runs) for item in series.all_series(ordered)), key=lambda pair: pair[0]
    )
    lines: list[str] = []
    for name, explained, samples in _families(latest, found):
        lines += family(name, explained, samples)
    missing: list[tuple[Labels, Mapping[str, Any]]] = [
        ((("host", item["host"]), *((("port", str(item["port"])),) if item.get("port") else ())), item)
        for item in absent
    ]
    lines += family(
        "host_not_measured",
        "1 for a host, or one of its engines, without the run that was to be.",
        [(of, 1) for of, _item in missing],
    )
    last = [(of, words.parse_time(item["since"]).timestamp()) for of, item in missing if item["since"]]
    lines += family("host_not_measured_since_timestamp_seconds", "When the last run of such a host began.", last)
    lines += family("history_documents", "Result documents in the history.", [((), len(ordered))])
    lines += family("history_damaged_files", "Files in the history that are no result document.", [((), damaged)])
    return "\n".join(lines) + "\n"


def _families(
    latest: Sequence[tuple[Labels, Sequence[Document]]], found: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, list[Sample]]]:
    runs = [(labels, history[-1]) for labels, history in latest]
    for key, name, explained in _THROUGHPUTS:
        yield f"run_{name}", f"{explained} Mean over the repeats of the last run.", _samples(runs, key)
    yield "run_latency_seconds", "Latencies of the last run, mean over its repeats.", list(_latencies(runs))
    for key, name, explained in _EFFICIENCY:
        values = [(labels, _mean((run.get("efficiency") or {}).get(key))) for labels, run in runs]
        yield f"run_{name}", f"{explained} Of the last run.", [(labels, item) for labels, item in values if item]
    yield (
        "run_variation_ratio",
        "Coefficient of variation of the output throughput over the repeats of the last run.",
        [
            (labels, run["metrics"]["output_throughput"]["cv"])
            for labels, run in runs
            if (run["metrics"].get("output_throughput") or {}).get("cv") is not None
        ],
    )
    yield (
        "run_published_ratio",
        "Output throughput of the last run by the published figure of its engine and profile.",
        [
            (labels, ratio)
            for labels, run in runs
            if (ratio := series.compared(series.baseline(run), "output_throughput", "ratio")) is not None
        ],
    )
    yield (
        "run_end_timestamp_seconds",
        "When the last run ended.",
        [(labels, words.parse_time(run["finished_at"]).timestamp()) for labels, run in runs],
    )
    yield (
        "run_warnings",
        "Warnings on the quality of the last run.",
        [(labels, len(run["quality"]["warnings"])) for labels, run in runs],
    )
    yield "run_gates", "Gates of the last run by their outcome.", list(_gates(runs))
    yield "run_info", "What the last run was measured on.", [((*labels, *_info(run)), 1) for labels, run in runs]
    yield "series_runs", "Runs in the history.", [(labels, len(history)) for labels, history in latest]
    yield from _regressions(runs, found)


def _regressions(
    runs: Sequence[tuple[Labels, Document]], found: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, list[Sample]]]:
    watched = [
        name for name in regressions.METRICS if name in regressions.LEAST or name in {i["metric"] for i in found}
    ]
    flags: list[Sample] = []
    changes: list[Sample] = []
    since: list[Sample] = []
    for labels, run in runs:
        for metric in watched:
            if not series.value(run, metric) or quality.marked(run, metric):
                continue
            own = (*labels, ("metric", metric))
            mine = [item for item in found if item["metric"] == metric and ("subject", item["subject"]) in labels]
            flags.append((own, len(mine[:1])))
            changes += [(own, item["change_percent"] / 100) for item in mine[:1]]
            since += [(own, words.parse_time(item["since"]).timestamp()) for item in mine[:1]]
    yield "regression", "1 where the host became slower, or is slower than its siblings; 0 where not.", flags
    yield "regression_change_ratio", "By how much, as a share of what was before.", changes
    yield "regression_since_timestamp_seconds", "When the first run that shows it began.", since


def _labels(of: Subject) -> Labels:
    """Return what tells a series from every other one: in words, and by the subject's id."""
    return (
        ("host", of.host),
        ("slot", of.slot),
        ("profile", of.profile),
        ("engine", of.engine),
        ("model", of.model),
        ("workload", words.workload(dict(of.workload))),
        ("label", of.label),
        ("simulated", "true" if of.simulated else "false"),
        ("subject", of.id),
    )


def _info(document: Document) -> Labels:
    facts = environment.facts(document)
    known = {"run_id": document["run_id"], "engine_image": (document["engine"].get("image") or {}).get("reference")}
    known |= {label: facts[name] for name, label in _INFO.items()}
    return tuple((label, _joined(value)) for label, value in known.items() if value)


def _joined(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _samples(runs: Sequence[tuple[Labels, Document]], key: str) -> list[Sample]:
    values = [(labels, series.value(run, key)) for labels, run in runs]
    return [(labels, value) for labels, value in values if value is not None]


def _latencies(runs: Sequence[tuple[Labels, Document]]) -> Iterator[Sample]:
    for labels, run in runs:
        for measure in ("ttft", "tpot", "itl", "e2el"):
            for statistic in ("mean", "median", "p99"):
                key = f"{statistic}_{measure}_ms"
                value = series.value(run, key)
                if value is not None:
                    # A chunk of several tokens is not the time from one token to the next.
                    named = "chunk_gap" if quality.marked(run, key) else measure
                    yield (*labels, ("measure", named), ("statistic", statistic)), value / 1000


def _gates(runs: Sequence[tuple[Labels, Document]]) -> Iterator[Sample]:
    for labels, run in runs:
        outcomes = [gate["passed"] for gate in run.get("gates") or ()]
        for outcome, passed in (("failed", False), ("not_judged", None), ("passed", True)):
            yield (*labels, ("outcome", outcome)), outcomes.count(passed)


def _mean(value: Any) -> float | None:
    return value.get("mean") if isinstance(value, Mapping) else value


def family(name: str, explained: str, samples: Sequence[Sample]) -> Iterator[str]:
    """Yield the lines of a family of gauges. One without a sample is left out."""
    if not samples:
        return
    yield f"# HELP {PREFIX}{name} {explained}"
    yield f"# TYPE {PREFIX}{name} gauge"
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escape(of)}"' for label, of in labels)
        yield f"{PREFIX}{name}{'{' + inner + '}' if inner else ''} {value:.10g}"


def _escape(value: str) -> str:
    return words.clean(value).replace("\\", "\\\\").replace('"', '\\"')
