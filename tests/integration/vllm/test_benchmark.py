# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark module with real clients against the real vLLM that 'make demo ENGINE=vllm' leaves: what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / ".build" / "collections"))

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # noqa: E402  (after the path, as what follows)

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import load  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import METRICS  # noqa: E402
from ansible_collections.inference.fleet.plugins.modules import benchmark as module  # noqa: E402
from ansible_collections.inference.fleet.tests.patience import until  # noqa: E402

URL = f"http://127.0.0.1:{os.environ.get('DEMO_PORT', 8000)}"
CONTAINER = os.environ.get("DEMO_CONTAINER", "qwen3-coder-next")
SERVED = "qwen3-coder-next"
MODEL = str(ROOT / ".build/models/tiny-qwen3")
VENVS = ROOT / ".build/venvs"
CLIENTS = {
    "vllm": VENVS / "vllm-cpu/bin/vllm",
    "aiperf": VENVS / "aiperf/bin/aiperf",
    # Some GB: there where tests/rigs/sglang_client/build was run.
    "sglang": VENVS / "sglang/bin/python",
}
LIMITS = ("ttft_ms", "tpot_ms", "e2el_ms")
# That of the demo, and the one that new_key gave after it.
KEYS = [
    yaml.safe_load((ROOT / "tests/rigs/vllm_cpu/vars.yml").read_text())["engine_api_key"],
    "another-key-of-the-rehearsal",
]


@pytest.fixture(scope="session")
def key() -> str:
    """The API key of the engine that is there."""
    try:
        for candidate in KEYS:
            if requests.get(f"{URL}/v1/models", headers={"Authorization": f"Bearer {candidate}"}, timeout=60).ok:
                return candidate
    except requests.ConnectionError:
        pass
    pytest.skip(f"no vLLM of the demo at {URL}: run 'make demo ENGINE=vllm'")


