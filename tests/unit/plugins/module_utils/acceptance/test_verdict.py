# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From figures to verdicts: what is sick is named, and what is sound is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import envelope, verdict
from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_health

# About what H100s give.
FIGURES = {
    "memory_gb_s": 2950.0,
    "bf16_tflop_s": 660.0,
    "fp8_tflop_s": 1150.0,
    "load_tflop_s": 610.0,
    "load_first_tflop_s": 630.0,
    "load_last_tflop_s": 600.0,
    "load_s": 60.0,
    "from_host_gb_s": 53.0,
    "memory_tested_mib": 70_000,
    "memory_wrong_words": 0,
    "all_reduce_gb_s": 330.0,
    "to_peers_gb_s": {"1": 390.0},
}
COUNTED = {
    **dict.fromkeys(("ecc_uncorrected", "ecc_corrected", "remapped_rows", "pcie_replays", "nvlink_errors"), 0),
    "pcie_gen": 5,
    "pcie_max_gen": 5,
    "pcie_width": 16,
    "pcie_max_width": 16,
    "nvlinks_up": 18,
    "throttled_s": {"sw_power_cap": 10.0, "hw_thermal_slowdown": 0.0},
}


def gpu(index: int = 0, name: str = "NVIDIA H100 80GB HBM3", **changes: Any) -> dict[str, Any]:
    figures = {**FIGURES, **changes.pop("figures", {})}
    return {
        "index": index,
        "uuid": f"GPU-{index}",
        "name": name,
        "memory_mib": 81559,
        "power_limit_w": 700.0,
        "pci_bus_id": f"00000000:{index:02X}:00.0",
        "clock_max_sm_mhz": 1980,
        "numa_node": None,
        "figures": figures,
        "error": None,
        "samples": {"temperature_c": {"min": 40.0, "mean": 60.0, "max": 66.0}},
        "throttled": {},
        "sampled_s": 60.0,
        "new_xids": [],
        "before": COUNTED,
        "during": COUNTED,
        "after": {**COUNTED, **changes.pop("after", {})},
        **changes,
    }


def judged(each: dict[str, Any], simulated: bool = False) -> list[dict[str, Any]]:
    document = {"gpus": [each, gpu(1)], "simulated": simulated}
    return verdict.measured(each, simulated) + verdict.counted(each) + verdict.between(document)


def test_a_sound_one_is_sound_in_every_line() -> None:
    lines = judged(gpu())
    assert verdict.worst(lines) == verdict.SOUND
    assert {line["what"] for line in lines} >= {
        "memory bandwidth",
        "bf16 products",
        "fp8 products",
        "bf16 products under load",
        "host to GPU",
        "memory pattern",
        "PCIe width",
        "PCIe generation",
        "NVLinks up",
        "temperature",
        "slowest pair",
        "all-reduce",
    }
    assert all(line["verdict"] == verdict.SOUND for line in lines)


@pytest.mark.parametrize(
    ("changes", "what", "words", "kind"),
    [
        (
            {"figures": {"memory_gb_s": 410.0}},
            "memory bandwidth",
            "wanted 2512 or more, 75% of the 3350 of its",
            "sick",
        ),
        ({"figures": {"bf16_tflop_s": 120.0}}, "bf16 products", "wanted 445 or more, 45% of the 989", "sick"),
        ({"figures": {"fp8_tflop_s": 200.0}}, "fp8 products", "35% of the 1979", "sick"),
        ({"figures": {"load_tflop_s": 200.0}}, "bf16 products under load", "wanted 445", "sick"),
        ({"figures": {"from_host_gb_s": 6.0}}, "host to GPU", "40% of the 63 of its PCIe link", "sick"),
        ({"figures": {"memory_wrong_words": 2}}, "memory pattern", "2 words of 70000 MiB did not hold", "sick"),
        ({"figures": {"load_last_tflop_s": 300.0}}, "speed kept under load", "from 630 to 300 TFLOP/s in 60 s", "odd"),
        ({"figures": {"to_peers_gb_s": {"1": 20.0}}}, "slowest pair", "60% of the 450 of its NVLinks", "sick"),
        ({"figures": {"all_reduce_gb_s": 40.0}}, "all-reduce", "45% of the 450", "sick"),
        ({"after": {"ecc_uncorrected": 1}}, "uncorrected ECC errors", "came during the test", "sick"),
        ({"after": {"remapped_rows": 2}}, "rows of memory remapped", "came during the test", "sick"),
        ({"after": {"remap_pending": True}}, "memory", "waits for a reset", "sick"),
        ({"after": {"nvlink_errors": 5}}, "NVLink errors", "came during the test", "odd"),
        ({"during": {**COUNTED, "pcie_width": 8}}, "PCIe width", "x8; wanted x16", "sick"),
        ({"during": {**COUNTED, "pcie_gen": 3}}, "PCIe generation", "generation 3 under load; wanted 5", "odd"),
        ({"during": {**COUNTED, "nvlinks_up": 17}}, "NVLinks up", "17 are up; wanted 18", "sick"),
        ({"new_xids": [{"code": 79, "message": "gone"}]}, "Xid", "Xid 79 during the test (fell off the bus)", "sick"),
        ({"new_xids": [{"code": 13, "message": "a program's"}]}, "Xid", "Xid 13 during the test (a program's)", "odd"),
        ({"after": {"throttled_s": {"hw_thermal_slowdown": 12.0}}}, "temperature", "for 12.0 s, at up to 66", "sick"),
        (
            {
                "after": {"throttled_s": {"hw_power_brake_slowdown": 9.0}},
                "before": {"throttled_s": {"hw_power_brake_slowdown": 1.0}},
            },
            "power",
            "a power brake held clocks down for 8.0 s",
            "sick",
        ),
        (
            {"error": {"stage": "memory", "error": "CUDA error"}},
            "memory",
            "failed in the stage memory: CUDA error",
            "sick",
        ),
    ],
)
def test_what_is_not_sound_is_named(changes: dict, what: str, words: str, kind: str) -> None:
    lines = [line for line in judged(gpu(**changes)) if line["verdict"] in ("odd", "sick")]
    assert [(line["what"], line["verdict"]) for line in lines] == [(what, kind)]
    assert words in lines[0]["text"]
    assert lines[0]["of"].startswith("GPU")


