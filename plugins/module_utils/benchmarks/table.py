# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result document as a short table of plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import subject, words

# Metric, label, unit, decimals.
ROWS = (
    ("output_throughput", "Output throughput", "tok/s", 1),
    ("total_token_throughput", "Total throughput", "tok/s", 1),
    ("mean_ttft_ms", "TTFT mean", "ms", 1),
    ("p99_ttft_ms", "TTFT p99", "ms", 1),
    ("mean_tpot_ms", "TPOT mean", "ms", 2),
    ("p99_tpot_ms", "TPOT p99", "ms", 2),
    ("mean_itl_ms", "ITL mean", "ms", 2),
    ("p99_itl_ms", "ITL p99", "ms", 2),
    ("request_goodput", "Goodput", "req/s", 3),
)


def summary_table(document: Mapping[str, Any]) -> str:
    """Return the table that ends a benchmark: what ran, its metrics, and the baselines beside them.

    *document* is a result document. Lines are parted by line feeds, with none at the end.
    """
    lines = [_title(document), _workload(document)]
    every = list(document.get("baselines") or ())
    # One that a run could not be compared with has a sentence alone.
    baselines = [baseline for baseline in every if baseline["metrics"]]
    repeats = len(document["repeats"])
    header = ["", "measured", *(["spread"] if repeats > 1 else [])]
    header += [text for baseline in baselines for text in (_heading(baseline), "change")]
    rows = [header]
    for metric, label, unit, decimals in ROWS:
        value = document["metrics"].get(metric)
        if value is None:
            continue
        # The mean of the repeats' p99s is not the p99 of their requests.
        label = label.replace("p99", "mean p99") if repeats > 1 else label
        row = [f"{label}{'*' if value.get('mark') else ''}, {unit}", f"{value['mean']:,.{decimals}f}"]
        if repeats > 1:
            row.append(f"± {value['stdev']:,.{decimals}f}" if value.get("stdev") is not None else "")
        for baseline in baselines:
            compared = baseline["metrics"].get(metric)
            row += [_figure(compared["baseline"], decimals), _change(compared)] if compared else ["-", "-"]
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    lines += _efficiency(document["efficiency"])
    lines += _sweep(document)
    for baseline in every:
        lines += [f"  {note}" for note in baseline.get("notes") or ()]
    lines += [f"  Warning: {warning}" for warning in document["quality"]["warnings"]]
    lines += [f"  Note: {note}" for note in document["quality"].get("notes") or ()]
    for gate in document.get("gates") or ():
        lines.append(f"  Gate {words.outcome(gate)}: {gate['message']}")
    return "\n".join(lines)


def _title(document: Mapping[str, Any]) -> str:
    engine = document["engine"]
    several = f"{engine['replicas']} x " if engine.get("replicas") else ""
    name, profile = f"{several}{engine['name']}", subject.profile(document)
    hosts = f" ({', '.join(subject.hosts(document))})" if subject.hosts(document) else ""
    if not document["simulated"]:
        version = f" {engine['version']}" if engine.get("version") else ""
        return f"{document['host']}: {document['model']['id']}, {name}{version} on {profile}{hosts}"
    simulates = document.get("simulates")
    played = profile if hosts else (simulates or {}).get("profile")
    what = f"{several}{simulates['engine']} on {played}{hosts}" if simulates else name
    model = document["model"]["id"]
    return f"SIMULATED {document['host']}: {model}, not a measurement of any GPU; the simulator plays {what}"


def _workload(document: Mapping[str, Any]) -> str:
    workload, client, repeats = document["workload"], document["client"], len(document["repeats"])
    rate = f", {workload['request_rate']:g} requests/s" if workload.get("request_rate") else ""
    ratio = workload.get("random_range_ratio")
    ranged = f" (each ± {100 * ratio:g} %)" if ratio else ""
    return (
        f"  {workload['input_length']} tokens in, {workload['output_length']} out{ranged}, "
        f"{workload['num_prompts']} prompts, "
        f"{workload['max_concurrency']} concurrent{rate}; {repeats} {'repeat' if repeats == 1 else 'repeats'}, "
        f"{'warm' if document['warm'] else 'not warmed up'}; client {client['name']} {client.get('version') or ''}"
    ).rstrip()


