# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a start is, from lines of real logs; and that a slow one never goes silent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils import progress as progress_module
from ansible_collections.inference.fleet.plugins.module_utils.containers.start import Start
from ansible_collections.inference.fleet.plugins.module_utils.engines import sglang, vllm
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

LOGS = Path(__file__).parent / "logs"
LOG = (LOGS / "vllm-0.22.1-h200-start.log").read_text()
VLLM, SGLANG = vllm.log(), sglang.log()

PHASES = [
    (
        VLLM,
        "Loading safetensors checkpoint shards:  25% Completed | 10/40 [00:10<00:30,  1.00s/it]",
        "loading weights: 10 of 40",
    ),
    (VLLM, "INFO 11-23 [default_loader.py:308] Loading weights took 42.31 seconds", "weights loaded in 42.31 s"),
    (VLLM, "INFO 11-23 [monitor.py:48] torch.compile takes 12.4 s in total", "compiled in 12.4 s"),
    (VLLM, "INFO 11-23 [api_server.py:1] Starting vLLM server on http://0.0.0.0:8000", "starting the server"),
    (VLLM, "DeepGEMM warmup:  26%|██▌       | 326/1253 [00:52<04:06,  3.76it/s]", "DeepGEMM warm-up: 326 of 1253"),
    (
        VLLM,
        "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  17%|█▋        | 6/35 [00:04<00:20,  1.41it/s]",
        "capturing graphs: 6 of 35",
    ),
    # A terminal's bar in one line of Docker's: it is read where it stands last.
    (VLLM, "DeepGEMM warmup:   0%|          | 0/9 [00:00<?]\rDeepGEMM warmup:  55%|█| 5/9 [00:01<?]", None),
    (VLLM, "some new kernels:  50%|█████     | 2/4 [00:01<00:01,  2.00it/s]", "some new kernels: 2 of 4"),
    (SGLANG, "[2026-11-23 15:00:00] The server is fired up and ready to roll!", "server is up"),
    (
        SGLANG,
        "[2026-11-23 15:00:00 TP0] Load weight end. elapsed=12.34 s, type=X, avail mem=1",
        "weights loaded in 12.34 s",
    ),
    (SGLANG, "[2026-11-23 15:00:00 TP0] Load weight begin. avail mem=78.19 GB", "loading the model"),
    (SGLANG, "[2026-11-23 15:00:00 TP0] Capture target decode CUDA graph begin. backend=full", "capturing graphs"),
    (
        SGLANG,
        "[2026-11-23 15:00:00 TP0] Capture cuda graph end. Time elapsed: 5.41 s. mem",
        "graphs captured in 5.41 s",
    ),
    (
        SGLANG,
        "Capturing batches (bs=1 avail_mem=7.13 GB):  50%|█████     | 26/52 [00:09<00:09,  2.77it/s]",
        "capturing graphs: 26 of 52",
    ),
    (
        SGLANG,
        "DeepGEMM warmup:  10%|█         | 1638/16384 [00:10<01:30, 163.84it/s]",
        "DeepGEMM warm-up: 1638 of 16384",
    ),
]


@pytest.mark.parametrize(("log", "line", "phase"), PHASES)
def test_phases(log: object, line: str, phase: str | None) -> None:
    if phase is None:
        assert str(log.phase(line)) == "DeepGEMM warm-up: 5 of 9"
    else:
        assert str(log.phase(line)) == phase


def test_the_public_case(case: Callable[[str], str]) -> None:
    first, second, third = case("24-vllm-phases").splitlines()
    assert str(VLLM.phase(first)) == "capturing graphs: 67 of 67"
    assert str(VLLM.phase(second)) == "engine initialised in 114.28 s"
    assert str(SGLANG.phase(third)) == "weights loaded"


def test_a_setting_that_names_a_phase_is_none() -> None:
    assert VLLM.phase("INFO 11-23 [core.py:98] Initializing engine with config: torch.compile level=3") is None


