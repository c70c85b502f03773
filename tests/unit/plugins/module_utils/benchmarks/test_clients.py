# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workload to argv, raw output to measures: each client, on real output."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import CLIENTS, aiperf, output, sglang, vllm
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.plan import Plan
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import (
    METRICS,
    latencies,
    percentile,
    spread,
    throughputs,
    unit,
)

FIXTURES = Path(__file__).parent / "fixtures"
SEED_CASE = Endpoint("http://127.0.0.1:8000", "Qwen/Qwen3-Coder-Next", "qwen3-coder-next", "Qwen/Qwen3-Coder-Next")
PUBLISHED_COMMAND = (
    "vllm bench serve --model Qwen/Qwen3-Coder-Next --served-model-name qwen3-coder-next "
    "--endpoint /v1/chat/completions "
    "--random-input-len 8192 --random-output-len 1024 --num-prompts 512 --max-concurrency 32"
)


def value_of(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


class TestWorkload:
    def test_defaults_are_the_published_workload(self) -> None:
        assert Workload().as_dict() == {
            "input_length": 8192,
            "output_length": 1024,
            "num_prompts": 512,
            "max_concurrency": 32,
            "request_rate": None,
            "random_range_ratio": 0.0,
            "seed": 0,
        }

    def test_options_that_are_none_take_the_default(self) -> None:
        assert Workload.of({"input_length": 7, "seed": None, "url": "x"}) == Workload(input_length=7)

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"input_length": 0}, "input_length"),
            ({"output_length": -1}, "output_length"),
            ({"num_prompts": 1.5}, "num_prompts"),
            ({"max_concurrency": True}, "max_concurrency"),
            ({"seed": -1}, "seed"),
            ({"request_rate": 0}, "request_rate"),
            ({"request_rate": math.inf}, "request_rate"),
            ({"request_rate": math.nan}, "request_rate"),
        ],
    )
    def test_what_cannot_be_is_named(self, options: dict, name: str) -> None:
        with pytest.raises(FleetError, match=name):
            Workload.of(options)

    def test_warm_up_has_prompts_of_its_own_at_the_same_concurrency(self) -> None:
        workload = Workload()
        warmup = workload.warmup()
        assert (warmup.input_length, warmup.max_concurrency) == (8192, 32)
        assert warmup.num_prompts == 64
        assert warmup.seed not in range(workload.seed, workload.seed + 1000)


class TestVllm:
    def test_the_published_command_line_with_the_chat_backend(self) -> None:
        argv = vllm.argv(Workload(), SEED_CASE, "/out")
        published = PUBLISHED_COMMAND.split()
        assert argv[: len(published)] == published
        more = (
            "--backend openai-chat --base-url http://127.0.0.1:8000 --dataset-name random --seed 0 --ignore-eos "
            "--percentile-metrics ttft,tpot,itl,e2el --metric-percentiles 50,99 "
            "--save-result --save-detailed --result-dir /out --result-filename result.json"
        )
        assert argv[len(published) :] == more.split()

    def test_tokenizer_and_rate_are_given_where_they_are_set(self) -> None:
        endpoint = Endpoint("http://h:1", "m", "s", "/tokenizer")
        argv = vllm.argv(Workload(request_rate=2.5), endpoint, "/out", "/venv/bin/vllm", ["--num-warmups", "1"])
        assert argv[0] == "/venv/bin/vllm"
        assert value_of(argv, "--tokenizer") == "/tokenizer"
        assert value_of(argv, "--request-rate") == "2.5"
        assert argv[-2:] == ["--num-warmups", "1"]

    def test_all_requests_failed(self) -> None:
        result = vllm.parse(vllm.load(FIXTURES / "vllm_all_failed"), Workload(100, 12, 6, 3))
        assert (result.completed, result.failed, result.metrics) == (0, 6, {})
        assert result.errors == ("Bad Request",)

    def test_its_definitions_are_those_that_the_documentation_gives(self) -> None:
        raw = vllm.load(FIXTURES / "vllm")
        found = vllm.parse(raw, Workload(100, 12, 6, 3)).metrics
        requests = list(zip(raw["ttfts"], raw["latencies"], raw["output_lens"], strict=True))
        tpots = [1000 * (e2el - ttft) / (tokens - 1) for ttft, e2el, tokens in requests]
        expected = throughputs(6, raw["total_input_tokens"], sum(raw["output_lens"]), raw["duration"])
        expected |= latencies("ttft_ms", [1000 * ttft for ttft in raw["ttfts"]]) | latencies("tpot_ms", tpots)
        expected |= latencies("itl_ms", [1000 * gap for gaps in raw["itls"] for gap in gaps])
        expected |= latencies("e2el_ms", [1000 * e2el for e2el in raw["latencies"]])
        assert found == pytest.approx(expected)

    def test_the_document_keeps_no_list_of_requests(self) -> None:
        kept = vllm.compact(vllm.load(FIXTURES / "vllm"))
        assert kept["duration"] > 0
        assert not {"generated_texts", "itls", "errors"} & kept.keys()

    def test_a_traceback_is_told_by_its_last_line(self) -> None:
        broken = "Traceback (most recent call last):\n  File ...\nConnectionResetError: reset by peer\n"
        assert output.errors({"errors": [broken, "", broken]}) == ("ConnectionResetError: reset by peer",)

    def test_progress_bar(self) -> None:
        log = "Starting\n  0%|          | 0/512 [00:00<?, ?it/s]\r  9%|▉         | 48/512 [00:31<05:00,  1.5it/s]"
        assert vllm.requests_done(Path("/"), log) == 48
        assert vllm.requests_done(Path("/"), "loading") is None