def _heading(baseline: Mapping[str, Any]) -> str:
    what = "published" if baseline["kind"] == "published" else f"run of {baseline['id'][:8]}"
    return f"{what} (cold)" if baseline["cold"] else what


def _figure(value: float, decimals: int) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.{decimals}f}"


def _change(compared: Mapping[str, Any]) -> str:
    """Return a change as C(-3.7 % worse); without a verdict the number stands alone."""
    return f"{compared['change_percent']:+.1f} % {compared['verdict'] or ''}".rstrip()


def _efficiency(efficiency: Mapping[str, Any]) -> list[str]:
    """Return a line of what is known of GPUs, energy and cost; nothing where nothing is."""
    parts = []
    if efficiency["output_throughput_per_gpu"]:
        parts.append(f"{efficiency['output_throughput_per_gpu']:,.1f} output tok/s per GPU")
    if efficiency["energy_per_output_token_j"]:
        power, energy = efficiency["gpu_power_w"]["mean"], efficiency["energy_per_output_token_j"]["mean"]
        parts.append(f"{energy:.2f} J per output token ({power:,.0f} W on the GPUs)")
    if efficiency["cost_per_million_output_tokens_usd"]:
        cost, price = efficiency["cost_per_million_output_tokens_usd"], efficiency["price_per_hour_usd"]
        parts.append(f"${cost:.2f} per million output tokens at ${price:.2f} an hour")
    return [f"  {'; '.join(parts)}"] if parts else []


def _output_change(point: Mapping[str, Any], name: str) -> str:
    """Return the change of a point's output throughput from the baseline of that name."""
    for baseline in point.get("baselines") or ():
        if _heading(baseline) == name and baseline["same_workload"] and "output_throughput" in baseline["metrics"]:
            return _change(baseline["metrics"]["output_throughput"])
    return "-"


def _sweep(document: Mapping[str, Any]) -> list[str]:
    """Return the points of a sweep as a table; nothing where there is none."""
    sweep = document.get("sweep")
    if not sweep:
        return []
    shapes = [point["workload"] for point in sweep["points"]]
    names = ("input_length", "output_length", "num_prompts", "max_concurrency", "request_rate")
    varied = [name for name in names if len({shape[name] for shape in shapes}) > 1] or ["max_concurrency"]
    per_gpu = document["efficiency"]["output_throughput_per_gpu"] is not None
    title = "output tok/s per GPU" if per_gpu else "output tok/s"
    beside = dict.fromkeys(
        (baseline["id"], _heading(baseline))
        for point in sweep["points"]
        for baseline in point.get("baselines") or ()
        if baseline["same_workload"] and baseline["metrics"]
    )
    # Of an earlier run's sweep every point has one, of the published row one point.
    compared = list(dict.fromkeys(name for _id, name in beside))
    rows = [[*varied, title, *(f"to {name}" for name in compared), "tok/s per user", "TTFT mean, ms", "Pareto front"]]
    for point in sweep["points"]:
        efficiency, metrics = point["efficiency"], point["metrics"]
        output = efficiency["output_throughput_per_gpu"] if per_gpu else metrics["output_throughput"]["mean"]
        users = efficiency["tokens_per_second_per_user"]
        rows.append(
            [
                *("-" if point["workload"][name] is None else f"{point['workload'][name]:g}" for name in varied),
                f"{output:,.1f}",
                *(_output_change(point, name) for name in compared),
                "-" if users is None else f"{users:,.1f}",
                f"{metrics['mean_ttft_ms']['mean']:,.1f}",
                "yes" if point["pareto"] else "",
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  Sweep:",
        *(
            "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ),
    ]
