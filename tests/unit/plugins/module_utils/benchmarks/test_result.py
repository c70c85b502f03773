# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Result documents and the table of one: pure functions of repeats."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import (
    CLIENTS,
    efficiency,
    redaction,
    result,
    service,
    session,
)
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.plan import Plan
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.remarks import Remark
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.table import summary_table
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import comparison, subject
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import METRICS, RepeatResult
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED, published

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
    "gpus": [{"index": 0, "uuid": "GPU-0", "name": "NVIDIA H100 80GB HBM3"}],
    "driver_version": "580.1",
    "cpu_count": 104,
    "memory_mib": 900000,
    "disk": [],
}


def repeat(index: int, throughput: float, **more: Any) -> session.Repeat:
    metrics = {
        **dict.fromkeys(METRICS, 14.0),
        "output_throughput": throughput,
        "total_token_throughput": 9 * throughput,
    }
    return session.Repeat(
        index,
        index - 1,
        "2026-11-23T15:30:00Z",
        "2026-11-23T15:34:00Z",
        RepeatResult(512, 0, 512 * 8202, 512 * 1024, 240.0, metrics),
        {"duration": 240.0},
        **more,
    )


def document(throughputs: tuple[float, ...] = (2000.0, 2100.0, 2200.0), **changes: Any) -> dict[str, Any]:
    options = {
        key: changes.pop(key) for key in ("workload", "sweep", "slo", "warmup", "max_variation") if key in changes
    }
    telemetry = changes.pop("telemetry", None)
    remarks = changes.pop("remarks", ())
    endpoint = Endpoint("http://127.0.0.1:8000", "Qwen/Qwen3-Coder-Next", "qwen3-coder-next", "Qwen/Qwen3-Coder-Next")
    plan = Plan(CLIENTS["vllm"], endpoint, **{"workload": Workload(), "repeats": len(throughputs), **options})
    repeats = tuple(
        repeat(index, value, telemetry=telemetry, remarks=remarks) for index, value in enumerate(throughputs, start=1)
    )
    points = tuple(session.Point(workload, repeats) for workload in plan.points())
    baselines = changes.pop("baselines", [published("vllm", "h100x4")])
    given = {
        "run_id": result.run_id("h1"),
        "host": "h1",
        "client_host": "h1",
        "plan": plan,
        "measured": session.Measured(points, changes.pop("failure", None)),
        "started_at": "2026-11-23T15:30:00Z",
        "finished_at": "2026-11-23T15:42:00Z",
        "client_argv": ["vllm", "bench", "serve"],
        "client_version": "0.32.0",
        "engine": ENGINE,
        "hardware": HARDWARE,
    }
    made = result.build(**{**given, **changes})
    made["baselines"] = [comparison.with_published(row, made) for row in baselines]
    return made


# As telemetry.summarise() gives it, for one GPU of four.
TELEMETRY = {
    "interval_s": 1.0,
    "gpus": [
        {
            "index": "0",
            "uuid": "GPU-0",
            "samples": 240,
            "utilization_percent": {"mean": 97.0, "min": 90.0, "max": 100.0},
            "memory_used_mib": None,
            "power_w": {"mean": 600.0, "min": 500.0, "max": 690.0},
            "clock_sm_mhz": {"mean": 1755.0, "min": 1700.0, "max": 1980.0},
            "temperature_c": {"mean": 60.0, "min": 50.0, "max": 65.0},
            "throttled": {"sw_power_cap": 0.2},
            "energy_j": 144000.0,
        }
    ]
    * 4,
    "engine": {
        "requests": {"mean": 31.0, "min": 1.0, "max": 32.0},
        "running": {"mean": 31.0, "min": 1.0, "max": 32.0},
        "waiting": None,
        "kv_cache_usage": None,
    },
    "client": {"cpus": {"mean": 0.3, "min": 0.1, "max": 0.9}, "busiest_thread": {"mean": 0.3, "min": 0.1, "max": 0.8}},
    "host": {"cpus": 104, "busy": {"mean": 0.1, "min": 0.0, "max": 0.2}},
}
SWEEP = tuple(Workload(max_concurrency=count) for count in (8, 64))