class TestSglang:
    def test_command_line(self) -> None:
        argv = sglang.argv(Workload(seed=4), SEED_CASE, "/out")
        assert argv[:5] == ["python3", "-m", "sglang.benchmark.serving", "--backend", "sglang-oai-chat"]
        assert value_of(argv, "--dataset-name") == "random-ids"
        assert value_of(argv, "--random-range-ratio") == "1.0"
        assert value_of(argv, "--served-model-name") == "qwen3-coder-next"
        assert value_of(argv, "--output-file") == "/out/result.jsonl"
        assert value_of(argv, "--seed") == "4"

    def test_an_older_installation_is_called_by_its_older_name(self) -> None:
        argv = sglang.argv(Workload(), SEED_CASE, "/out", entry="sglang.bench_serving")
        assert argv[:3] == ["python3", "-m", "sglang.bench_serving"]

    def test_a_range_of_lengths_is_told_in_the_clients_own_terms(self) -> None:
        """Its lengths go from the ratio times the length to the length."""
        argv = sglang.argv(Workload(1000, 200, random_range_ratio=0.25), SEED_CASE, "/out")
        assert value_of(argv, "--random-input-len") == "1250"
        assert value_of(argv, "--random-output-len") == "250"
        assert float(value_of(argv, "--random-range-ratio")) * 1250 == pytest.approx(750, abs=0.01)

    def test_the_prompts_are_as_long_as_the_server_says(self) -> None:
        raw = sglang.load(FIXTURES / "sglang_details")
        found = sglang.parse(raw, Workload(100, 12, 6, 3))
        assert found.total_input_tokens == sum(raw["input_lens"]) != raw["total_input_tokens"]
        assert found.metrics["total_token_throughput"] > raw["total_throughput"]
        assert set(found.values) == {"ttft_ms", "tpot_ms", "itl_ms", "e2el_ms"}

    def test_goodput_is_that_of_the_client(self) -> None:
        raw = sglang.load(FIXTURES / "sglang_details")
        limits = {f"{name}_ms": limit for name, limit in raw["goodput_slos_ms"].items()}
        found = sglang.parse(raw, Workload(100, 12, 6, 3), limits)
        assert found.metrics["request_goodput"] == pytest.approx(raw["request_goodput"])
        none = sglang.parse(raw, Workload(100, 12, 6, 3), {**limits, "ttft_ms": 0.001})
        assert none.metrics["request_goodput"] == 0

    def test_the_server_counts_the_output_tokens(self) -> None:
        argv = sglang.argv(Workload(), SEED_CASE, "/out")
        assert json.loads(value_of(argv, "--extra-request-body")) == {"stream_options": {"include_usage": True}}


