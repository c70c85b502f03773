# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Result documents and the table of one: pure functions of repeats."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.baselines.published import PUBLISHED, published
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import CLIENTS, result, session
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.measures import METRICS, RepeatResult
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.table import summary_table
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload

ENGINE = {
    "name": "qwen3-coder-next",
    "engine": "vllm",
    "profile": "h100x4",
    "tensor_parallel_size": 4,
    "simulated": False,
    "simulates": None,
    "version": "0.32.0",
    "container": {
        "id": "c",
        "started_at": "2026-11-23T15:00:00Z",
        "created_at": "2026-11-23T15:00:00Z",
        "restart_count": 0,
    },
    "image": {"reference": "vllm/vllm-openai:latest", "id": "sha256:1", "digest": "sha256:2"},
    "argv": ["--model", "Qwen/Qwen3-Coder-Next", "--tensor-parallel-size", "4"],
    "environment": {"HF_HOME": "/root/.cache/huggingface"},
}
SIMULATOR = {
    **ENGINE,
    "engine": "simulator",
    "profile": "cpu",
    "simulated": True,
    "simulates": {"engine": "vllm", "profile": "h100x4"},
}
HARDWARE = {
    "profile": "h100x4",
    "gpus": [{"name": "NVIDIA H100 80GB HBM3"}],
    "driver_version": "580.1",
    "cpu_count": 104,
    "memory_mib": 900000,
    "disk": [],
}


def document(throughputs: tuple[float, ...] = (2000.0, 2100.0, 2200.0), **changes: Any) -> dict[str, Any]:
    options = {key: changes.pop(key) for key in ("workload", "warmup") if key in changes}
    endpoint = Endpoint("http://127.0.0.1:8000", "Qwen/Qwen3-Coder-Next", "qwen3-coder-next", "Qwen/Qwen3-Coder-Next")
    plan = session.Plan(CLIENTS["vllm"], endpoint, **{"workload": Workload(), "repeats": len(throughputs), **options})
    repeats = [
        session.Repeat(
            index,
            index - 1,
            "2026-11-23T15:30:00Z",
            "2026-11-23T15:34:00Z",
            RepeatResult(
                512, 0, 512 * 8202, 512 * 1024, 240.0, {**dict.fromkeys(METRICS, 14.0), "output_throughput": value}
            ),
            {"duration": 240.0},
        )
        for index, value in enumerate(throughputs, start=1)
    ]
    given = {
        "run_id": result.run_id("h1"),
        "host": "h1",
        "plan": plan,
        "repeats": repeats,
        "started_at": "2026-11-23T15:30:00Z",
        "finished_at": "2026-11-23T15:42:00Z",
        "client_argv": ["vllm", "bench", "serve"],
        "client_version": "0.32.0",
        "engine": ENGINE,
        "hardware": HARDWARE,
        "baselines": [published("vllm", "h100x4")],
    }
    return result.build(**{**given, **changes})


class TestDocument:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"throughputs": (2000.0,)},
            {"engine": None, "hardware": None, "baselines": []},
            {"engine": SIMULATOR, "hardware": {"profile": "cpu", "gpus": []}},
            {"warmup": False},
            {"revision": "abc", "client_image": "vllm/vllm-openai:latest"},
            {"workload": Workload(request_rate=2.0)},
        ],
    )
    def test_meets_the_schema(self, changes: dict[str, Any], check_document: Callable) -> None:
        check_document(document(**changes))

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("run_id",), "x"),
            (("simulated",), None),
            (("started_at",), "yesterday"),
            (("repeats",), []),
            (("quality", "failed"), 1),
            (("metrics", "speed"), {}),
            (("metrics", "output_throughput", "unit"), "furlongs"),
            (("something",), 1),
        ],
    )
    def test_schema_refuses_what_is_none(self, path: tuple[str, ...], value: Any, check_document: Callable) -> None:
        made = document()
        part = made
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value
        with pytest.raises(AssertionError):
            check_document(made)

    def test_metrics_over_the_repeats(self) -> None:
        found = document()["metrics"]["output_throughput"]
        assert found == {
            "mean": 2100.0,
            "stdev": 100.0,
            "min": 2000.0,
            "max": 2200.0,
            "cv": pytest.approx(1 / 21),
            "values": [2000.0, 2100.0, 2200.0],
            "unit": "tok/s",
        }

    def test_quality_adds_up(self) -> None:
        quality = document()["quality"]
        assert quality["completed"] == 3 * 512
        assert quality["total_output_tokens"] == 3 * 512 * 1024
        assert quality["warnings"] == []

    def test_doubts_are_told(self) -> None:
        assert len(document(throughputs=(2000.0,), warmup=False)["quality"]["warnings"]) == 2

    def test_engine_and_hardware_are_in_it(self) -> None:
        made = document()
        assert made["engine"]["image"] == {
            "reference": "vllm/vllm-openai:latest",
            "digest": "sha256:2",
            "id": "sha256:1",
        }
        assert made["engine"]["argv"] == ENGINE["argv"]
        assert made["hardware"]["driver_version"] == "580.1"
        assert made["hardware"]["gpus"] == HARDWARE["gpus"]

    def test_no_secret_gets_in(self) -> None:
        engine = {
            **ENGINE,
            "argv": ["--api-key", "first", "--api-key=second", "--hf-token", "third", "--tokenizer", "stays"],
            "environment": {"HF_TOKEN": "fourth", "VLLM_API_KEY": "fifth", "TOKENIZERS_PARALLELISM": "false"},
        }
        made = document(engine=engine, secrets=["sixth", None], client_argv=["vllm", "--header", "k=sixth"])
        text = json.dumps(made)
        for secret in ("first", "second", "third", "fourth", "fifth", "sixth"):
            assert secret not in text
        assert made["engine"]["argv"][-2:] == ["--tokenizer", "stays"]
        assert made["engine"]["environment"] == {"TOKENIZERS_PARALLELISM": "false"}

    def test_raw_output_loses_secrets_and_what_json_has_not(self) -> None:
        raw = {
            "server_info": {"admin_api_key": "k", "api_key": None},
            "request_rate": math.inf,
            "total_input_tokens": 7,
        }
        assert result.redact(raw, []) == {
            "server_info": {"admin_api_key": "***", "api_key": None},
            "request_rate": "inf",
            "total_input_tokens": 7,
        }

    def test_run_ids_sort_by_time_and_differ(self) -> None:
        first = result.run_id("a", datetime(2026, 11, 23, 15, 30, tzinfo=timezone.utc))
        second = result.run_id("a", datetime(2026, 11, 23, 15, 30, tzinfo=timezone.utc))
        later = result.run_id("a", datetime(2026, 11, 23, 15, 31, tzinfo=timezone.utc))
        assert first.startswith("20261123T153000Z-a-")
        assert first != second
        assert max(first, second) < later

    def test_run_id_is_a_file_name(self) -> None:
        assert "/" not in result.run_id("../etc/x y")
        assert result.run_id("///").split("-")[1] == "host"