def test_heat_shows_in_samples_where_the_driver_does_not_count() -> None:
    hot = gpu(throttled={"hw_thermal_slowdown": 0.5}, before={}, after={"throttled_s": None})
    (line,) = [each for each in verdict.counted(hot) if each["verdict"] == "sick"]
    assert "for 30.0 s" in line["text"]


def test_an_idle_link_is_not_judged_by_its_generation() -> None:
    resting = gpu(during={}, after={"pcie_gen": 1})
    assert "PCIe generation" not in [line["what"] for line in verdict.counted(resting)]


def test_an_unknown_model_and_a_rehearsal_get_figures_alone() -> None:
    unknown = gpu(name="NVIDIA RTX A6000", figures={"memory_gb_s": 1.0})
    assert verdict.worst(verdict.measured(unknown, False)) == verdict.SOUND
    lines = {line["what"]: line for line in verdict.measured(unknown, False)}
    assert (lines["memory bandwidth"]["value"], lines["memory bandwidth"]["verdict"]) == (1.0, None)
    slow = gpu(figures={"memory_gb_s": 1.0})
    assert verdict.worst(verdict.measured(slow, True)) == verdict.SOUND


@pytest.mark.parametrize(
    ("value", "kind"), [(2900.0, None), (2500.0, verdict.ODD), (2000.0, verdict.SICK)], ids=["like", "odd", "sick"]
)
def test_beside_its_siblings(value: float, kind: str | None) -> None:
    slow, others = gpu(figures={"memory_gb_s": value}), [gpu(number) for number in range(1, 4)]
    lines = verdict.siblings(slow, others, 25.0)
    assert [line["verdict"] for line in lines] == ([kind] if kind else [])
    assert all("median of 3 siblings, 2950 GB/s" in line["text"] for line in lines)


def test_one_that_is_much_hotter_than_its_siblings_is_odd() -> None:
    hot = gpu(samples={"temperature_c": {"min": 40.0, "mean": 80.0, "max": 84.0}})
    (line,) = verdict.siblings(hot, [gpu(1), gpu(2)], 25.0)
    assert (line["verdict"], line["text"]) == (verdict.ODD, "84 degrees, and its siblings have 66")


def test_what_is_sick_before_is_named_and_what_is_over_is_odd() -> None:
    well = {"index": 0, **gpu_health.unknown()}
    assert verdict.health([well])[0]["verdict"] == verdict.SOUND
    sick = {**well, "ecc_uncorrected": 3}
    assert verdict.health([sick])[0]["text"] == "3 uncorrected ECC errors"
    over = {**well, "recovery_action": "None", "xids": [{"code": 79, "message": "x"}]}
    assert verdict.health([over])[0]["verdict"] == verdict.ODD


def test_an_envelope_says_where_it_is_from() -> None:
    for each in envelope.ENVELOPES:
        assert each.source.startswith("https://")
        assert envelope.of(f"NVIDIA {each.name}") is each
    assert envelope.of("NVIDIA H200").nvlinks == 18
    assert envelope.of("NVIDIA H200 NVL").nvlinks == 0
