# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of acceptance tests: what a folder of them tells, and what is no such document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import kept, verdict

from .test_verdict import gpu


def document(host: str, day: int, *gpus: dict[str, Any], lines: tuple = (), simulated: bool = False) -> dict[str, Any]:
    for each in gpus:
        each["uuid"] = f"GPU-{host}-{each['index']}"
    return {
        "schema_version": 1,
        "kind": "acceptance",
        "run_id": f"202611{day:02}T120000Z-{host}-00000{day % 10}",
        "host": host,
        "started_at": f"2026-11-{day:02}T12:00:00Z",
        "finished_at": f"2026-11-{day:02}T12:05:00Z",
        "simulated": simulated,
        "measured": True,
        "seconds": 60,
        "runtime": None,
        "machine": {"numa_nodes": 2},
        "hardware": {"profile": f"h100x{len(gpus)}"},
        "gpus": list(gpus),
        "verdicts": list(lines),
        "verdict": verdict.worst(lines),
    }


def test_the_fleet_tells_which_gpu_is_slow() -> None:
    fleet = [document(f"h100-{number}", 1, gpu(0), gpu(1)) for number in (1, 2)]
    slow = document("h100-3", 2, gpu(0), gpu(1, figures={"memory_gb_s": 2000.0}))
    found = kept.beside(slow, fleet, 25.0)
    assert found["verdict"] == verdict.SICK
    assert kept.troubles(found) == [
        "GPU 1, memory bandwidth beside siblings: 32 % below the median of 5 siblings, 2950 GB/s"
    ]
    assert kept.sentence(found).startswith(
        "h100-3 did not pass its acceptance test of 2026-11-02 12:00 UTC: GPU 1, memory"
    )
    assert "SICK" in kept.table(found).splitlines()[-1]


def test_other_models_limits_and_rehearsals_are_no_siblings() -> None:
    fleet = [
        document("a", 1, gpu(0, name="NVIDIA H200", figures={"memory_gb_s": 4300.0})),
        document("b", 1, gpu(0, power_limit_w=350.0, figures={"load_tflop_s": 9000.0})),
        document("c", 1, gpu(0, figures={"memory_gb_s": 9000.0}), simulated=True),
    ]
    assert kept.beside(document("h100-3", 2, gpu(0)), fleet, 25.0)["verdict"] == verdict.SOUND


def test_a_gpu_is_held_to_what_it_gave() -> None:
    earlier = [document("h100-1", day, gpu(0)) for day in (1, 2, 3)]
    found = kept.beside(document("h100-1", 4, gpu(0, figures={"load_tflop_s": 500.0})), earlier, 25.0)
    assert kept.troubles(found, verdict.ODD) == [
        "GPU 0, bf16 products under load beside earlier: 18 % below its own earlier 610 TFLOP/s"
    ]


def test_a_folder_is_read_and_what_is_none_is_named(tmp_path: Path) -> None:
    folder = tmp_path / kept.FOLDER
    assert kept.load(tmp_path).documents == ()
    folder.mkdir()
    for day in (2, 1):
        (folder / f"{day}.json").write_text(json.dumps(document("h100-1", day, gpu(0))))
    (folder / "cut.json").write_text('{"kind": "acceptance", "schema')
    (folder / "newer.json").write_text(json.dumps({"kind": "acceptance", "schema_version": 9}))
    (folder / ".half.json").write_text("{")
    found = kept.load(tmp_path)
    assert [each["started_at"][:10] for each in found.documents] == ["2026-11-01", "2026-11-02"]
    assert [name for name, _reason in found.damaged] == ["cut.json", "newer.json"]
    assert kept.latest(found.documents)["h100-1"]["started_at"].startswith("2026-11-02")