class TestDocument:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"throughputs": (2000.0,)},
            {"engine": None, "hardware": None, "baselines": []},
            {"engine": SIMULATOR, "hardware": {"profile": "cpu", "gpus": []}},
            {"warmup": False},
            {"revision": "abc", "client_image": "vllm/vllm-openai:latest", "client_image_id": "sha256:1"},
            {"workload": Workload(request_rate=2.0)},
            {"telemetry": TELEMETRY, "price": 16.36},
            {"sweep": SWEEP, "telemetry": TELEMETRY},
            {"sweep": SWEEP, "failure": FleetError("the third point does not count")},
            {"slo": {"ttft_ms": 2000.0, "tpot_ms": 50.0}},
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
            (("efficiency", "gpus"), "four"),
            (("sweep",), {"points": []}),
            (("repeats", 0, "telemetry"), {"gpus": 1}),
            (("baselines", 0, "metrics", "mean_ttft_ms", "verdict"), "splendid"),
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

    def test_repeats_that_vary_are_flagged(self) -> None:
        said = document(throughputs=(1700.0, 2000.0, 2300.0))["quality"]["warnings"]
        assert said == [
            "the output throughput of the repeats varies by 15.0 % (coefficient of variation), "
            "more than the 5 % that were allowed"
        ]
        assert document(throughputs=(1700.0, 2000.0, 2300.0), max_variation=16)["quality"]["warnings"] == []

    def test_notes_of_repeats_are_told_once(self) -> None:
        quality = document(remarks=(Remark("others", "somebody else used it"), Remark("note", "it is large")))[
            "quality"
        ]
        assert quality["warnings"] == ["somebody else used it"]
        assert quality["disturbed"] == [{"kind": "others", "text": "somebody else used it"}]
        assert quality["notes"][0] == "it is large"

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
            "argv": ["--api-key", "key-1", "--api-key=key-2", "--hf-token", "key-3", "--tokenizer", "stays"],
            "environment": {"HF_TOKEN": "key-4", "VLLM_API_KEY": "key-5", "TOKENIZERS_PARALLELISM": "false"},
        }
        made = document(engine=engine, secrets=["key-6", None], client_argv=["vllm", "--header", "k=key-6"])
        text = json.dumps(made)
        for number in range(1, 7):
            assert f"key-{number}" not in text
        assert made["engine"]["argv"][-2:] == ["--tokenizer", "stays"]
        assert made["engine"]["environment"] == {"TOKENIZERS_PARALLELISM": "false"}

    def test_raw_output_loses_secrets_and_what_json_has_not(self) -> None:
        raw = {
            "server_info": {"admin_api_key": "k", "api_key": None},
            "request_rate": math.inf,
            "total_input_tokens": 7,
        }
        assert redaction.redact(raw, []) == {
            "server_info": {"admin_api_key": "***", "api_key": None},
            "request_rate": "inf",
            "total_input_tokens": 7,
        }

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--header", "Authorization=Bearer sesame"],
            ["--header", "X-Api-Key: sesame"],
            ["--header", "x-api-key:sesame"],
            ["--auth-token", "sesame"],
            ["--auth-token=sesame"],
            # A pair, as a client's own configuration lists headers.
            ["Authorization", "Bearer sesame"],
        ],
    )
    def test_secrets_that_nobody_named_are_known_by_their_names(self, arguments: list[str]) -> None:
        assert "sesame" not in str(redaction.redact({"argv": arguments}, []))

    def test_what_only_looks_like_a_secret_stays(self) -> None:
        plain = ["--tokenizer", "a", "--header", "X-Team: key", "--goodput", "ttft:2000", "tokens: 7", "--seed", "0"]
        assert redaction.redact(plain, []) == plain

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


class TestReplicas:
    @pytest.mark.parametrize("engine", [ENGINE, SIMULATOR])
    def test_what_is_of_all_is_of_another_subject_than_one_engine_s(self, engine: dict[str, Any]) -> None:
        given = {"hardware": HARDWARE, "baselines": []}
        one, both = (document(engine=service.together([engine] * count), **given) for count in (1, 2))
        assert ("replicas" in one["engine"], both["engine"]["replicas"]) == (False, 2)
        schema = Path(__file__).resolve().parents[5] / "docs/result.schema.json"
        jsonschema.validate(both, json.loads(schema.read_text(encoding="utf-8")))
        mine, theirs = subject.subject(both), subject.subject(one)
        assert (mine.profile, theirs.profile) == ("h100x8", "h100x4")
        assert mine.configuration == (*theirs.configuration, "replicas=2")
        # The page's row is of one engine.
        assert comparison.published_row(one) is not None
        assert comparison.published_row(both) is None
        assert "2 x vllm" in summary_table(both)
        if engine is SIMULATOR:
            assert both["efficiency"]["gpus"] == 2 * one["efficiency"]["gpus"]