class TestComparison:
    def test_each_published_row_is_found_by_its_engine_and_profile(self) -> None:
        assert len(PUBLISHED) == 6
        for row in PUBLISHED:
            assert result.subject({"engine": row["engine"], "profile": row["profile"], "simulated": False}, None) == (
                row["engine"],
                row["profile"],
            )
            assert published(row["engine"], row["profile"]) is row

    def test_a_simulator_is_compared_with_what_it_plays(self) -> None:
        assert result.subject(SIMULATOR, {"profile": "cpu"}) == ("vllm", "h100x4")

    def test_nothing_known_nothing_compared(self) -> None:
        assert result.subject(None, None) is None

    def test_ratio(self) -> None:
        compared = document()["baselines"][0]
        assert compared["same_workload"]
        assert compared["notes"] == []
        assert compared["metrics"]["output_throughput"] == {
            "baseline": 2180,
            "value": 2100.0,
            "ratio": pytest.approx(2100 / 2180),
        }

    def test_another_workload_is_told(self) -> None:
        compared = document(workload=Workload(num_prompts=64))["baselines"][0]
        assert not compared["same_workload"]
        assert "num_prompts 64 (there 512)" in compared["notes"][0]
        assert "input_length" not in compared["notes"][0]

    def test_which_side_was_warm_is_told(self) -> None:
        cold = document(baselines=[published("vllm", "a100x4")])["baselines"][0]
        assert cold["cold"]
        assert "this run is warm" in cold["notes"][0]
        warm = document(warmup=False)["baselines"][0]
        assert "this run was not warmed up" in warm["notes"][0]


class TestTable:
    def test_columns(self) -> None:
        lines = summary_table(document()).splitlines()
        assert lines[0] == "h1: Qwen/Qwen3-Coder-Next, vllm 0.32.0 on h100x4"
        assert lines[1] == "  8192 tokens in, 1024 out, 512 prompts, 32 concurrent; 3 repeats, warm; client vllm 0.32.0"
        assert lines[2].split() == ["measured", "spread", "published", "ratio"]
        assert lines[3].split() == ["Output", "throughput,", "tok/s", "2,100.0", "±", "100.0", "2,180", "0.96"]
        assert len({len(line) for line in lines[2:11]}) == 1

    def test_simulated_is_in_the_title(self) -> None:
        assert summary_table(document(engine=SIMULATOR)).startswith("SIMULATED h1: ")
        assert "SIMULATED" not in summary_table(document())

    def test_one_repeat_has_no_spread_and_says_so(self) -> None:
        text = summary_table(document(throughputs=(2000.0,)))
        assert "spread" not in text
        assert "Note: one repeat" in text

    def test_without_a_baseline(self) -> None:
        lines = summary_table(document(baselines=[])).splitlines()
        assert lines[2].split() == ["measured", "spread"]

    def test_a_cold_row_is_called_so(self) -> None:
        assert "published (cold)" in summary_table(document(baselines=[published("vllm", "b200x2")]))

    def test_gates(self) -> None:
        made = {**document(), "gates": [{"condition": "x", "message": "too slow", "value": False, "passed": False}]}
        assert summary_table(made).endswith("Gate FAILED: too slow")
