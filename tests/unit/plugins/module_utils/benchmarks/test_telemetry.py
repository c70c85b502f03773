# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sampled during a run: real processes and a real engine's metrics; of GPUs, nvidia-smi's documented lines."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import disturbances, telemetry
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.load import Load
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.remarks import Remark
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint
from ansible_collections.inference.fleet.plugins.module_utils.host import command, gpu_samples

STUB = Path(__file__).resolve().parents[5] / "tests" / "fleet" / "stubs"


def gpu(power: float = 600.0, reasons: frozenset[str] = frozenset(), uuid: str = "GPU-0") -> gpu_samples.Sample:
    figures = {"utilization_percent": 98.0, "power_w": power, "clock_sm_mhz": 1755.0}
    return gpu_samples.Sample("0", uuid, figures, reasons)


class TestLines:
    def test_a_line(self) -> None:
        found = gpu_samples.parse("3, GPU-aa, 98, 71234, 648.21, 1755, 61, 0x0000000000000004")
        assert found == gpu_samples.Sample(
            "3",
            "GPU-aa",
            {
                "utilization_percent": 98.0,
                "memory_used_mib": 71234.0,
                "power_w": 648.21,
                "clock_sm_mhz": 1755.0,
                "temperature_c": 61.0,
            },
            frozenset({"sw_power_cap"}),
        )

    def test_what_a_gpu_does_not_tell_is_left_out_and_zero_is_not(self) -> None:
        found = gpu_samples.parse("0, GPU-aa, 0, 71234, [N/A], 1755, [Not Supported], N/A")
        assert found is not None
        assert found.figures == {"utilization_percent": 0.0, "memory_used_mib": 71234.0, "clock_sm_mhz": 1755.0}
        assert found.throttled == frozenset()

    @pytest.mark.parametrize("line", ["", "No devices were found", "Unable to determine the device handle for GPU 0"])
    def test_a_complaint_is_no_sample(self, line: str) -> None:
        assert gpu_samples.parse(line) is None

    @pytest.mark.parametrize(
        ("bits", "names"),
        [
            ("0x0000000000000000", set()),
            ("0x0000000000000001", set()),  # idle
            ("0x0000000000000002", set()),  # clocks that somebody set
            ("0x0000000000000048", {"hw_slowdown", "hw_thermal_slowdown"}),
            ("0x00000000000000a0", {"sw_thermal_slowdown", "hw_power_brake_slowdown"}),
        ],
    )
    def test_reasons(self, bits: str, names: set[str]) -> None:
        found = gpu_samples.parse(f"0, GPU-aa, 98, 1, 1, 1, 1, {bits}")
        assert found is not None
        assert found.throttled == names


