# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts without a client recorded, in the document: energy of all GPUs or of none, and what disturbed them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import group, recorded
from ansible_collections.inference.fleet.plugins.module_utils.host.gpu_recording import ENERGY, SAMPLE
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.benchmarks import test_group as pair
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.benchmarks import test_result as alone

SCHEMA = json.loads((Path(__file__).resolve().parents[5] / "docs/result.schema.json").read_text(encoding="utf-8"))
BEGIN = 1795000000.0
WINDOW = {"begin": BEGIN, "end": BEGIN + 240, "duration_s": 240.0}
GPUS = ["GPU-0", "GPU-1"]
# The client was elsewhere.
NOTHING = {
    **alone.TELEMETRY,
    "window": [BEGIN, BEGIN + 240],
    "gpus": None,
    "missing_gpus": [],
    "neighbours": None,
    "over_time": {
        "part_s": 6.0,
        **dict.fromkeys(("power_w", "clock_sm_mhz", "temperature_c", "waiting", "kv_cache_usage")),
        "running": [1.0, 2.0] * 20,
    },
}


def lines(watts: float = 500.0, reasons: str = "0x0", uuids: tuple[str, ...] = ("GPU-0", "GPU-1", "GPU-x")) -> Any:
    """Give a line a second and GPU, from before the window to after it, in which alone they work."""
    for second in range(-20, 280):
        busy = 0 <= second <= 240
        for index, uuid in enumerate(uuids):
            power = watts if busy else 90
            text = f"{index}, {uuid}, {98 * busy}, 70000, {power}, 1700, 60, {reasons if busy else '0x0'}"
            yield BEGIN + second, SAMPLE, text


def summaries(*more: Any, **changes: Any) -> list[dict[str, Any] | None]:
    found = recorded.samples([*lines(**changes), *more], GPUS)
    return recorded.summaries(found, [WINDOW, WINDOW, WINDOW], GPUS)


def elsewhere(**changes: Any) -> dict[str, Any]:
    engine = {**alone.ENGINE, "gpus": ["0", "1"]}
    given = {"engine": engine, "telemetry": NOTHING, "recorded_hosts": ["h1"], "client_host": "other", **changes}
    # As it comes from the client's host: no part of it is another's.
    return json.loads(json.dumps(alone.document(**given)))


def test_only_the_requests_time_and_the_engines_gpus_count() -> None:
    (first, *_others) = summaries()
    assert first is not None
    assert [(gpu["uuid"], gpu["samples"], gpu["energy_j"]) for gpu in first["gpus"]] == [
        ("GPU-0", 241, 120000.0),
        ("GPU-1", 241, 120000.0),
    ]
    assert [gpu["uuid"] for gpu in first["neighbours"]] == ["GPU-x"]
    assert recorded.summaries(recorded.samples(lines(), GPUS), [None], GPUS) == [None]


def test_the_driver_s_counter_goes_before_the_samples_and_garbage_is_passed_over() -> None:
    counted = [(BEGIN + second, ENERGY, f"GPU-0 {second * 600_000}") for second in range(250)]
    (first, *_others) = summaries((BEGIN, SAMPLE, "GPU is lost"), (BEGIN, ENERGY, "?"), *counted)
    assert first is not None
    assert [(gpu["energy_j"], gpu["energy_source"]) for gpu in first["gpus"]] == [
        (144000.0, "counter"),
        (120000.0, "power"),
    ]