def test_a_real_start_on_a_cpu() -> None:
    said: list[str] = []
    Start(VLLM, 1800, said.append).read((LOGS / "vllm-0.32.0-cpu-start.log").read_text())
    assert said == [
        "reading the model's configuration",
        "starting the engine",
        "loading the model",
        "loading weights: 0 of 1",
        "loading weights: 1 of 1",
        "weights loaded in 0.04 s",
        "engine initialised in 1.42 s",
        "starting the server",
        "the server is up",
    ]


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def at_its_pace() -> Iterator[tuple[float, str]]:
    """Yield the real start's lines with their seconds since its begin; its warm-up, which was cut off, to its end."""
    hours = re.compile(r"\d\d-\d\d (\d\d):(\d\d):(\d\d) \[")
    progress = re.compile(r"DeepGEMM warmup: .* (\d+)/1253 \[(\d\d):(\d\d)<")
    begin, seconds, warm_up, count = None, 0.0, 0.0, 0
    for line in LOG.splitlines():
        stamp, counted = hours.search(line), progress.search(line)
        if stamp:
            hour, minute, second = map(int, stamp.groups())
            begin = hour * 3600 + minute * 60 + second if begin is None else begin
            seconds = warm_up = float(hour * 3600 + minute * 60 + second - begin)
        elif counted:
            count = int(counted.group(1))
            seconds = warm_up + int(counted.group(2)) * 60 + int(counted.group(3))
        yield seconds, line
    # Docker keeps a line without an end until it has 16 KiB of it: some 200 of these at once.
    for _chunk in range(5):
        seconds += 80
        count = min(count + 200, 1253)
        yield seconds, f"DeepGEMM warmup:  50%|██▌       | {count}/1253 [05:00<05:00,  2.50it/s]"
    yield seconds + 2, "(EngineCore pid=788) INFO 11-26 05:46:00 [core.py:402] init engine (profile) took 610.00 s"


def test_a_slow_start_is_never_silent_for_longer_than_30_seconds(tmp_path: Path) -> None:
    clock = Clock()
    progress = Progress(str(tmp_path / "progress"), clock=clock)
    told: list[tuple[float, str]] = []

    def said() -> None:
        lines = (tmp_path / "progress").read_text().splitlines() if (tmp_path / "progress").exists() else []
        told.extend((clock.now, line) for line in lines[len(told) :])

    start = Start(VLLM, 1800, progress.say, clock)
    start.awaits("GET /health got no answer: connection refused")
    events = list(at_its_pace())
    end = events[-1][0]
    assert end > 600
    while clock.now <= end:
        # The log is read by whole seconds: a line comes twice.
        start.read("\n".join(line for when, line in events if clock.now - 1 <= when <= clock.now))
        progress.beat(start.words)
        said()
        clock.now += 1
    times = [0.0, *(when for when, _line in told), end]
    gap = max(after - before for before, after in pairwise(times))
    print(f"{end:.0f} s, {len(told)} lines, longest silence {gap:.0f} s")
    assert gap <= 30
    lines = [line for _when, line in told]
    phases = [line for line in lines if "waiting for" not in line and "of 1253" not in line]
    assert phases == [
        "reading the model's configuration",
        "starting the engine",
        "loading the model",
        "model loaded: 74.94 GiB, 8.819746 s",
        "compiling",
        "compiled in 72.49 s",
        "profiled in 22.54 s",
        "profiling the memory of CUDA graphs",
        "KV cache: 48.92 GiB",
        "engine initialised in 610.00 s",
    ]
    assert any(
        re.fullmatch(
            r"DeepGEMM warm-up: \d+ of 1253, \d+ s of 1800; waiting for the endpoint: "
            r"GET /health got no answer: connection refused",
            line,
        )
        for line in lines
    )
    assert sum("of 1253" in line for line in lines) < 40, "a line a tenth, and one each 30 s"


def test_a_first_answer_that_takes_long_is_what_is_awaited() -> None:
    clock = Clock()
    start = Start(VLLM, 1800, print, clock)
    assert start.phase == "none that its log tells"
    start.awaits("GET /health got no answer: connection refused")
    clock.now = 100
    start.asks()
    assert start.words().endswith("waiting for the endpoint: GET /health got no answer: connection refused")
    clock.now = 130
    assert start.words() == "starting, 130 s of 1800; waiting for the endpoint: its first answer"


def test_work_that_blocks_goes_on_being_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "TELL_EVERY", 0)
    monkeypatch.setattr(progress_module, "_LOOK_EVERY", 0.01)
    path = tmp_path / "progress"
    progress = Progress(str(path))
    count = iter(range(10**9))
    with progress.heartbeat(lambda: f"still at it {next(count)}"):
        while not (path.exists() and len(path.read_text().splitlines()) >= 3):
            pass
    assert path.read_text().splitlines()[:3] == ["still at it 0", "still at it 1", "still at it 2"]
    length = len(path.read_text())
    progress.beat(lambda: "later")
    assert path.read_text()[length:] == "later\n", "nobody else tells when the work is over"