class TestSummary:
    def samples(self, **more: Any) -> telemetry.Samples:
        """Return 30 s of which the requests take 10, from second 15 to 25, and idle GPUs before and after."""
        idle = gpu_samples.Sample("0", "GPU-0", {"utilization_percent": 0.0, "power_w": 100.0}, frozenset())
        busy = range(15, 26)
        return telemetry.Samples(
            **{
                "gpus": [(float(second), gpu() if second in busy else idle) for second in range(30)],
                "engine": [
                    (float(second), Load(8 if second in busy else 0, 1 if second in busy else 0, 0.5))
                    for second in range(30)
                ],
                "client": [(float(second), 0.4, 0.3) for second in range(30)],
                "host": [(float(second), 0.2) for second in range(30)],
                **more,
            }
        )

    def test_only_the_time_of_the_requests_counts(self) -> None:
        found = telemetry.summarise(self.samples(), 10.0)
        assert found["gpus"][0]["power_w"] == {"mean": 600.0, "min": 600.0, "max": 600.0}
        assert found["gpus"][0]["energy_j"] == 6000.0
        assert found["gpus"][0]["samples"] == 11
        assert found["engine"]["running"] == {"mean": 8.0, "min": 8, "max": 8}
        assert found["engine"]["kv_cache_usage"]["mean"] == 0.5

    def test_requests_are_counted_at_one_moment(self) -> None:
        """Those that start at once wait first and run later: they are no more for that."""
        engine = [(16.0, Load(0, 8)), (17.0, Load(8, 0))]
        assert telemetry.summarise(self.samples(engine=engine), 10.0)["engine"]["requests"]["max"] == 8

    def test_without_the_engines_metrics_busy_gpus_tell_the_time(self) -> None:
        found = telemetry.summarise(self.samples(engine=[]), 10.0)
        assert found["engine"] is None
        assert found["gpus"][0]["energy_j"] == 6000.0

    def test_a_run_that_no_sample_saw_has_no_telemetry(self) -> None:
        idle = [(float(second), Load(0, 0)) for second in range(30)]
        found = telemetry.summarise(self.samples(engine=idle, gpus=[]), 0.5)
        assert [found[key] for key in ("gpus", "engine", "client", "host")] == [None] * 4

    def test_too_few_samples_give_no_energy(self) -> None:
        few = self.samples().gpus[::3]
        found = telemetry.summarise(self.samples(gpus=few), 10.0)
        assert found["gpus"][0]["power_w"]["mean"] == 600.0
        assert found["gpus"][0]["energy_j"] is None

    def test_the_cards_own_counter_of_energy_goes_before_its_power(self) -> None:
        counter = [(float(second), "GPU-0", 1000.0 + 500.0 * second) for second in range(30)]
        others = [(float(second), "GPU-9", 7.0) for second in range(30)]
        (found,) = telemetry.summarise(self.samples(energy=counter + others), 10.0)["gpus"]
        assert (found["energy_j"], found["energy_source"]) == (5000.0, "counter")
        (few,) = telemetry.summarise(self.samples(energy=counter[:18]), 10.0)["gpus"]
        assert (few["energy_j"], few["energy_source"]) == (6000.0, "power")

    def test_a_gpu_that_was_not_sampled_is_named(self) -> None:
        assert telemetry.summarise(self.samples(), 10.0, ["GPU-0", "GPU-1"])["missing_gpus"] == ["GPU-1"]

    def test_nothing_sampled_is_null(self) -> None:
        found = telemetry.summarise(telemetry.Samples(), 10.0)
        assert [found[key] for key in ("gpus", "engine", "client", "host")] == [None] * 4

    def test_share_of_throttled_samples(self) -> None:
        hot = frozenset({"hw_thermal_slowdown"})
        gpus = [(float(second), gpu(reasons=hot if second < 5 else frozenset())) for second in range(20)]
        found = telemetry.summarise(telemetry.Samples(gpus=gpus), 20.0)
        assert found["gpus"][0]["throttled"] == {"hw_thermal_slowdown": 0.25}