class TestRange:
    def test_each_client_is_told_of_a_range(self) -> None:
        workload = Workload(random_range_ratio=0.25)
        assert value_of(vllm.argv(workload, SEED_CASE, "/out"), "--random-range-ratio") == "0.25"
        argv = aiperf.argv(workload, SEED_CASE, "/out")
        assert value_of(argv, "--random-range-ratio") == "0.25"
        assert "--output-tokens-stddev" not in argv
        # An answer may be shorter than the mean.
        assert not any(word.startswith("min_tokens") for word in argv)

    def test_a_context_has_to_hold_the_longest_request(self) -> None:
        assert Workload(1000, 200, random_range_ratio=0.5).longest == 1800

    def test_requests_are_in_the_order_in_which_they_were_sent(self) -> None:
        raw = aiperf.load(FIXTURES / "aiperf")
        backwards = aiperf.parse({**raw, "records": raw["records"][::-1]}, Workload(100, 12, 6, 3))
        found = aiperf.parse(raw, Workload(100, 12, 6, 3))
        assert backwards.values == found.values
        assert found.chunks == 72
        assert vllm.parse(vllm.load(FIXTURES / "vllm"), Workload(100, 12, 6, 3)).input_lengths == (
            112, 112, 112, 94, 96, 81,
        )  # fmt: skip


class TestAiperf:
    def test_command_line(self) -> None:
        argv = aiperf.argv(Workload(), SEED_CASE, "/out")
        assert argv[:2] == ["aiperf", "profile"]
        assert value_of(argv, "--model") == "qwen3-coder-next"
        assert value_of(argv, "--request-count") == value_of(argv, "--num-dataset-entries") == "512"
        assert value_of(argv, "--synthetic-input-tokens-mean") == "8192"
        assert value_of(argv, "--output-tokens-mean") == "1024"
        assert value_of(argv, "--concurrency") == "32"
        assert {"ignore_eos:true", "min_tokens:1024"} <= set(argv)
        assert "--config" not in argv

    def test_key_is_in_the_environment_alone(self) -> None:
        endpoint = Endpoint("http://h:1", "m", "s", "t", has_api_key=True)
        argv = aiperf.argv(Workload(), endpoint, "/out")
        files = aiperf.files(Workload(), endpoint)
        assert value_of(argv, "--config") == "/out/aiperf.json"
        assert json.loads(files["aiperf.json"])["benchmark"]["endpoint"] == {"api_key": "${OPENAI_API_KEY}"}
        assert aiperf.environment("k-1")["OPENAI_API_KEY"] == "k-1"

    def test_records_give_what_the_summary_gives_where_both_mean_the_same(self) -> None:
        raw = aiperf.load(FIXTURES / "aiperf")
        result = aiperf.parse(raw, Workload(100, 12, 6, 3))
        summary = raw["summary"]
        assert (result.completed, result.failed) == (6, 0)
        assert (result.total_input_tokens, result.total_output_tokens) == (600, 72)
        same = {
            "output_throughput": ("output_token_throughput", "avg"),
            "total_token_throughput": ("total_token_throughput", "avg"),
            "request_throughput": ("request_throughput", "avg"),
            "mean_ttft_ms": ("time_to_first_token", "avg"),
            "median_ttft_ms": ("time_to_first_token", "p50"),
            "p99_ttft_ms": ("time_to_first_token", "p99"),
            "mean_tpot_ms": ("inter_token_latency", "avg"),
            "p99_tpot_ms": ("inter_token_latency", "p99"),
            "mean_itl_ms": ("inter_chunk_latency", "avg"),
            "p99_itl_ms": ("inter_chunk_latency", "p99"),
            "p99_e2el_ms": ("request_latency", "p99"),
        }
        for ours, (theirs, statistic) in same.items():
            assert result.metrics[ours] == pytest.approx(summary[theirs][statistic], rel=1e-6), ours

    def test_definitions_hold_for_each_record(self) -> None:
        for record in aiperf.load(FIXTURES / "aiperf")["records"]:
            values = {name: item["value"] for name, item in record["metrics"].items()}
            decode = values["request_latency"] - values["time_to_first_token"]
            assert values["inter_token_latency"] == pytest.approx(decode / (values["output_sequence_length"] - 1))
            assert sum(values["inter_chunk_latency"]) == pytest.approx(decode)
            assert len(values["inter_chunk_latency"]) == values["output_sequence_length"] - 1

    def test_all_requests_failed(self) -> None:
        result = aiperf.parse(aiperf.load(FIXTURES / "aiperf_all_failed"), Workload(100, 12, 6, 3))
        assert (result.completed, result.failed, result.metrics) == (0, 6, {})
        assert len(result.errors) == 1
        assert "400" in result.errors[0]
        assert "prompt is required" in result.errors[0]

    def test_a_missing_record_is_a_failed_request(self, tmp_path: Path) -> None:
        lines = (FIXTURES / "aiperf" / aiperf.RECORDS).read_text(encoding="utf-8").splitlines(keepends=True)
        (tmp_path / aiperf.RECORDS).write_text("".join(lines[:-1]), encoding="utf-8")
        (tmp_path / aiperf.SUMMARY).write_bytes((FIXTURES / "aiperf" / aiperf.SUMMARY).read_bytes())
        result = aiperf.parse(aiperf.load(tmp_path), Workload(100, 12, 6, 3))
        assert (result.completed, result.failed) == (5, 1)

    def test_records_count_progress(self, tmp_path: Path) -> None:
        assert aiperf.requests_done(tmp_path, "") is None
        assert aiperf.requests_done(FIXTURES / "aiperf", "") == 6

    def test_document_keeps_the_records_without_the_time_of_each_chunk(self) -> None:
        raw = aiperf.load(FIXTURES / "aiperf")
        kept = aiperf.compact(raw)
        assert kept["summary"] == raw["summary"]
        assert len(kept["records"]) == 6
        assert "inter_chunk_latency" not in kept["records"][0]["metrics"]
        assert (
            kept["records"][0]["metrics"]["time_to_first_token"] == raw["records"][0]["metrics"]["time_to_first_token"]
        )