@pytest.fixture
def benchmark(key: str, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run the module, and hold its document against the schema."""
    schema = jsonschema.Draft202012Validator(json.loads((ROOT / "docs/result.schema.json").read_text()))

    def run(client: str = "vllm", **options: Any) -> dict[str, Any]:
        if not CLIENTS[client].exists():
            pytest.skip(f"no {client} in {CLIENTS[client]}")
        small = {"input_length": 128, "output_length": 16, "num_prompts": 16, "max_concurrency": 4, "repeats": 1}
        places = {"client_path": str(CLIENTS[client]), "work_dir": str(tmp_path / "work"), "run_host": "h1"}
        served = {"url": URL, "model": MODEL, "api_key": key, "timeout": 300, "warmup": False}
        served["answers"] = "not_applicable"
        wanted = {"client": client, **small, **places, **served, **options}
        checked = ArgumentSpecValidator(module.argument_spec()).validate(wanted)
        assert not checked.error_messages
        done = module.run(checked.validated_parameters, check_mode=False)
        schema.validate({**done["result"], "gates": []})
        assert key not in json.dumps(done)
        return done

    return run


@pytest.mark.parametrize("client", CLIENTS)
def test_a_run_that_counts(benchmark: Callable, client: str) -> None:
    # The demo warms up with the client vllm, whose start is the longest.
    warmup = client == "aiperf"
    document = benchmark(client, warmup=warmup, slo=dict.fromkeys(LIMITS, 60000))["result"]
    (repeat,) = document["repeats"]
    assert (repeat["completed"], repeat["failed"]) == (16, 0)
    assert repeat["total_output_tokens"] == 16 * 16
    assert repeat["total_input_tokens"] >= 16 * 128
    assert set(METRICS) <= set(document["metrics"])
    goodput = document["metrics"]["request_goodput"]["mean"]
    assert goodput == pytest.approx(document["metrics"]["request_throughput"]["mean"])
    assert set(document["histograms"]) == {"ttft_ms", "tpot_ms", "itl_ms", "e2el_ms"}
    counted = repeat["counted"]
    assert (counted["requests"], counted["generated_tokens"]) == (16, 256)
    assert counted["prompt_tokens"] == repeat["total_input_tokens"]
    assert document["quality"]["disturbed"] == []
    assert document["warm"] is warmup


@pytest.mark.parametrize(
    ("client", "extra_args", "answered"),
    [
        # What the client sends without the right backend: vLLM refuses it, and the client exits with 0.
        ("vllm", ["--backend", "openai"], "exit code: 0). The server answered: Bad Request"),
        ("aiperf", ["--endpoint", "/nowhere"], "The server answered: 404 Not Found"),
    ],
)
def test_every_request_refused(
    benchmark: Callable, client: str, extra_args: list[str], answered: str, tmp_path: Path
) -> None:
    with pytest.raises(FleetError) as caught:
        benchmark(client, extra_args=extra_args)
    message = str(caught.value)
    assert "wanted 16 completed requests, found 0 completed and 16 failed" in message
    assert answered in message
    assert f"extra_args may be why: {' '.join(extra_args)}." in message
    assert Path(str(caught.value.details["raw_output"]), "output.log").stat().st_size > 0


def test_answers_shorter_than_asked(benchmark: Callable) -> None:
    with pytest.raises(FleetError, match=r"wanted 256 output tokens \(16 x 16, within 1%\), found 128"):
        benchmark(extra_args=["--extra-body", '{"max_completion_tokens": 8}'])


def test_slower_than_the_time_limit(benchmark: Callable) -> None:
    with pytest.raises(FleetError, match=r"after its time limit, 18 s, and was killed. .* of 16 requests were over"):
        benchmark(output_length=4096, timeout=18)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"served_model_name": "nobody"}, "wanted model nobody at .*, found: qwen3-coder-next"),
        ({"api_key": None}, r"answered 401: .* \(no API key is set\)"),
        ({"api_key": "a-wrong-key"}, r"answered 401: .* \(with the API key that is set\)"),
        ({"input_length": 20000}, "needs a context of 20080 tokens .* has 16384"),
    ],
)
def test_refused_before_a_client_starts(benchmark: Callable, options: dict[str, Any], message: str) -> None:
    with pytest.raises(FleetError, match=message):
        benchmark(**options)


@pytest.fixture
def somebody_else(key: str) -> Iterator[threading.Event]:
    """Keep a request in the engine until the event is set, however fast or slow the engine is."""
    over = threading.Event()
    body = {"model": SERVED, "prompt": "Hello", "max_tokens": 16000, "ignore_eos": True, "stream": True}
    headers = {"Authorization": f"Bearer {key}"}

    def read() -> None:
        while not over.is_set():
            with requests.post(f"{URL}/v1/completions", json=body, headers=headers, stream=True, timeout=60) as answer:
                for _line in answer.iter_lines():
                    if over.is_set():
                        return

    thread = threading.Thread(target=read)
    thread.start()
    try:
        until(lambda: running(key) == 1)
        yield over
    finally:
        over.set()
        thread.join()


def running(key: str) -> int:
    """Return how many requests the engine works at, as it tells."""
    headers = {"Authorization": f"Bearer {key}"}
    found = load.parse(requests.get(f"{URL}/metrics", headers=headers, timeout=60).text)
    assert found is not None
    return found.running


def test_an_engine_that_somebody_else_uses(benchmark: Callable, somebody_else: threading.Event, tmp_path: Path) -> None:
    # Where two looks fall between two of its requests, the tokens tell it.
    busy = r"(\d requests running and \d waiting|that \d+ tokens were generated)"
    with pytest.raises(FleetError, match=rf"wanted an idle engine .*, found {busy}.*: somebody else uses it"):
        benchmark()
    progress = tmp_path / "progress"
    progress.touch()

    def leave() -> None:
        with suppress(AssertionError):
            until(lambda: "waiting for an idle engine: " in progress.read_text())
        somebody_else.set()

    leaver = threading.Thread(target=leave)
    leaver.start()
    # And no request keeps a limit that none can.
    limits = {"ttft_ms": 0.01, "e2el_ms": 60000}
    document = benchmark(wait_idle=240, progress_file=str(progress), slo=limits)["result"]
    leaver.join()
    assert document["repeats"][0]["completed"] == 16
    assert document["metrics"]["request_throughput"]["mean"] > document["metrics"]["request_goodput"]["mean"] == 0
    assert re.search(rf"^waiting for an idle engine: {busy}", progress.read_text(), re.MULTILINE)


@pytest.mark.ends_the_engine
def test_an_engine_that_dies_in_a_sweep_loses_nothing_of_the_points_before(
    benchmark: Callable, key: str, tmp_path: Path
) -> None:
    progress = tmp_path / "progress"
    progress.touch()

    def kill() -> None:
        with suppress(AssertionError):
            until(lambda: "point 2/2" in progress.read_text())
            # In the middle of its answers: the client takes its time to start.
            until(lambda: running(key) == 4)
        for docker in (["docker"], ["sudo", "-n", "docker"]):
            if subprocess.run([*docker, "kill", CONTAINER], capture_output=True, check=False).returncode == 0:
                return

    killer = threading.Thread(target=kill)
    killer.start()
    done = benchmark(sweep=[{"output_length": 4096}], progress_file=str(progress))
    killer.join()
    assert done["failed"]
    assert "wanted 16 completed requests, found 0 completed and 16 failed" in done["msg"]
    assert "The server answered: " in done["msg"]
    points = done["result"]["sweep"]["points"]
    assert [point["workload"]["output_length"] for point in points] == [16]
    assert points[0]["metrics"]["output_throughput"]["mean"] > 0