class TestNotes:
    def remarks(self, **changes: Any) -> list[Remark]:
        calm = {"gpus": None, "engine": None, "client": None, "host": None}
        return disturbances.remarks({**calm, **changes}, 200.0)

    def notes(self, **changes: Any) -> list[str]:
        return [remark.text for remark in self.remarks(**changes)]

    def stats(self, mean: float) -> dict[str, float]:
        return {"mean": mean, "min": mean, "max": mean}

    def test_nothing_to_say(self) -> None:
        assert self.notes() == []

    def test_a_throttled_gpu(self) -> None:
        shares = {"hw_thermal_slowdown": 0.5, "hw_slowdown": 0.01}
        one = {"index": "2", "throttled": shares, "clock_sm_mhz": self.stats(1400)}
        assert self.remarks(gpus=[one]) == [
            Remark(
                "throttled",
                "GPU 2 was throttled: hw_thermal_slowdown in 50% of the samples, SM clock 1400 MHz on average",
            )
        ]

    def test_the_drivers_own_count_goes_before_the_samples(self) -> None:
        counted = {"hw_thermal_slowdown": 40.0, "sw_thermal_slowdown": 1.0}
        one = {"index": "2", "throttled": {}, "throttled_s": counted, "clock_sm_mhz": None}
        assert self.remarks(gpus=[one]) == [
            Remark("throttled", "GPU 2 was throttled: hw_thermal_slowdown for 40 s of 200 s")
        ]
        calm = {**one, "throttled": {"hw_thermal_slowdown": 0.5}, "throttled_s": {"hw_thermal_slowdown": 0.0}}
        assert self.remarks(gpus=[calm]) == []

    def test_a_card_at_its_power_limit_is_not_throttled(self) -> None:
        one = {"index": "2", "throttled": {}, "throttled_s": {"sw_power_cap": 190.0}, "clock_sm_mhz": self.stats(1400)}
        assert self.remarks(gpus=[one]) == [
            Remark(
                "note",
                "GPU 2 was at its power limit: sw_power_cap for 190 s of 200 s, SM clock 1400 MHz on average",
            )
        ]

    def test_a_gpu_of_the_engine_that_was_not_sampled(self) -> None:
        one = {"index": "0", "throttled": {}, "clock_sm_mhz": None}
        (remark,) = self.remarks(gpus=[one], missing_gpus=["GPU-1"])
        assert (remark.kind, "GPUs of the engine were not sampled: GPU-1" in remark.text) == ("doubt", True)

    def test_a_neighbour(self) -> None:
        gpus = [{"index": str(index), "uuid": "u", "utilization_percent": self.stats(index * 9.0)} for index in (1, 2)]
        lone = {"index": "9", "uuid": "u", "utilization_percent": None}
        found = self.notes(neighbours=[*gpus, lone])
        assert found == [
            "GPU 2, which is not this engine's, was 18 % busy: a neighbour shares the host's power, cooling and CPUs"
        ]

    def test_a_stranger_on_a_gpu_of_the_engine(self) -> None:
        def process(container: str | None) -> dict[str, Any]:
            return {"name": "python", "pid": 7, "memory_mib": 1, "container": container}

        gpus = [
            {"index": 0, "uuid": "GPU-0", "processes": [process("c1")]},
            {"index": 1, "uuid": "GPU-1", "processes": [process("c1"), process("c2")]},
            {"index": 2, "uuid": "GPU-2", "processes": [process(None)]},
        ]
        found = disturbances.strangers({"gpus": ["0", "1"], "container": {"id": "c1"}}, {"gpus": gpus})
        assert found == [
            Remark("neighbour", "GPU 1 was held by python (process 7) besides the engine: it takes a share")
        ]
        assert disturbances.strangers(None, {"gpus": gpus}) == []

    def test_a_client_that_is_the_limit(self) -> None:
        client = {"cpus": self.stats(1.5), "busiest_thread": self.stats(0.97)}
        assert "the client, not the engine, may be what limited this run" in self.notes(client=client)[0]

    def test_a_host_without_a_free_cpu(self) -> None:
        host = {"cpus": 8, "busy": self.stats(0.99)}
        idle = {"index": "0", "throttled": {}, "clock_sm_mhz": None}
        assert "8 CPUs were 99% busy" in self.notes(host=host, gpus=[idle])[0]
        # An engine on the CPU makes them busy itself.
        assert self.notes(host=host) == []


class TestSampler:
    # As if a request had been in the engine until the end.
    BUSY = Load(1, 0)

    def test_cpu_of_a_process_and_its_children(self) -> None:
        burn = "import os\nif os.fork():\n    os.wait()\nwhile True:\n    pass\n"
        client = subprocess.Popen([sys.executable, "-c", burn], start_new_session=True)
        endpoint = Endpoint("http://127.0.0.1:1", "m", "m", "m")
        try:
            with telemetry.Sampler(endpoint, None, [], lambda: client.pid) as sampler:
                time.sleep(3.5)
                sampler.samples.engine.append((time.monotonic(), self.BUSY))
        finally:
            os.killpg(client.pid, 9)
            client.wait()
        found = telemetry.summarise(sampler.samples, 3.5)
        # The machine may be busy with other tests: a part of a CPU is enough to tell it from idle.
        assert 0.05 < found["client"]["busiest_thread"]["mean"] < 1.2
        assert found["gpus"] is None

    def test_gpus_of_the_engine_alone_are_read_again_and_again(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "gpus").write_text("h100x4", encoding="utf-8")
        monkeypatch.setenv("STUB_GPUS", str(tmp_path / "gpus"))
        monkeypatch.setenv("PATH", f"{STUB}:{os.environ['PATH']}")
        _code, listed, _error = command.run(["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"])
        mine = listed.split()[:2]
        endpoint = Endpoint("http://127.0.0.1:1", "m", "m", "m")
        with telemetry.Sampler(endpoint, None, mine, lambda: None) as sampler:
            time.sleep(2.8)
            sampler.samples.engine.append((time.monotonic(), self.BUSY))
        found = telemetry.summarise(sampler.samples, 2.8)
        assert [one["uuid"] for one in found["gpus"]] == mine
        assert found["gpus"][0]["samples"] >= 2
        assert found["gpus"][0]["power_w"]["mean"] > 0
        assert found["client"] is None
