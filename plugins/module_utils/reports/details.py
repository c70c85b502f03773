# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page says of each run when it is opened, as compact JSON that runs.js shows.

A fleet's runs share most of their surroundings: each different text and table stands once, and runs name it by its
place. All wording is here; the script only lays it out.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.reports import repeat, run_plots
from ansible_collections.inference.fleet.plugins.module_utils.reports.sweeps import every_point
from ansible_collections.inference.fleet.plugins.module_utils.results import measures, words
from ansible_collections.inference.fleet.plugins.module_utils.results.metrics import COMPARED, NAMES
from ansible_collections.inference.fleet.plugins.module_utils.results.series import (
    Document,
    metrics_of,
    remarks,
    system,
)
from ansible_collections.inference.fleet.plugins.module_utils.results.stored import Stored
from ansible_collections.inference.fleet.plugins.module_utils.results.subject import hosts

# Where a run's own id and host stand in what is otherwise the same for many runs. No text has them: words.clean takes
# them out.
RUN_ID, HOST = "\0", "\1"
# The script shows no more digits.
_FORMAT = "%.5g"
_KEY = json.JSONEncoder(sort_keys=True).encode


class _Pool:
    """Values by place, each once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Any, int] = {}

    def place(self, value: Any) -> int:
        key: Any = value
        if not isinstance(value, str):
            key = tuple(value) if all(isinstance(item, str) for item in value) else (None, _KEY(value))
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def told(documents: Iterable[Document], timed: Collection[str] = ()) -> dict[str, Any]:
    """Return what is said of each of *documents*, as JSON can have it.

    ``names`` has [name, unit] of each metric that a run's values follow, ``pool`` the shared values. A run is
    [run id, host, sections, values by metric, baselines, notes, repeats, commands, sweep, histograms, over time]; a
    section is the places of its title, its names and its texts. *timed* are the runs of which it is told how they went.
    """
    # All that is made here is kept and has no cycles: looking for some among it would take a quarter of the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        return _told_of(list(documents), timed)
    finally:
        if collects:
            gc.enable()


def _told_of(listed: Sequence[Document], timed: Collection[str]) -> dict[str, Any]:
    pool = _Pool()
    # What many runs share is one object, which is worded once. Documents stay alive, so that an id is its own.
    worded: dict[tuple[Any, ...], tuple[list[Any], list[Any]]] = {}
    extra = sorted({key for document in listed for key in metrics_of(document)} - NAMES.keys())
    keys = [*NAMES, *extra]
    return {
        "names": [[words.clean(NAMES.get(key, key)), _unit(key, listed)] for key in keys],
        # The metrics that the table of repeats shows.
        "repeats": [[keys.index(metric.key), f"{metric.label_of_repeat}, {metric.unit}"] for metric in COMPARED],
        "runs": [
            [*_run(document, keys, pool, worded), run_plots.over_time(document) if document["run_id"] in timed else []]
            for document in listed
        ],
        "pool": pool.values,
    }


def safe(data: Any) -> str:
    """Return *data* as JSON that may stand in a ``<script>`` element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Nothing in a document may end the element, or begin another.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _apart(section: tuple[str, list[list[str]]]) -> tuple[str, list[str], list[str]]:
    """Return a section's title, names and texts: many runs have the same names, few the same texts."""
    title, facts = section
    return title, [name for name, _text in facts], [text for _name, text in facts]


def _run(
    document: Document, keys: Sequence[str], pool: _Pool, worded: dict[tuple[Any, ...], tuple[list[Any], list[Any]]]
) -> list[Any]:
    run_id, host = words.clean(document["run_id"]), words.clean(document["host"])

    def shared(value: Any) -> int:
        return pool.place(_shareable(value, run_id, host))

    def places(sections: Iterable[tuple[str, list[list[str]]]]) -> list[Any]:
        # Titles and names are the code's own.
        return [[pool.place(title), pool.place(names), shared(texts)] for title, names, texts in map(_apart, sections)]

    if isinstance(document, Stored):
        # It is asked for everything.
        document = document.whole()
    engine, client = document["engine"], document["client"]
    key = (id(document["hardware"]), id(engine), id(document["model"]), id(document["simulates"]))
    if key not in worded:
        environment = "\n".join(f"{name}={text}" for name, text in sorted((engine.get("environment") or {}).items()))
        commands = [
            ["Engine's command line", words.command(engine.get("argv") or []), []],
            ["Engine's environment", environment, []],
        ]
        worded[key] = (places(_surroundings(document)), [shared(part) for part in commands if part[1]])
    sections, commands_of_engine = worded[key]
    asked = (*key, _asked(document))
    if asked not in worded:
        again = repeat.repeat(document)
        parts = [
            ["The command that repeats this run", again.command, list(again.notes)],
            ["Client's command line", words.command(client["argv"]), []],
        ]
        worded[asked] = ([], [shared(part) for part in parts])
    command, command_of_client = worded[asked][1]
    first, last = _sections(document)
    return [
        run_id,
        host,
        [*places(first), *sections, *places(last)],
        [_values(document["metrics"].get(key)) for key in keys],
        [_baseline(baseline, keys, pool) for baseline in document["baselines"]],
        [shared(words.clean(note)) for note in remarks(document)],
        [[words.span(_took(item)), item["completed"], item["failed"]] for item in document["repeats"]],
        [
            command,
            *commands_of_engine,
            command_of_client,
        ],
        _points(document),
        run_plots.histograms(document),
    ]


