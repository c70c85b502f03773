# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark's numbers are worth: clients side by side, and ours beside the bare client. No judgement.

Usage: python tests/bench/benchmark.py [clients] [overhead]

Both want the vLLM that 'make demo ENGINE=vllm' leaves; overhead goes to the simulator as well, whose pace is steady.
"""

from __future__ import annotations

import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build/collections"))

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import CLIENTS, counting  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import (  # noqa: E402
    Endpoint,
    Workload,
)
from ansible_collections.inference.fleet.plugins.module_utils.results.measures import METRICS, unit  # noqa: E402
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED  # noqa: E402  (after the path, as what follows)
from ansible_collections.inference.fleet.plugins.module_utils.simulator.tokenizer import tokenizer_files  # noqa: E402
from ansible_collections.inference.fleet.plugins.modules import benchmark as module  # noqa: E402

SERVED = "qwen3-coder-next"
VENVS = ROOT / ".build/venvs"
EXECUTABLES = {
    "vllm": VENVS / "vllm-cpu/bin/vllm",
    "aiperf": VENVS / "aiperf/bin/aiperf",
    "sglang": VENVS / "sglang/bin/python",
}
REPEATS = 5


def demo() -> dict[str, Any] | None:
    """Return the options that reach the demo's vLLM; None where it does not serve."""
    variables = yaml.safe_load((ROOT / "tests/rigs/vllm_cpu/vars.yml").read_text())
    key = variables["engine_api_key"]
    url = "http://127.0.0.1:8000"
    try:
        models = requests.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=5)
    except requests.ConnectionError:
        return None
    if not models.ok or models.json()["data"][0]["id"] != SERVED or "simulator" in models.text:
        return None
    model = str(ROOT / ".build/models/tiny-qwen3")
    return {"url": url, "model": model, "tokenizer": model, "api_key": key}


@contextmanager
def apart() -> Iterator[None]:
    """Give the demo's vLLM the first CPU and everything here the others: else they fight, and that is measured."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        yield
        return

    def pin(engine: list[int], rest: list[int]) -> None:
        listed = ",".join(map(str, engine))
        subprocess.run(["docker", "update", f"--cpuset-cpus={listed}", SERVED], check=True, capture_output=True)
        os.sched_setaffinity(0, rest)

    pin(cpus[:1], cpus[1:])
    try:
        yield
    finally:
        pin(cpus, cpus)


@contextmanager
def simulator(folder: Path) -> Iterator[dict[str, Any]]:
    """Serve the simulator, and return the options that reach it."""
    figures = json.dumps({key: PUBLISHED[0][key] for key in ("id", "cold", "workload", "metrics")})
    program = "from ansible_collections.inference.fleet.plugins.module_utils.simulator.server import main; main()"
    argv = [sys.executable, "-c", program, "--port", "0", "--model", "m", "--served-model-name", SERVED]
    log = folder / "simulator.log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".build/collections")}
    with log.open("wb") as stream:
        process = subprocess.Popen([*argv, "--figures", figures], env=environment, stdout=stream, stderr=stream)
    try:
        while not (port := re.search(r"http://[\d.]+:(\d+)", log.read_text())):
            time.sleep(0.1)
        tokenizer = folder / "tokenizer"
        tokenizer.mkdir()
        for name, text in tokenizer_files().items():
            (tokenizer / name).write_text(text, encoding="utf-8")
        yield {"url": f"http://127.0.0.1:{port[1]}", "model": "m", "tokenizer": str(tokenizer), "api_key": None}
    finally:
        process.kill()
        process.wait()


def ours(client: str, folder: Path, **options: Any) -> dict[str, Any]:
    """Run the module once, without a controller; return its document."""
    wanted = {
        "client": client,
        "client_path": str(EXECUTABLES[client]),
        "served_model_name": SERVED,
        "repeats": 1,
        "warmup": False,
        "work_dir": str(folder / "work"),
        "run_host": "bench",
        **{name: value for name, value in options.items() if value is not None},
    }
    checked = ArgumentSpecValidator(module.argument_spec()).validate(wanted)
    assert not checked.error_messages, checked.error_messages
    return module.run(checked.validated_parameters, check_mode=False)["result"]


def clients(folder: Path) -> None:
    """Print every metric of the same workload by each client that is here, on the demo's vLLM."""
    served = demo()
    if served is None:
        print("\nclients: skipped, there is no vLLM of 'make demo ENGINE=vllm'")
        return
    present = [name for name, path in EXECUTABLES.items() if path.exists()]
    shape = {"input_length": 512, "output_length": 64, "num_prompts": 64, "max_concurrency": 2}
    print(f"\nThe clients side by side on vLLM (CPU): {shape}, {REPEATS} rounds, each client once a round")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in present}
    with apart():
        for number in range(-1, REPEATS):
            for name in present:
                document = ours(name, folder, **served, **shape, seed=1000 * number + 2000)
                # The first round warms the engine and the clients' files.
                found[name] += [document] if number >= 0 else []
    print(f"{'':<24}" + "".join(f"{name:>22}{'to vllm':>10}" for name in present))
    for metric in METRICS:
        row = f"{metric:<24}"
        base = statistics.fmean(run["metrics"][metric]["mean"] for run in found["vllm"])
        for name in present:
            values = [run["metrics"][metric]["mean"] for run in found[name]]
            mean = statistics.fmean(values)
            row += f"{mean:>13,.2f} ± {statistics.stdev(values):<6,.2f}{mean / base:>10.3f}"
        print(f"{row}   {unit(metric)}")
    for name in present:
        for warning in sorted({text for run in found[name] for text in run["quality"]["warnings"]}):
            print(f"  {name}: {warning}")