RESULTS = [
    pytest.param("vllm", vllm.RESULT, id="vllm"),
    pytest.param("sglang", sglang.RESULT, id="sglang"),
    pytest.param("aiperf", aiperf.RECORDS, id="aiperf"),
]


def fixture_text(client: str, name: str) -> str:
    path = FIXTURES / client / name
    if not path.exists():
        pytest.skip(f"no fixture {path.relative_to(FIXTURES)}")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "file"), RESULTS)
class TestDamage:
    def fails(self, name: str, directory: Path) -> str:
        with pytest.raises(FleetError) as caught:
            CLIENTS[name].parse(CLIENTS[name].load(directory), Workload())
        return str(caught.value)

    def test_no_output(self, name: str, file: str, tmp_path: Path) -> None:
        assert re.search(rf"{re.escape(file)} was not written", self.fails(name, tmp_path))

    def test_empty(self, name: str, file: str, tmp_path: Path) -> None:
        (tmp_path / file).write_text("\n", encoding="utf-8")
        assert f"{file} is empty" in self.fails(name, tmp_path)

    def test_not_an_object(self, name: str, file: str, tmp_path: Path) -> None:
        (tmp_path / file).write_text("[1]\n", encoding="utf-8")
        assert "wanted an object" in self.fails(name, tmp_path)

    def test_not_text(self, name: str, file: str, tmp_path: Path) -> None:
        (tmp_path / file).write_bytes(b"\xff\xfe\x00")
        assert "not text" in self.fails(name, tmp_path)

    def test_truncated(self, name: str, file: str, tmp_path: Path) -> None:
        text = fixture_text(name, file).rstrip()
        (tmp_path / file).write_text(text[:-20], encoding="utf-8")
        assert "not whole JSON" in self.fails(name, tmp_path)


