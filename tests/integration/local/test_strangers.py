# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real client on the simulator, beside others: who send long prompts, and get little text, leave few tokens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import CLIENTS, load, runner, session
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.plan import Plan
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint, Workload
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.benchmarks import conftest as benchmarks

tokenizer = benchmarks.tokenizer

ROOT = Path(__file__).resolve().parents[3]
MODEL = "qwen3-coder-next"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[str]:
    """Serve the simulator as a process of its own, and return its URL."""
    figures = json.dumps({key: PUBLISHED[0][key] for key in ("id", "cold", "workload", "metrics")})
    program = "from ansible_collections.inference.fleet.plugins.module_utils.simulator.server import main; main()"
    argv = [sys.executable, "-c", program, "--port", "0", "--model", "m", "--served-model-name", MODEL]
    log = tmp_path / "simulator.log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".build/collections")}
    with log.open("wb") as stream:
        process = subprocess.Popen([*argv, "--figures", figures], env=environment, stdout=stream, stderr=stream)
    try:
        while not (found := re.search(r"http://[\d.]+:\d+", log.read_text(encoding="utf-8"))):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        yield found[0]
    finally:
        process.kill()
        process.wait()


def strangers(url: str, over: threading.Event) -> None:
    """Send four requests of 8,192 tokens in and one out, once the benchmark's are in the engine."""
    while not over.is_set():
        seen = load.parse(requests.get(f"{url}/metrics", timeout=60).text)
        if seen and seen.requests:
            break
        time.sleep(0.05)
    body = {"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "x" * 8192}]}
    for _request in range(4):
        requests.post(f"{url}/v1/chat/completions", json=body, timeout=60)


def test_strangers_with_long_prompts_are_told(simulator: str, aiperf: str, tokenizer: str, tmp_path: Path) -> None:
    # At a rate, fewer requests are in flight than may be: no number of requests at once gives the others away.
    workload = Workload(512, 64, 16, 16, 4.0)
    endpoint = Endpoint(simulator, "m", MODEL, tokenizer)
    plan = Plan(CLIENTS["aiperf"], endpoint, workload, repeats=1, warmup=False, timeout=300)
    over = threading.Event()
    others = threading.Thread(target=strangers, args=(simulator, over))
    others.start()
    try:
        measured = session.run(plan, runner.ProcessRunner(aiperf), tmp_path / "work", Progress())
    finally:
        over.set()
        others.join()
    ((repeat,),) = (point.repeats for point in measured.points)
    assert (repeat.counted.requests, repeat.counted.prompt_tokens) == (20, 16 * 512 + 4 * 8192)
    # Less than a hundredth of the tokens that were generated.
    assert repeat.counted.generated_tokens == 16 * 64 + 4
    told = [remark for remark in repeat.remarks if remark.disturbing]
    assert [remark.kind for remark in told] == ["others"]
    assert "4 requests, 32768 prompt tokens, 4 output tokens, beside the benchmark's 16 requests" in told[0].text
    assert measured.simulated
