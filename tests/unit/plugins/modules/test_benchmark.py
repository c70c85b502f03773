# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module and its action, with a stub of a client against a real server."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from ansible_collections.inference.fleet.plugins.action import benchmark as action
from ansible_collections.inference.fleet.plugins.doc_fragments import measured
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import disturbances, table
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import seed_of
from ansible_collections.inference.fleet.plugins.module_utils.errors import BusyError, FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import METRICS
from ansible_collections.inference.fleet.plugins.modules import benchmark as module

ROOT = Path(__file__).resolve().parents[4]
STUBS = ROOT / "tests" / "fleet" / "stubs"


def _shared(place: str) -> Any:
    spec = importlib.util.spec_from_file_location(
        place.replace("/", "_"), Path(__file__).parents[1] / "module_utils" / f"{place}.py"
    )
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


factory = _shared("reports/factory")
_SHARED = _shared("benchmarks/conftest")
serve = _SHARED.serve
SIMULATOR = {
    "engine": "simulator",
    "simulated": True,
    "simulates": {"engine": "vllm", "profile": "h100x4"},
    "version": "0.1.0",
    "environment": {"HF_TOKEN": "hidden-1"},
}


# Two GPUs of a host: the first is hot, the other is somebody else's.
SMI = """#!/bin/sh
case "$*" in *--loop-ms*) ;; *) exit 0 ;; esac
while sleep 0.25; do
  echo '0, GPU-a, 98, 70000, 600.0, 1200, 91, 0x0000000000000040'
  echo '1, GPU-b, 90, 70000, 500.0, 1900, 60, 0x0000000000000000'
done
"""
# The benchmark's four requests, three long ones of others, which take some seconds, and a CPU that spins meanwhile.
BUSY_CLIENT = """
import threading, urllib.request
def ask(length, tokens):
    body = json.dumps({'stream': True, 'max_tokens': tokens, 'messages': [{'content': 'x' * length}]}).encode()
    urllib.request.urlopen(value('--base-url') + '/v1/chat/completions', body).read()
threads = [threading.Thread(target=ask, args=size) for size in 4 * [(64, 8)] + 3 * [(2000, 64)]]
for thread in threads: thread.start()
while any(thread.is_alive() for thread in threads): pass
"""


@pytest.fixture
def client(tmp_path: Path) -> str:
    """Write a stub of C(vllm bench serve) that claims to have done what it was asked for."""
    path = tmp_path / "client"
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "value = lambda name: sys.argv[sys.argv.index(name) + 1]\n"
        "prompts = int(value('--num-prompts'))\n"
        "result = {'completed': prompts, 'failed': 0, 'duration': 2.0,\n"
        "          'total_input_tokens': prompts * int(value('--random-input-len')),\n"
        "          'total_output_tokens': prompts * int(value('--random-output-len'))}\n"
        "if '--lose-one-of' in sys.argv and prompts == int(value('--lose-one-of')):\n"
        "    result.update(completed=prompts - 1, failed=1)\n"
        f"result.update(dict.fromkeys({METRICS!r}, 10.0))\n"
        "result['request_rate'] = float('inf')\n"
        "result['key'] = os.environ.get('OPENAI_API_KEY')\n"
        "result['tokenizer'] = ' '.join(os.listdir(value('--tokenizer'))) if '--tokenizer' in sys.argv else None\n"
        "json.dump(result, open(os.path.join(value('--result-dir'), value('--result-filename')), 'w'))\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return str(path)