class TestComparison:
    def test_each_published_row_is_found_by_its_engine_and_profile(self) -> None:
        assert len(PUBLISHED) == 6
        for row in PUBLISHED:
            made = document(engine={**ENGINE, "engine": row["engine"], "profile": row["profile"]})
            assert comparison.published_row(made) is row

    def test_a_simulator_is_compared_with_what_it_plays(self) -> None:
        row = comparison.published_row(document(engine=SIMULATOR, hardware={"profile": "cpu"}))
        assert row is published("vllm", "h100x4")

    def test_nothing_known_nothing_compared(self) -> None:
        assert comparison.published_row(document(engine=None, hardware=None)) is None

    def test_another_model_is_not_compared_with_the_published_one(self) -> None:
        made = document()
        made["model"]["id"] = "other/model"
        assert comparison.published_row(made) is None

    def test_change_and_margin(self) -> None:
        compared = document()["baselines"][0]
        assert compared["same_workload"]
        assert compared["notes"] == [
            f"{compared['id']} is a single figure: the verdicts on it use the spread of this run alone."
        ]
        # t(2) * the spread of the repeats' logarithms * sqrt(1 + 1/3), and half of the last digit of what is printed.
        spread = statistics.stdev(map(math.log, (2000, 2100, 2200)))
        margin = 2180 * math.expm1(4.30265 * spread * math.sqrt(4 / 3)) + 0.5
        assert compared["metrics"]["output_throughput"] == {
            "baseline": 2180,
            "value": 2100.0,
            "ratio": pytest.approx(2100 / 2180),
            "change_percent": pytest.approx(100 * (2100 / 2180 - 1)),
            "margin_percent": pytest.approx(100 * margin / 2180, rel=1e-4),
            "verdict": "same",
        }

    @pytest.mark.parametrize(
        ("metric", "ours", "theirs", "verdict"),
        [
            ("output_throughput", (2090.0, 2100.0, 2110.0), (2000.0,), "better"),
            ("output_throughput", (1890.0, 1900.0, 1910.0), (2000.0,), "worse"),
            ("output_throughput", (1990.0, 2000.0, 2010.0), (2040.0,), "same"),
            ("mean_ttft_ms", (790.0, 800.0, 810.0), (1000.0,), "better"),
            ("mean_ttft_ms", (1190.0, 1200.0, 1210.0), (1000.0,), "worse"),
            ("request_goodput", (2.0, 2.01, 2.02), (1.0,), "better"),
            # The spread of either side is enough; that of both is nearer to the truth.
            ("output_throughput", (2100.0,), (1990.0, 2000.0, 2010.0), "better"),
            ("output_throughput", (2030.0,), (1990.0, 2000.0, 2010.0), "same"),
            ("output_throughput", (2110.0, 2120.0, 2130.0), (1990.0, 2000.0, 2010.0), "better"),
            # Repeats lie closer together than runs do: 1.5 % is no change of a run.
            ("output_throughput", (2020.0, 2030.0, 2040.0), (1990.0, 2000.0, 2010.0), "same"),
            ("output_throughput", (2100.0,), (2000.0,), None),
            ("output_throughput", (2000.0, 2000.0), (2000.0,), "same"),
        ],
    )
    def test_verdicts(self, metric: str, ours: tuple, theirs: tuple, verdict: str | None) -> None:
        assert comparison.compare(metric, ours, theirs)["verdict"] == verdict

    def test_rounding_of_what_is_printed_is_no_difference(self) -> None:
        ours = (14.8, 14.8, 14.8)
        assert comparison.compare("mean_tpot_ms", ours, (14.0,), rounded=0.5)["verdict"] == "same"
        assert comparison.compare("mean_tpot_ms", ours, (14.0,))["verdict"] == "worse"

    def test_one_repeat_gives_no_verdict_on_a_published_figure_and_says_so(self) -> None:
        compared = document(throughputs=(2000.0,))["baselines"][0]
        assert {metric["verdict"] for metric in compared["metrics"].values()} == {None}
        assert compared["metrics"]["output_throughput"]["change_percent"] == pytest.approx(-8.257, abs=0.001)
        assert "no verdict" in compared["notes"][0]

    def test_an_earlier_run_is_a_baseline(self, check_document: Callable) -> None:
        before = document(throughputs=(1990.0, 2000.0, 2010.0))
        engine = {**ENGINE, "version": "0.33.0", "image": {**ENGINE["image"], "digest": "sha256:9"}}
        made = document(throughputs=(2090.0, 2100.0, 2110.0), engine=engine)
        compared = comparison.with_run(before, made)
        made["baselines"].append(compared)
        check_document(made)
        assert compared["id"] == before["run_id"]
        assert compared["metrics"]["output_throughput"]["verdict"] == "better"
        assert compared["metrics"]["mean_ttft_ms"]["verdict"] == "same"
        assert compared["notes"] == [f"Since {before['run_id']} changed: engine version, image digest."]

    def test_one_repeat_against_an_earlier_run_of_three_says_so(self) -> None:
        compared = comparison.with_run(document(), document(throughputs=(2400.0,)))
        assert "This run has one repeat" in compared["notes"][0]
        assert compared["metrics"]["output_throughput"]["verdict"] == "same"

    def test_an_earlier_run_of_one_repeat_is_told_as_one(self) -> None:
        once = document(throughputs=(2000.0,))
        compared = comparison.with_run(once, document(throughputs=(2390.0, 2400.0, 2410.0)))
        assert compared["notes"] == [
            f"{once['run_id']} is one repeat: the verdicts on it use the spread of this run alone."
        ]
        assert compared["metrics"]["output_throughput"]["verdict"] == "better"

    def test_a_simulated_run_gets_no_verdict_on_a_real_one(self) -> None:
        compared = comparison.with_run(document(), document(engine=SIMULATOR))
        assert {metric["verdict"] for metric in compared["metrics"].values()} == {None}
        assert any("is simulated, the other is not" in note for note in compared["notes"])

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


