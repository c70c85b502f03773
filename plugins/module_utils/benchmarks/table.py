# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result document as a short table of plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
)


def summary_table(document: Mapping[str, Any]) -> str:
    """Return the table that ends a benchmark: what ran, its metrics, and the published row beside them.

    *document* is a result document. Lines are parted by line feeds, with none at the end.
    """
    lines = [_title(document), _workload(document)]
    baselines = list(document.get("baselines") or ())
    repeats = len(document["repeats"])
    header = ["", "measured", *(["spread"] if repeats > 1 else [])]
    header += [text for baseline in baselines for text in (_heading(baseline), "ratio")]
    rows = [header]
    for metric, label, unit, decimals in ROWS:
        value = document["metrics"].get(metric)
        if value is None:
            continue
        row = [f"{label}, {unit}", f"{value['mean']:,.{decimals}f}"]
        if repeats > 1:
            row.append(f"± {value['stdev']:,.{decimals}f}" if value.get("stdev") is not None else "")
        for baseline in baselines:
            compared = baseline["metrics"].get(metric)
            row += [f"{compared['baseline']:,}", f"{compared['ratio']:.2f}"] if compared else ["-", "-"]
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    for baseline in baselines:
        lines += [f"  {note}" for note in baseline.get("notes") or ()]
    lines += [f"  Note: {warning}" for warning in document["quality"]["warnings"]]
    for gate in document.get("gates") or ():
        lines.append(f"  Gate {'met' if gate['passed'] else 'FAILED'}: {gate['message']}")
    return "\n".join(lines)


def _title(document: Mapping[str, Any]) -> str:
    engine = document["engine"]
    name, profile = engine["name"], document["hardware"]["profile"]
    if not document["simulated"]:
        version = f" {engine['version']}" if engine.get("version") else ""
        return f"{document['host']}: {document['model']['id']}, {name}{version} on {engine.get('profile') or profile}"
    simulates = document.get("simulates")
    what = f"{simulates['engine']} on {simulates['profile']}" if simulates else name
    model = document["model"]["id"]
    return f"SIMULATED {document['host']}: {model}, not a measurement of any GPU; the simulator plays {what}"


def _workload(document: Mapping[str, Any]) -> str:
    workload, client, repeats = document["workload"], document["client"], len(document["repeats"])
    rate = f", {workload['request_rate']:g} requests/s" if workload.get("request_rate") else ""
    return (
        f"  {workload['input_length']} tokens in, {workload['output_length']} out, {workload['num_prompts']} prompts, "
        f"{workload['max_concurrency']} concurrent{rate}; {repeats} {'repeat' if repeats == 1 else 'repeats'}, "
        f"{'warm' if document['warm'] else 'not warmed up'}; client {client['name']} {client.get('version') or ''}"
    ).rstrip()


def _heading(baseline: Mapping[str, Any]) -> str:
    return "published (cold)" if baseline["cold"] else "published"
