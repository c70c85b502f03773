# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run went, from what was sampled during it."""

from __future__ import annotations

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import over_time
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.load import Load
from ansible_collections.inference.fleet.plugins.module_utils.host.gpu_samples import Sample


def gpu(uuid: str, **figures: float) -> Sample:
    return Sample("0", uuid, figures, frozenset())


def test_parts_are_means_of_all_gpus_together() -> None:
    gpus = [
        (100.0 + second, gpu(name, power_w=power + second, clock_sm_mhz=clock, temperature_c=clock / 20))
        for second in range(4)
        for name, power, clock in (("a", 100.0, 1000.0), ("b", 200.0, 1200.0))
    ]
    engine = [(100.0 + second, Load(running=second, waiting=0, kv_cache_usage=0.5)) for second in range(4)]
    found = over_time.series(gpus, engine, 100.0, 104.0, 1.0)
    assert found == {
        "part_s": 1.0,
        "power_w": [300, 302, 304, 306],
        "clock_sm_mhz": [1100] * 4,
        "temperature_c": [60] * 4,
        "running": [0, 1, 2, 3],
        "waiting": [0] * 4,
        "kv_cache_usage": [0.5] * 4,
    }


def test_a_long_run_has_no_more_values_and_nothing_outside_it_counts() -> None:
    engine = [
        (float(second), Load(running=second if 50 <= second <= 450 else 9999, waiting=0)) for second in range(500)
    ]
    found = over_time.series([], engine, 50.0, 450.0, 1.0)
    assert found is not None
    assert len(found["running"]) == over_time.MOST
    assert found["part_s"] == 10
    assert (found["running"][0], found["running"][-1]) == (54.5, 445)
    # What nobody told is not known.
    assert (found["power_w"], found["kv_cache_usage"]) == (None, None)


def test_a_part_in_which_one_gpu_is_silent_is_not_known() -> None:
    gpus = [(1.0, gpu("a", power_w=1.0)), (1.0, gpu("b", power_w=2.0)), (2.5, gpu("a", power_w=1.0))]
    found = over_time.series(gpus, [], 1.0, 3.0, 1.0)
    assert found is not None
    assert found["power_w"] == [3, None]


def test_a_run_that_nobody_saw_has_none() -> None:
    assert over_time.series([], [], 0.0, 10.0, 1.0) is None
    assert over_time.series([(1.0, gpu("a", power_w=1.0))], [], float("inf"), float("-inf"), 1.0) is None