ON_FOUR = {**ENGINE, "gpus": ["all"]}
FOUR = {**HARDWARE, "gpus": [{"index": index, "uuid": f"GPU-{index}"} for index in range(4)]}


class TestEfficiency:
    def test_energy_and_cost(self) -> None:
        found = document(telemetry=TELEMETRY, engine=ON_FOUR, hardware=FOUR, price=16.36)["efficiency"]
        assert found["gpus"] == 4
        assert found["output_throughput_per_gpu"] == 525.0
        assert found["tokens_per_second_per_user"] == pytest.approx(1000 / 14)
        # Four GPUs of 600 W for 240 s, and 512 answers of 1024 tokens.
        assert found["gpu_power_w"]["mean"] == 2400.0
        assert found["energy_per_output_token_j"]["mean"] == pytest.approx(4 * 600 * 240 / (512 * 1024))
        assert found["cost_per_million_output_tokens_usd"] == pytest.approx(16.36 / (2100 * 3600) * 1e6)
        assert found["cost_per_million_tokens_usd"] == pytest.approx(16.36 / (9 * 2100 * 3600) * 1e6)

    def test_what_is_not_known_is_null(self) -> None:
        found = document(engine=None, hardware=None)["efficiency"]
        known = {name for name, value in found.items() if value is not None}
        assert known == {"tokens_per_second_per_user"}

    def test_a_gpu_without_power_leaves_no_energy(self) -> None:
        lame = {**TELEMETRY, "gpus": [*TELEMETRY["gpus"][:3], {**TELEMETRY["gpus"][3], "energy_j": None}]}
        assert document(telemetry=lame)["efficiency"]["energy_per_output_token_j"] is None

    def test_a_gpu_that_was_not_sampled_leaves_no_energy(self) -> None:
        three = {**TELEMETRY, "gpus": TELEMETRY["gpus"][:3], "missing_gpus": ["GPU-3"]}
        assert document(telemetry=three)["efficiency"]["energy_per_output_token_j"] is None

    @pytest.mark.parametrize(
        ("named", "uuids"),
        [
            (["all"], ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]),
            (["0", "3"], ["GPU-0", "GPU-3"]),
            (["GPU-2"], ["GPU-2"]),
            ([], []),
        ],
    )
    def test_gpus_of_an_engine(self, named: list[str], uuids: list[str]) -> None:
        assert efficiency.engine_gpus({"gpus": named}, FOUR) == uuids
        assert efficiency.gpu_count({"gpus": named}, FOUR) == (len(uuids) or None)

    def test_gpus_of_a_simulator_are_those_that_it_plays(self) -> None:
        assert efficiency.gpu_count({**SIMULATOR, "gpus": []}, {"gpus": []}) == 4

    @pytest.mark.parametrize(
        ("points", "front"),
        [
            ([(1.0, 9.0), (5.0, 5.0), (9.0, 1.0)], [True, True, True]),
            ([(1.0, 9.0), (0.9, 8.0), (9.0, 1.0)], [True, False, True]),
            ([(5.0, 5.0), (5.0, 6.0)], [False, True]),
            ([(5.0, 5.0), (5.0, 5.0)], [True, True]),
        ],
    )
    def test_pareto_front(self, points: list[tuple[float, float]], front: list[bool]) -> None:
        assert efficiency.pareto(points) == front