def _asked(document: Document) -> str:
    """Return all that a run was asked to do, as one text without the run's own id and host."""
    parts = [document["client"], document["workload"], document.get("slo"), document["warm"], document.get("sweep")]
    parts += [len(document["repeats"]), (document.get("efficiency") or {}).get("price_per_hour_usd")]
    return _without(json.dumps(parts), document["run_id"], document["host"])


def _surroundings(document: Document) -> list[tuple[str, list[list[str]]]]:
    """Return the facts of a run's host and engine."""
    hardware, engine, model = document["hardware"], document["engine"], document["model"]
    image = engine.get("image") or {}
    release = hardware.get("os") or {}
    memory, cores = hardware.get("memory_mib"), hardware.get("cpu_count")
    return _told(
        [
            (
                "Host",
                [
                    ["Host", document["host"]],
                    ["Hardware profile", hardware["profile"]],
                    ["GPUs", words.gpus(hardware.get("gpus") or []) or "none"],
                    ["Driver", hardware.get("driver_version")],
                    ["CUDA", hardware.get("cuda_version")],
                    ["Operating system", release.get("pretty_name")],
                    ["Kernel", hardware.get("kernel")],
                    ["CPU", hardware.get("cpu_model")],
                    ["CPU cores", words.count(cores) if cores else None],
                    ["Memory", f"{words.count(memory)} MiB" if memory else None],
                    *_others(hardware),
                ],
            ),
            (
                "Engine",
                [
                    ["Engine", f"{words.engine(engine['name'])} {engine.get('version') or '(version unknown)'}"],
                    ["Imitates", system(document) if document.get("simulates") else None],
                    ["Tensor parallel size", engine.get("tensor_parallel_size")],
                    ["Engines measured as one service", engine.get("replicas")],
                    ["Hosts that serve it together", ", ".join(hosts(document)) or None],
                    ["Its GPUs", ", ".join(engine.get("gpus") or []) or None],
                    ["Image", image.get("reference")],
                    ["Image digest", image.get("digest") or image.get("id")],
                    ["Model", model["id"]],
                    ["Model revision", model.get("revision") or "not recorded"],
                    ["Served as", model["served_model_name"]],
                ],
            ),
        ]
    )


def _others(hardware: Mapping[str, Any]) -> list[list[Any]]:
    """Return a fact for each other host of a group."""
    return [
        [
            f"With it, {other['host']}",
            ", ".join(filter(None, [words.gpus(other.get("gpus") or []) or other["profile"], _driver(other)])),
        ]
        for other in hardware.get("others") or ()
    ]


def _driver(hardware: Mapping[str, Any]) -> str:
    return f"driver {hardware['driver_version']}" if hardware.get("driver_version") else ""


def _told(sections: Iterable[tuple[str, list[list[Any]]]]) -> list[tuple[str, list[list[str]]]]:
    """Return sections without the facts that are not known."""
    return [
        (title, [[name, str(text)] for name, text in facts if text is not None and text != ""])
        for title, facts in sections
    ]