@pytest.mark.parametrize(("name", "module"), [("vllm", vllm), ("sglang", sglang)])
class TestPlainResults:
    def test_every_metric_is_found(self, name: str, module, tmp_path: Path) -> None:
        fixture_text(name, module.RESULT)
        raw = module.load(FIXTURES / name)
        prompts = raw["completed"]
        result = module.parse(raw, Workload(num_prompts=prompts))
        assert set(result.metrics) == set(METRICS)
        assert result.failed == 0
        assert result.metrics["output_throughput"] == pytest.approx(result.total_output_tokens / result.duration)
        assert result.metrics["mean_e2el_ms"] > result.metrics["mean_ttft_ms"]

    @pytest.mark.parametrize("damage", [None, "fast", math.nan, True])
    def test_a_metric_that_is_no_number(self, name: str, module, damage: object) -> None:
        fixture_text(name, module.RESULT)
        raw = {**module.load(FIXTURES / name), "p99_ttft_ms": damage}
        with pytest.raises(FleetError, match="p99_ttft_ms"):
            module.parse(raw, Workload())

    def test_a_metric_that_is_missing(self, name: str, module) -> None:
        fixture_text(name, module.RESULT)
        raw = module.load(FIXTURES / name)
        del raw["mean_itl_ms"]
        with pytest.raises(FleetError, match="mean_itl_ms is missing"):
            module.parse(raw, Workload())

    def test_nothing_completed(self, name: str, module) -> None:
        fixture_text(name, module.RESULT)
        raw = {**module.load(FIXTURES / name), "completed": 0, "failed": 512}
        result = module.parse(raw, Workload())
        assert (result.completed, result.failed, result.metrics) == (0, 512, {})


def test_a_result_of_an_older_vllm_names_all_that_is_missing(case: Callable[[str], str]) -> None:
    with pytest.raises(FleetError) as told:
        vllm.parse(json.loads(case("21-vllm-older-result")), Workload())
    assert str(told.value) == (
        "vllm bench serve's result.json cannot be used: failed, mean_e2el_ms, median_e2el_ms, p99_e2el_ms are missing. "
        "The client of vLLM 0.9 and older does not write all of them: use that of a newer vLLM (client_path or "
        "client_image)."
    )


class TestGoodput:
    SMALL: ClassVar = Workload(100, 12, 6, 3)

    def test_vllm_is_told_the_limits(self) -> None:
        argv = vllm.argv(self.SMALL, SEED_CASE, "/out", slo={"ttft_ms": 2000.0, "tpot_ms": 30.5, "e2el_ms": 9e4})
        at = argv.index("--goodput")
        assert argv[at + 1 : at + 5] == ["ttft:2000", "tpot:30.5", "e2el:90000", "--save-result"]

    def test_a_result_of_vllm_without_it_is_told(self) -> None:
        raw = vllm.load(FIXTURES / "vllm")
        raw.pop("request_goodput", None)
        with pytest.raises(FleetError, match="request_goodput is missing"):
            vllm.parse(raw, self.SMALL, {"ttft_ms": 1.0})

    @pytest.mark.parametrize(
        ("limit", "measure"),
        [("ttft_ms", "time_to_first_token"), ("tpot_ms", "inter_token_latency"), ("e2el_ms", "request_latency")],
    )
    @pytest.mark.parametrize("keeping", [0, 2, 6])
    def test_aiperf_s_requests_within_a_limit_are_counted(self, limit: str, measure: str, keeping: int) -> None:
        raw = aiperf.load(FIXTURES / "aiperf")
        times = sorted(record["metrics"][measure]["value"] for record in raw["records"])
        at = times[keeping - 1] if keeping else times[0] / 2
        result = aiperf.parse(raw, self.SMALL, {limit: at})
        assert result.metrics["request_goodput"] == pytest.approx(keeping / result.duration)

    def test_every_limit_has_to_be_kept(self) -> None:
        raw = aiperf.load(FIXTURES / "aiperf")
        result = aiperf.parse(raw, self.SMALL, {"e2el_ms": 1e9, "ttft_ms": 1e-9})
        assert result.metrics["request_goodput"] == 0