class TestSweep:
    def test_points_side_by_side(self) -> None:
        made = document(sweep=SWEEP)
        points = made["sweep"]["points"]
        assert [point["workload"]["max_concurrency"] for point in points] == [32, 8, 64]
        # Three repeats each, and no seed twice.
        assert [point["workload"]["seed"] for point in points] == [0, 3, 6]
        assert made["workload"] == points[0]["workload"]
        # The repeats of the first are the document's own, and are not kept twice.
        assert [len(point["repeats"]) for point in points] == [0, 3, 3]
        assert made["sweep"]["failure"] is None

    def test_the_workload_itself_is_not_run_twice(self) -> None:
        made = document(sweep=(Workload(max_concurrency=8), Workload()))
        assert [point["workload"]["max_concurrency"] for point in made["sweep"]["points"]] == [32, 8]

    def test_without_a_sweep_there_is_none(self) -> None:
        assert document()["sweep"] is None
        assert document(sweep=(Workload(),))["sweep"] is None


class TestTable:
    def test_columns(self) -> None:
        lines = summary_table(document()).splitlines()
        assert lines[0] == "h1: Qwen/Qwen3-Coder-Next, vllm 0.32.0 on h100x4"
        assert lines[1] == "  8192 tokens in, 1024 out, 512 prompts, 32 concurrent; 3 repeats, warm; client vllm 0.32.0"
        assert lines[2].split() == ["measured", "spread", "published", "change"]
        words = ["Output", "throughput,", "tok/s", "2,100.0", "±", "100.0", "2,180", "-3.7", "%", "same"]
        assert lines[3].split() == words
        assert len({len(line) for line in lines[2:11]}) == 1

    def test_simulated_is_in_the_title(self) -> None:
        assert summary_table(document(engine=SIMULATOR)).startswith("SIMULATED h1: ")
        assert "SIMULATED" not in summary_table(document())

    def test_one_repeat_has_no_spread_and_says_so(self) -> None:
        text = summary_table(document(throughputs=(2000.0,)))
        assert "spread" not in text.splitlines()[2]
        assert "Warning: one repeat" in text

    def test_without_a_baseline(self) -> None:
        lines = summary_table(document(baselines=[])).splitlines()
        assert lines[2].split() == ["measured", "spread"]

    def test_a_cold_row_is_called_so(self) -> None:
        assert "published (cold)" in summary_table(document(baselines=[published("vllm", "b200x2")]))

    def test_efficiency(self) -> None:
        text = summary_table(document(telemetry=TELEMETRY, engine=ON_FOUR, hardware=FOUR, price=16.36))
        assert (
            "  525.0 output tok/s per GPU; 1.10 J per output token (2,400 W on the GPUs); "
            "$2.16 per million output tokens at $16.36 an hour"
        ) in text

    def test_points_of_a_sweep(self) -> None:
        lines = summary_table(document(sweep=SWEEP)).splitlines()
        start = lines.index("  Sweep:")
        assert lines[start + 1].split("  ")[-1] == "Pareto front"
        assert [line.split()[0] for line in lines[start + 2 : start + 5]] == ["32", "8", "64"]

    def test_gates(self) -> None:
        made = {**document(), "gates": [{"condition": "x", "message": "too slow", "value": False, "passed": False}]}
        assert summary_table(made).endswith("Gate FAILED: too slow")