def _sections(document: Document) -> tuple[list[Any], list[Any]]:
    """Return the facts of a run of its own, as titles with pairs of name and text: before its surroundings, and after.

    Those that runs share stand apart from others.
    """
    client, workload, quality = document["client"], document["workload"], document["quality"]
    container = document["engine"].get("container") or {}
    tokens = (quality.get("total_input_tokens"), quality.get("total_output_tokens"))
    gates = [[f"Gate {words.outcome(gate)}", gate["message"]] for gate in document.get("gates") or []]
    sections = [
        (
            "Run",
            [
                ["Run", document["run_id"]],
                ["Started", words.when(document["started_at"])],
                ["Took", words.duration(document["started_at"], document["finished_at"])],
                ["Engine's container started", container.get("started_at")],
            ],
        ),
        (
            "Requests",
            [
                ["Completed", f"{words.count(quality['completed'])}, failed {words.count(quality['failed'])}"],
                [
                    "Tokens",
                    None if None in tokens else f"{words.count(tokens[0])} in, {words.count(tokens[1])} out",
                ],
                *gates,
                *_efficiency(document),
            ],
        ),
    ]
    benchmark = [
        (
            "Benchmark",
            [
                ["Workload", words.workload(workload)],
                ["Seed", workload.get("seed")],
                ["Engine warm", "yes" if document["warm"] else "no"],
                ["Client", f"{client['name']} {client.get('version') or '(version unknown)'}"],
                ["Client's image", client.get("image")],
                ["Client's host", client.get("host")],
                ["Tokenizer", client.get("tokenizer")],
            ],
        ),
    ]
    return _told(sections), _told(benchmark)


def _efficiency(document: Document) -> list[list[str | None]]:
    found = document.get("efficiency") or {}

    def mean(key: str) -> float | None:
        return (found.get(key) or {}).get("mean")

    facts = (
        ("Output per GPU", found.get("output_throughput_per_gpu"), "tok/s"),
        ("Speed for each user", found.get("tokens_per_second_per_user"), "tok/s"),
        ("GPU power", mean("gpu_power_w"), "W"),
        ("Energy per output token", mean("energy_per_output_token_j"), "J"),
        ("Per million output tokens", found.get("cost_per_million_output_tokens_usd"), "US$"),
        ("Per million tokens", found.get("cost_per_million_tokens_usd"), "US$"),
    )
    price = found.get("price_per_hour_usd")
    return [
        *([name, None if number is None else f"{words.number(number)} {unit}"] for name, number, unit in facts),
        ["Price", None if price is None else f"{words.price(price)} US$ an hour"],
    ]


def _values(summary: Mapping[str, Any] | None) -> list[float] | None:
    """Return a metric's value in each repeat, or its mean alone; None where there is none."""
    if not summary:
        return None
    found = summary.get("values") or [summary["mean"]]
    return [_rounded(number) for number in found]


def _baseline(baseline: Mapping[str, Any], keys: Sequence[str], pool: _Pool) -> int:
    """Return the place of [title, what it is, values by metric] of a baseline."""
    published = baseline.get("kind", "published") == "published"
    what = f"{words.engine(baseline['engine'])} on {words.profile(baseline['profile'])}, "
    what += words.workload(baseline["workload"]) + (", looks cold" if baseline["cold"] else "")
    values = [(baseline["metrics"].get(key) or {}).get("baseline") for key in keys]
    rounded = [number if number is None or isinstance(number, int) else _rounded(number) for number in values]
    return pool.place(["Published" if published else f"Run {words.clean(baseline['id'])}", words.clean(what), rounded])


def _points(document: Document) -> list[list[str]]:
    """Return a sweep's points as rows of text; none where there is no sweep."""
    if not document.get("sweep"):
        return []
    rows = []
    for point in every_point(document):
        found, metrics = point.get("efficiency") or {}, point["metrics"]
        means = [(metrics.get(key) or {}).get("mean") for key in ("output_throughput", "mean_ttft_ms", "mean_tpot_ms")]
        numbers = [*means, found.get("output_throughput_per_gpu"), found.get("tokens_per_second_per_user")]
        front = "yes" if point.get("pareto") else "no"
        rows.append([words.workload(point["workload"]), *map(words.number, numbers), front])
    return rows


def _took(item: Mapping[str, Any]) -> float:
    if item.get("duration_s"):
        return item["duration_s"]
    return (words.parse_time(item["finished_at"]) - words.parse_time(item["started_at"])).total_seconds()


def _unit(key: str, documents: Iterable[Document]) -> str:
    if key in NAMES:
        return measures.unit(key)
    return words.clean(next(found["metrics"][key]["unit"] for found in documents if found["metrics"].get(key)))


def _rounded(number: float) -> float:
    return float(_FORMAT % number)


def _shareable(value: Any, run_id: str, host: str) -> Any:
    """Return *value* with every text cleaned, and without the run id and the host, which are else all that differs."""
    if isinstance(value, str):
        return _without(words.clean(value, lines=True), run_id, host)
    return [_shareable(item, run_id, host) for item in value]


def _without(text: str, run_id: str, host: str) -> str:
    """Return a text with its run id and host taken out."""
    text = text.replace(run_id, RUN_ID) if run_id else text
    return text.replace(host, HOST) if host else text