class TestManagedFlags:
    """An extra argument must not have a client do what the result does not tell."""

    OTHER: ClassVar = {
        "input_length": {"input_length": 9},
        "output_length": {"output_length": 9},
        "num_prompts": {"num_prompts": 9},
        "max_concurrency": {"max_concurrency": 9},
        "request_rate": {"request_rate": 9.0},
        "seed": {"seed": 9},
    }
    ENDPOINTS: ClassVar = {
        "url": {"url": "http://h:9"},
        "served_model_name": {"served_model_name": "other"},
        "tokenizer": {"tokenizer": "/other"},
    }
    AT: ClassVar = Endpoint("http://h:1", "m", "s", "/tokenizer")

    @pytest.mark.parametrize("name", CLIENTS)
    def test_every_flag_that_tells_the_workload_is_one(self, name: str) -> None:
        client = CLIENTS[name]

        def argv(workload: dict, endpoint: dict, directory: str = "/out") -> list[str]:
            shape = replace(Workload(request_rate=1.0), **workload)
            return client.argv(shape, replace(self.AT, **endpoint), directory, "client")

        before = argv({}, {})
        changed = [(option, argv(change, {})) for option, change in self.OTHER.items()]
        changed += [(option, argv({}, change)) for option, change in self.ENDPOINTS.items()]
        changed += [("work_dir", argv({}, {}, "/elsewhere"))]
        for option, after in changed:
            flags = {
                before[index - 1] for index, (old, new) in enumerate(zip(before, after, strict=True)) if old != new
            }
            flags.discard("--extra-inputs")  # min_tokens, which follows the output length
            assert flags, option
            assert {client.MANAGED_FLAGS.get(flag) for flag in flags} == {option}

    @pytest.mark.parametrize(
        ("name", "argument", "option"),
        [
            ("vllm", "--max-concurrency=64", "max_concurrency"),
            ("vllm", "--max_concurrency", "max_concurrency"),
            ("vllm", "--max-conc", "max_concurrency"),
            ("vllm", "--seed", "seed"),
            ("sglang", "--random-input", "input_length"),
            ("aiperf", "--isl", "input_length"),
            ("aiperf", "-m", "served_model_name"),
            ("aiperf", "--api-key", "api_key"),
        ],
    )
    def test_it_is_refused_by_name(self, name: str, argument: str, option: str) -> None:
        with pytest.raises(FleetError, match=rf"extra_args repeats what .* \(set by {option}\)"):
            Plan(CLIENTS[name], SEED_CASE, Workload(), extra_args=(argument, "1"))

    def test_others_pass(self) -> None:
        more = ("--temperature", "0", "--num-warmups", "1", "--tokenizer-mode=slow", "--backend", "openai")
        argv = Plan(vllm, SEED_CASE, Workload(), extra_args=more).argv(Workload(), Path("/out"), "vllm")
        assert tuple(argv[-len(more) :]) == more


class TestMeasures:
    def test_percentile_is_that_of_numpy(self) -> None:
        values = [5.0, 1.0, 4.0, 2.0]
        assert percentile(values, 50) == 3.0
        assert percentile(values, 99) == pytest.approx(4.97)
        assert percentile([7.0], 99) == 7.0

    def test_latencies(self) -> None:
        assert latencies("ttft_ms", [1.0, 3.0]) == {
            "mean_ttft_ms": 2.0,
            "median_ttft_ms": 2.0,
            "p99_ttft_ms": pytest.approx(2.98),
        }

    def test_spread_of_one_value_is_not_known(self) -> None:
        assert spread([2.0]) == {"mean": 2.0, "stdev": None, "min": 2.0, "max": 2.0, "cv": None, "values": [2.0]}

    def test_spread_is_that_of_a_sample(self) -> None:
        found = spread([1.0, 2.0, 6.0])
        assert found["stdev"] == pytest.approx(statistics.stdev([1.0, 2.0, 6.0]))
        assert found["cv"] == pytest.approx(found["stdev"] / 3)

    def test_units(self) -> None:
        assert {metric: unit(metric) for metric in ("output_throughput", "request_throughput", "p99_itl_ms")} == {
            "output_throughput": "tok/s",
            "request_throughput": "req/s",
            "p99_itl_ms": "ms",
        }