def test_a_client_elsewhere_costs_no_figure() -> None:
    document = elsewhere()
    assert document["efficiency"]["gpu_power_w"] is None
    windows = recorded.windows(document)
    assert windows == [WINDOW] * 3
    recorded.complete(document, ["h1"], {"h1": summaries(reasons="0x40")})
    jsonschema.validate(document, SCHEMA)
    assert document["efficiency"]["gpu_power_w"]["mean"] == 1000.0
    assert document["efficiency"]["energy_per_output_token_j"]["mean"] == 1000.0 * 240 / (512 * 1024)
    assert "host" not in document["repeats"][0]["telemetry"]["gpus"][0]
    drawn = document["repeats"][0]["telemetry"]["over_time"]
    assert (len(drawn["power_w"]), set(drawn["power_w"]), drawn["running"][:2]) == (40, {1000}, [1.0, 2.0])
    # Each sentence as where the client is on the host.
    throttled = "benchmark 1/3: GPU 0 was throttled: hw_thermal_slowdown in 100% of the samples, SM clock 1700 MHz"
    assert any(text.startswith(throttled) for text in document["quality"]["warnings"])
    assert {item["kind"] for item in document["quality"]["disturbed"]} == {"throttled", "neighbour"}


def test_energy_is_that_of_all_members_or_of_none() -> None:
    def both(**changes: Any) -> dict[str, Any]:
        head = {**NOTHING, **recorded.summaries(recorded.samples(lines(400), GPUS), [WINDOW], GPUS)[0]}
        remarks = tuple(group.remarks(pair.HEAD, (pair.MEMBER,), ["h2"]))
        return json.loads(json.dumps(pair.document(telemetry=head, remarks=remarks, recorded_hosts=["h2"], **changes)))

    whole = both()
    recorded.complete(whole, ["h2"], {"h2": summaries(reasons="0x40")})
    jsonschema.validate(whole, SCHEMA)
    assert whole["efficiency"]["gpu_power_w"]["mean"] == 2 * 400 + 2 * 500
    told = whole["repeats"][0]["telemetry"]["gpus"]
    assert [(gpu.get("host"), gpu["index"]) for gpu in told] == [(None, "0"), (None, "1"), ("h2", "0"), ("h2", "1")]
    assert "benchmark 3/3: h2: GPU 1 was throttled" in " ".join(whole["quality"]["warnings"])
    assert group.NO_ENERGY not in whole["quality"]["notes"]
    drawn = whole["repeats"][0]["telemetry"]["over_time"]
    assert (set(drawn["power_w"]), set(drawn["clock_sm_mhz"]), set(drawn["temperature_c"])) == ({1800}, {1700}, {60})

    for recordings in ({}, {"h2": []}, {"h2": [None, None, None]}):
        silent = both()
        recorded.complete(silent, ["h2"], recordings)
        assert silent["efficiency"]["gpu_power_w"] is None
        assert silent["repeats"][0]["telemetry"]["over_time"]["power_w"] is None
        text = "the GPUs of h2 were not recorded: their energy is not known, nor what slowed them"
        assert silent["quality"]["warnings"].count(text) == 1

    lost = both()
    recorded.complete(lost, ["h2"], {"h2": summaries(uuids=("GPU-0",))})
    assert lost["efficiency"]["gpu_power_w"] is None
    assert "h2: GPUs of the engine were not sampled: GPU-1" in " ".join(lost["quality"]["warnings"])


def test_each_point_of_a_sweep_has_its_own() -> None:
    document = elsewhere(sweep=(alone.Workload(max_concurrency=1),))
    rows = recorded.windows(document)
    assert len(rows) == 6
    half = recorded.summaries(recorded.samples(lines(250), GPUS), rows[3:], GPUS)
    recorded.complete(document, ["h1"], {"h1": [*summaries(), *half]})
    jsonschema.validate(document, SCHEMA)
    points = document["sweep"]["points"]
    assert [point["efficiency"]["gpu_power_w"]["mean"] for point in points] == [1000.0, 500.0]
    assert points[0]["efficiency"] == document["efficiency"]
    assert points[0]["quality"] == document["quality"]


@pytest.mark.parametrize("members", [(), (pair.MEMBER,)])
def test_without_recordings_a_document_stays_as_it_is(members: tuple[Any, ...]) -> None:
    document = pair.document(pair.HEAD if members else alone.ENGINE, members)
    before = json.dumps(document)
    recorded.complete(document, [], {})
    assert json.dumps(document) == before
