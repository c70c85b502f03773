# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as CSV: one row a run and point of a sweep, every figure in full, its unit in the header."""

from __future__ import annotations

import csv
import io
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.reports import cohorts, rent
from ansible_collections.inference.fleet.plugins.module_utils.reports.overview import Report
from ansible_collections.inference.fleet.plugins.module_utils.reports.sweeps import every_point
from ansible_collections.inference.fleet.plugins.module_utils.results import quality, words
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import unit
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import NAMES
from ansible_collections.inference.fleet.plugins.module_utils.results.series import Document, engine, profile
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import limits_text, slot, subject

# What a spreadsheet would take for a formula begins with one of these.
_FORMULA = ("=", "+", "-", "@")

_Point = Mapping[str, Any]
_Column = tuple[str, Callable[[Document, _Point], Any]]


def text(documents: Iterable[Document]) -> str:
    """Return the table: UTF-8 text with a header, one line a row, fields parted by commas.

    What a document does not know is empty. The same documents give the same text.
    """
    listed = list(documents)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    found = columns(listed)
    writer.writerow(name for name, _read in found)
    for document in listed:
        for place, point in enumerate(every_point(document), start=1):
            numbered = {**point, "place": place}
            writer.writerow(_cell(read(document, numbered)) for _name, read in found)
    return stream.getvalue()


def offers(report: Report) -> str:
    """Return the table of what to rent: a row each load of a configuration, in the order of the table."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [f"{column.key} ({column.unit})" for column in rent.COLUMNS]
    heads = ["model", "requests", "configuration", "version", "precision", "simulated", "max_concurrency"]
    writer.writerow([*heads, "request_rate (req/s)", "hosts", *names, "why_not", "evaluations", "runs"])
    for row in rent.table(report.every):
        said = "; ".join(score.text for score in rent.scores(row, report.evaluations))
        for offer in row.offers:
            asked = offer.any["workload"]
            cells = [*row.question, row.system, row.version, row.precision, row.simulated]
            cells += [asked.get("max_concurrency"), asked.get("request_rate"), offer.hosts]
            cells += [offer.figures[column.key] for column in rent.COLUMNS]
            writer.writerow(map(_cell, [*cells, offer.why_not, said, " ".join(run["run_id"] for run in offer.runs)]))
    return stream.getvalue()


def columns(documents: Iterable[Document]) -> list[_Column]:
    """Return the header's names and what reads each from a document and a point of it."""
    extra: dict[str, str] = {}
    for document in documents:
        for point in every_point(document):
            for key in sorted(point["metrics"].keys() - NAMES.keys()):
                if point["metrics"][key]:
                    extra.setdefault(key, point["metrics"][key]["unit"])
    units = {key: unit(key) for key in NAMES} | dict(sorted(extra.items()))
    metrics: list[_Column] = []
    for key, of_key in units.items():
        for part in ("mean", "stdev"):
            name = f"{key} {part} ({of_key})" if part == "stdev" else f"{key} ({of_key})"
            metrics.append((name, _metric(key, part)))
    return [*_RUN, *metrics, *_EFFICIENCY, *_QUALITY]


def _metric(key: str, part: str) -> Callable[[Document, _Point], Any]:
    return lambda _document, point: (point["metrics"].get(key) or {}).get(part)


def _at(*path: str) -> Callable[[Document, _Point], Any]:
    """Return what reads one place of a document."""

    def read(document: Document, _point: _Point) -> Any:
        value: Any = document
        for key in path:
            value = (value or {}).get(key)
        return value

    return read


def _of_point(*path: str) -> Callable[[Document, _Point], Any]:
    return lambda _document, point: _at(*path)(point, point)


_RUN: tuple[_Column, ...] = (
    ("run_id", _at("run_id")),
    ("point", _of_point("place")),
    ("subject", lambda document, point: subject(ChainMap({"workload": point["workload"]}, document)).id),
    ("host", _at("host")),
    ("slot", lambda document, _point: slot(document)),
    ("label", _at("label")),
    ("started_at (UTC)", _at("started_at")),
    ("finished_at (UTC)", _at("finished_at")),
    ("simulated", _at("simulated")),
    ("engine", lambda document, _point: engine(document)),
    ("profile", lambda document, _point: profile(document)),
    ("engine_version", _at("engine", "version")),
    ("tensor_parallel_size", _at("engine", "tensor_parallel_size")),
    ("image", _at("engine", "image", "reference")),
    ("image_digest", _at("engine", "image", "digest")),
    ("model", _at("model", "id")),
    ("model_revision", _at("model", "revision")),
    ("driver_version", _at("hardware", "driver_version")),
    ("client", _at("client", "name")),
    ("client_version", _at("client", "version")),
    ("warm", _at("warm")),
    ("input_length (tokens)", _of_point("workload", "input_length")),
    ("output_length (tokens)", _of_point("workload", "output_length")),
    ("num_prompts", _of_point("workload", "num_prompts")),
    ("max_concurrency", _of_point("workload", "max_concurrency")),
    ("request_rate (req/s)", _of_point("workload", "request_rate")),
    ("random_range_ratio", _of_point("workload", "random_range_ratio")),
    ("seed", _of_point("workload", "seed")),
    ("limits", lambda document, _point: limits_text(document.get("slo")) if document.get("slo") else None),
    # The repeats of a sweep's first point are the document's own.
    ("repeats", lambda document, point: len(point.get("repeats") or document["repeats"])),
)
_EFFICIENCY: tuple[_Column, ...] = (
    ("gpus", _of_point("efficiency", "gpus")),
    ("output_throughput_per_gpu (tok/s)", _of_point("efficiency", "output_throughput_per_gpu")),
    ("tokens_per_second_per_user (tok/s)", _of_point("efficiency", "tokens_per_second_per_user")),
    ("gpu_power (W)", _of_point("efficiency", "gpu_power_w", "mean")),
    ("energy_per_output_token (J)", _of_point("efficiency", "energy_per_output_token_j", "mean")),
    ("energy_per_million_output_tokens (kWh)", lambda _document, point: cohorts.energy_per_million_output(point)),
    ("price (US$/h)", _of_point("efficiency", "price_per_hour_usd")),
    ("cost_per_million_output_tokens (US$)", _of_point("efficiency", "cost_per_million_output_tokens_usd")),
    ("cost_per_million_tokens (US$)", _of_point("efficiency", "cost_per_million_tokens_usd")),
    ("pareto", _of_point("pareto")),
)
_QUALITY: tuple[_Column, ...] = (
    ("completed", _of_point("quality", "completed")),
    ("failed", _of_point("quality", "failed")),
    ("total_input_tokens", _of_point("quality", "total_input_tokens")),
    ("total_output_tokens", _of_point("quality", "total_output_tokens")),
    ("itl_is_per_token", _of_point("streaming", "itl_is_per_token")),
    ("disturbed", lambda _document, point: quality.disturbed(point) if point.get("quality") else None),
    ("warnings", lambda _document, point: "; ".join((point.get("quality") or {}).get("warnings") or ())),
)


def _cell(value: Any) -> Any:
    """Return a value as a field: numbers in full, truth as true or false, texts that no spreadsheet takes for more."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    text = words.clean(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