def bare(client: str, folder: Path, seed: int, shape: dict[str, Any], served: dict[str, Any]) -> float:
    """Run the client's own command line, as the module would make it; return its output throughput."""
    adapter = CLIENTS[client]
    endpoint = Endpoint(served["url"], served["model"], SERVED, served["tokenizer"], bool(served["api_key"]))
    workload = Workload.of({**shape, "seed": seed})
    directory = Path(tempfile.mkdtemp(dir=folder))
    for name, text in adapter.files(workload, endpoint).items():
        (directory / name).write_text(text, encoding="utf-8")
    argv = adapter.argv(workload, endpoint, str(directory), str(EXECUTABLES[client]))
    environment = {**os.environ, **adapter.environment(served["api_key"])}
    with (directory / "log").open("wb") as log:
        subprocess.run(argv, env=environment, cwd=directory, stdout=log, stderr=log, check=True)
    result = adapter.parse(adapter.load(directory), workload)
    assert not counting.shortfalls(result, workload)
    return result.metrics["output_throughput"]


def overhead(folder: Path) -> None:
    """Print our run beside the bare client command, in pairs: throughput, and seconds."""
    served = demo()
    if served:
        with apart():
            pairs("vllm", "vLLM (CPU)", folder, served)
    else:
        print("\noverhead on vLLM: skipped, there is no vLLM of 'make demo ENGINE=vllm'")
    with simulator(folder) as simulated:
        for client in ("vllm", "aiperf"):
            if EXECUTABLES[client].exists():
                pairs(client, "the simulator", folder, simulated)


def pairs(client: str, engine: str, folder: Path, served: dict[str, Any]) -> None:
    """Print the pairs of one client on one engine."""
    shape = {"input_length": 512, "output_length": 64, "num_prompts": 64, "max_concurrency": 4}
    print(f"\nOur run beside the bare {client} on {engine}: {shape}, {REPEATS} pairs, without warm-up")
    ratios, seconds = [], []
    for number in range(-1, REPEATS):
        values, walls = {}, {}
        for side in ("ours", "bare") if number % 2 else ("bare", "ours"):
            started = time.monotonic()
            seed = 1000 * (2 * number + (side == "ours") + 3)
            if side == "ours":
                document = ours(client, folder, **served, **shape, seed=seed)
                values[side] = document["metrics"]["output_throughput"]["mean"]
            else:
                values[side] = bare(client, folder, seed, shape, served)
            walls[side] = time.monotonic() - started
        if number < 0:
            continue  # The first pair warms the engine and the client's files.
        ratios.append(values["ours"] / values["bare"])
        seconds.append(walls["ours"] - walls["bare"])
        print(
            f"  ours {values['ours']:8.1f} tok/s in {walls['ours']:5.1f} s, bare {values['bare']:8.1f} tok/s in "
            f"{walls['bare']:5.1f} s, ratio {ratios[-1]:.4f}"
        )
    error = statistics.stdev(ratios) / math.sqrt(len(ratios))
    print(
        f"  throughput, ours to bare: mean {statistics.fmean(ratios):.4f} ± {error:.4f} (standard error), median "
        f"{statistics.median(ratios):.4f}; overhead: median {statistics.median(seconds):.1f} s"
    )


def main() -> None:
    """Run the parts that were named, or all."""
    parts = {"clients": clients, "overhead": overhead}
    names = sys.argv[1:] or list(parts)
    unknown = set(names) - set(parts)
    if unknown:
        sys.exit(f"benchmark: there is no {', '.join(sorted(unknown))}. Parts: {', '.join(parts)}.")
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
        for name in names:
            parts[name](Path(folder))


if __name__ == "__main__":
    main()