def parameters(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    defaults = {name: option.get("default") for name, option in module.argument_spec().items()}
    small = {"input_length": 64, "output_length": 8, "num_prompts": 4, "max_concurrency": 2, "repeats": 2}
    small["answers"] = "not_applicable"
    return {**defaults, **small, "work_dir": str(tmp_path / "work"), "run_host": "h1", **changes}


class TestModule:
    def test_documentation_is_the_argument_spec(self) -> None:
        documented = yaml.safe_load(measured.ModuleDocFragment.DOCUMENTATION)["options"]
        documented |= yaml.safe_load(module.DOCUMENTATION)["options"]
        spec = module.argument_spec()
        assert set(documented) == set(spec)
        for name, option in spec.items():
            assert documented[name].get("default") == option.get("default"), name
            assert documented[name]["type"] == option["type"], name

    def test_defaults_are_the_published_run(self) -> None:
        spec = module.argument_spec()
        wanted = {"input_length": 8192, "output_length": 1024, "num_prompts": 512, "max_concurrency": 32, "repeats": 3}
        assert {name: spec[name]["default"] for name in wanted} == wanted
        assert spec["client"]["default"] == "vllm"

    def test_check_mode_says_what_it_would_run_and_runs_nothing(self, tmp_path: Path) -> None:
        found = module.run(parameters(tmp_path, client_path="/nowhere/vllm"), check_mode=True)
        assert found["argv"][:3] == ["/nowhere/vllm", "bench", "serve"]
        assert "result" not in found
        assert list(tmp_path.iterdir()) == []

    def test_document(self, serve: Callable, client: str, tmp_path: Path, check_document: Callable) -> None:
        server = serve(api_key="sesame-17")
        options = parameters(
            tmp_path, url=server.url + "/", client_path=client, tokenizer="byte-level", api_key="sesame-17",
            engine=SIMULATOR, hardware={"profile": "cpu"}, progress_file=str(tmp_path / "progress"),
        )  # fmt: skip
        document = module.run(options, check_mode=False)["result"]
        check_document(document)
        text = json.dumps(document)
        assert "sesame-17" not in text
        assert "hidden-1" not in text
        assert document["simulated"]
        assert document["simulates"] == {"engine": "vllm", "profile": "h100x4"}
        assert document["engine"]["url"] == server.url
        assert document["baselines"] == []
        assert document["client"]["host"] == "h1"
        raw = document["repeats"][1]["raw"]
        assert "tokenizer.json" in raw["tokenizer"]
        assert raw["request_rate"] == "inf"
        seed = seed_of(document["run_id"])
        assert [repeat["seed"] for repeat in document["repeats"]] == [seed, seed + 1]
        assert document["client"]["argv"][document["client"]["argv"].index("--seed") + 1] == str(seed)
        assert (tmp_path / "progress").read_text(encoding="utf-8").startswith("warm-up: 4 requests, not counted\n")
        assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [".127.0.0.1.lock", "finished"]

    def test_what_disturbed_a_run_is_in_its_document(
        self,
        serve: Callable,
        client: str,
        tmp_path: Path,
        check_document: Callable,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # Another client is in the engine, and this one burns a CPU; a CPU that is shared is not burnt whole.
        monkeypatch.setattr(disturbances, "SATURATED", 0.05)
        server = serve(metrics=True)
        server.gap = 0.06
        Path(client).write_text(Path(client).read_text(encoding="utf-8") + BUSY_CLIENT, encoding="utf-8")
        smi = tmp_path / "bin" / "nvidia-smi"
        smi.parent.mkdir()
        smi.write_text(SMI, encoding="utf-8")
        smi.chmod(0o755)
        monkeypatch.setenv("PATH", f"{smi.parent}:{os.environ['PATH']}")
        stranger = {"name": "train.py", "pid": 77, "memory_mib": 9000, "container": None}
        engine = {"engine": "vllm", "gpus": ["0"], "container": {"id": "c1"}}
        worker = {**stranger, "name": "VLLM::Worker", "container": "c1"}
        gpus = [
            {"index": 0, "uuid": "GPU-a", "processes": [worker, stranger]},
            {"index": 1, "uuid": "GPU-b", "processes": [stranger]},
        ]
        options = parameters(
            tmp_path, url=server.url, client_path=client, warmup=False, repeats=1, engine=engine,
            hardware={"profile": "h100x2", "gpus": gpus}, price_per_hour=3.6,
        )  # fmt: skip
        document = module.run(options, check_mode=False)["result"]
        check_document(document)
        warnings = document["quality"]["warnings"]
        assert warnings[0] == "GPU 0 was held by train.py (process 77) besides the engine: it takes a share"
        for text in (
            "benchmark 1/1: the engine worked for others meanwhile: 3 requests, 6000 prompt tokens, 192 output tokens, "
            "beside the benchmark's 4 requests, 256 and 32 tokens",
            "GPU 0 was throttled: hw_thermal_slowdown in 100% of the samples, SM clock 1200 MHz on average",
            "GPU 1, which is not this engine's, was 90 % busy: a neighbour",
            "of a CPU: the client, not the engine, may be what limited this run",
        ):
            assert any(text in warning for warning in warnings), (text, warnings)
        telemetry_ = document["repeats"][0]["telemetry"]
        assert telemetry_["engine"]["running"]["max"] >= 3
        kinds = [item["kind"] for item in document["quality"]["disturbed"]]
        assert kinds == ["neighbour", "others", "throttled", "neighbour", "client"]
        assert document["repeats"][0]["counted"]["requests"] == 7
        assert [gpu["uuid"] for gpu in telemetry_["gpus"]] == ["GPU-a"]
        assert [gpu["uuid"] for gpu in telemetry_["neighbours"]] == ["GPU-b"]
        found = document["efficiency"]
        assert found["gpu_power_w"]["mean"] == 600.0
        assert found["energy_per_output_token_j"]["mean"] == 600.0 * 2.0 / 32
        # A thousandth of a dollar a second; the stub's throughput is 10 tokens a second.
        assert found["cost_per_million_output_tokens_usd"] == pytest.approx(0.001 / 10 * 1e6)

    def test_a_sweep_has_its_points(
        self, serve: Callable, client: str, tmp_path: Path, check_document: Callable
    ) -> None:
        sweep = [
            {"max_concurrency": 1, "num_prompts": 2, "input_length": None, "output_length": None, "request_rate": None},
        ]
        done = module.run(
            parameters(tmp_path, url=serve().url, client_path=client, tokenizer="byte-level", sweep=sweep), False
        )
        check_document(done["result"])
        points = [point["workload"] for point in done["result"]["sweep"]["points"]]
        assert [(point["max_concurrency"], point["num_prompts"]) for point in points] == [(2, 4), (1, 2)]
        assert {point["input_length"] for point in points} == {64}
        assert "failed" not in done

    def test_a_point_that_fails_loses_none_before_it(
        self, serve: Callable, client: str, tmp_path: Path, check_document: Callable
    ) -> None:
        # The stub answers 6 prompts with a result of 5.
        sweep = [{"num_prompts": 6}, {"num_prompts": 8}]
        options = parameters(tmp_path, url=serve().url, client_path=client, tokenizer="byte-level", sweep=sweep)
        done = module.run({**options, "extra_args": ["--lose-one-of", "6"]}, False)
        check_document(done["result"])
        assert done["failed"]
        assert "point 2/3 (num_prompts 6), warm-up" not in done["msg"]
        assert "point 2/3 (num_prompts 6), benchmark 1/2 does not count: wanted 6 completed requests" in done["msg"]
        assert done["result"]["sweep"]["failure"] == done["msg"]
        assert [point["workload"]["num_prompts"] for point in done["result"]["sweep"]["points"]] == [4]

    def test_a_busy_engine_fails_or_is_skipped(
        self, serve: Callable, client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module.session.load, "_SETTLING", 0.0)
        server = serve(metrics=True)
        server.others = 2
        options = parameters(tmp_path, url=server.url, client_path=client, tokenizer="byte-level")
        with pytest.raises(BusyError, match="somebody else uses it"):
            module.run(options, check_mode=False)
        done = module.run({**options, "busy": "skip"}, check_mode=False)
        assert (done["changed"], done["skipped"]) == (False, True)
        assert "found 2 requests running and 0 waiting: somebody else uses it" in done["skip_reason"]
        assert "result" not in done
        assert [path.name for path in (tmp_path / "work").iterdir()] == [".127.0.0.1.lock"]

    def test_an_endpoint_that_is_down_is_not_skipped(self, client: str, tmp_path: Path) -> None:
        options = parameters(tmp_path, url="http://127.0.0.1:9", client_path=client, busy="skip")
        with pytest.raises(FleetError, match="wanted an endpoint to benchmark"):
            module.run(options, check_mode=False)

    def test_byte_level_prompts_are_not_for_sglang(self, tmp_path: Path) -> None:
        with pytest.raises(FleetError, match="use aiperf or vllm"):
            module.run(parameters(tmp_path, client="sglang", tokenizer="byte-level"), check_mode=True)

    def test_work_dir_that_cannot_be_made(self, client: str, tmp_path: Path) -> None:
        (tmp_path / "work").write_text("", encoding="utf-8")
        with pytest.raises(FleetError, match="work_dir"):
            module.run(parameters(tmp_path, client_path=client), check_mode=False)


class TestGates:
    DOCUMENT: ClassVar = {"metrics": {"output_throughput": {"mean": 1650.0}}, "quality": {"failed": 0}}

    def judged(self, condition: str) -> tuple[bool, Any]:
        gates = action.check_gates([{"condition": condition, "message": "m"}])
        judged = action.judge(gates, self.DOCUMENT)[0]
        return judged["passed"], judged["value"]

    @pytest.mark.parametrize(
        ("condition", "passed"),
        [
            ("metrics.output_throughput.mean >= `1700`", False),
            ("metrics.output_throughput.mean >= `1600`", True),
            ("quality.failed == `0`", True),
            # A number or a missing key is no condition that was met.
            ("metrics.output_throughput.mean", False),
            ("metrics.nothing >= `1`", False),
            ("abs('x') > `1`", False),
        ],
    )
    def test_only_true_is_met(self, condition: str, passed: bool) -> None:
        assert self.judged(condition)[0] is passed

    def test_a_condition_that_is_none_is_told_before_the_run(self) -> None:
        with pytest.raises(FleetError, match="not JMESPath"):
            action.check_gates([{"condition": "metrics.[", "message": "m"}])

    @pytest.mark.parametrize("gate", ["x", {"condition": "a"}, {"message": "m"}])
    def test_a_gate_needs_both_parts(self, gate: object) -> None:
        with pytest.raises(FleetError, match="condition and a message"):
            action.check_gates([gate])


class TestBaselines:
    def kept(self, folder: Path, **changes: Any) -> dict[str, Any]:
        """Write a document, and return it."""
        document = factory.document(**changes)
        factory.write(folder, document)
        return document

    def test_words_and_files(self, tmp_path: Path) -> None:
        kept = self.kept(tmp_path / "results")
        path = tmp_path / "results" / f"{kept['run_id']}.json"
        names = ["published", "previous", kept["run_id"], str(path)]
        assert action.find_baselines(names, tmp_path / "results") == ["published", "previous", kept, kept]

    def test_a_name_that_is_none_is_told_before_the_run(self, tmp_path: Path) -> None:
        with pytest.raises(FleetError, match="found 'yesterday'"):
            action.find_baselines(["yesterday"], tmp_path)

    def test_a_damaged_file_is_told_before_the_run(self, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text("{", encoding="utf-8")
        with pytest.raises(FleetError, match="is no result to compare with"):
            action.find_baselines(["x"], tmp_path)

    @pytest.mark.damaged_documents
    def test_the_previous_run_is_the_newest_of_the_same_kind(self, tmp_path: Path) -> None:
        start = datetime(2026, 11, 20, tzinfo=timezone.utc)
        self.kept(tmp_path, started=start)
        wanted = self.kept(tmp_path, started=start + timedelta(days=1))
        self.kept(tmp_path, started=start + timedelta(days=2), num_prompts=64)
        self.kept(tmp_path, started=start + timedelta(days=2), host="gpu2")
        (tmp_path / "20261123T000000Z-gpu1-aaaaaa.json").write_text("{", encoding="utf-8")
        now = factory.document(started=start + timedelta(days=3))
        action.put_beside(now, ["published", "previous"], tmp_path)
        assert [item["kind"] for item in now["baselines"]] == ["published", "run"]
        assert now["baselines"][1]["id"] == wanted["run_id"]

    def test_the_first_run_has_no_previous_one(self, tmp_path: Path) -> None:
        assert action.compare(factory.document(), ["previous"], {}) == []

    def test_each_point_of_a_sweep_has_its_own_previous_one(self, tmp_path: Path) -> None:
        start = datetime(2026, 11, 20, tzinfo=timezone.utc)
        sweep = {8: (900.0, 8.0), 32: (2143.7, 14.2), 128: (3900.0, 30.0)}
        before = factory.sweep(factory.document(started=start, factors=(1.0, 1.001)), sweep)
        lost = {8: (900.0, 8.0), 32: (2143.7, 14.2), 128: (2730.0, 43.0), 64: (3000.0, 20.0)}
        now = factory.sweep(factory.document(started=start + timedelta(days=1), factors=(1.0, 1.001)), lost)
        for document in (before, now):
            # A document is its sweep's first point.
            document["workload"]["max_concurrency"] = 8
        factory.write(tmp_path, before)
        action.put_beside(now, ["previous"], tmp_path)
        changes = [
            [round(item["metrics"]["output_throughput"]["change_percent"]) for item in point["baselines"]]
            for point in now["sweep"]["points"]
        ]
        assert changes == [[0], [0], [-30], []]
        assert now["sweep"]["points"][0]["baselines"] == now["baselines"]
        printed = table.summary_table(now)
        assert "to run of 20261120" in printed
        assert "-30.0 %" in printed
        # A document that is named is met point by point as well.
        action.put_beside(now, [before], tmp_path)
        assert [len(point["baselines"]) for point in now["sweep"]["points"]] == [1, 1, 1, 0]

    def test_of_a_point_that_was_a_run_of_its_own_too(self, tmp_path: Path) -> None:
        start = datetime(2026, 11, 20, tzinfo=timezone.utc)
        alone = self.kept(tmp_path, started=start)
        now = factory.sweep(factory.document(started=start + timedelta(days=1)), {8: (9.0, 8.0), 32: (2143.7, 14.2)})
        now["workload"]["max_concurrency"] = 8
        action.put_beside(now, ["previous"], tmp_path)
        assert [[item["id"] for item in point["baselines"]] for point in now["sweep"]["points"]] == [
            [],
            [alone["run_id"]],
        ]

    def test_other_limits_are_named_and_not_compared(self, tmp_path: Path) -> None:
        start = datetime(2026, 11, 20, tzinfo=timezone.utc)
        before = self.kept(tmp_path, started=start, slo={"ttft_ms": 2000.0})
        now = factory.document(started=start + timedelta(days=1), slo={"ttft_ms": 500.0})
        action.put_beside(now, ["previous"], tmp_path)
        (found,) = now["baselines"]
        assert (found["id"], found["metrics"]) == (before["run_id"], {})
        assert "limits ttft 500 ms (there ttft 2000 ms)" in found["notes"][0]
        # Not a run that was measured later, nor one that was disturbed.
        self.kept(tmp_path, started=start + timedelta(days=2), slo={"ttft_ms": 500.0})
        action.put_beside(now, ["previous"], tmp_path)
        assert now["baselines"][0]["metrics"] == {}
