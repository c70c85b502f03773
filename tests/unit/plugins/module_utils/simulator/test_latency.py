# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The latency model, on its own clock: nothing here sleeps."""

from __future__ import annotations

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED, published
from ansible_collections.inference.fleet.plugins.module_utils.simulator import latency

# What the rows that look cold would read when warm: tokens a second, and milliseconds.
WARM = {
    "lambda/qwen3-coder-next/vllm/b200x2": {"output_throughput": 2190, "mean_ttft_ms": 560},
    "lambda/qwen3-coder-next/vllm/a100x4": {"output_throughput": 1009, "mean_ttft_ms": 1030},
}
FOLLOWED = (
    "output_throughput",
    "total_token_throughput",
    "mean_ttft_ms",
    "p99_ttft_ms",
    "mean_tpot_ms",
    "mean_itl_ms",
    "p99_itl_ms",
)
# What the first wave, which makes them, would read when warm is not known.
UNKNOWN_WARM = ("p99_ttft_ms", "total_token_throughput")


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row["id"])
def test_the_published_workload_gives_the_published_figures(row):
    wanted = {metric: row["metrics"][metric] for metric in FOLLOWED if not (row["cold"] and metric in UNKNOWN_WARM)}
    wanted.update(WARM.get(row["id"], {}))
    found = latency.run(latency.rates(row), row["workload"])
    assert {metric: found[metric] for metric in wanted} == pytest.approx(wanted, rel=0.1)


@pytest.fixture(scope="module")
def speed():
    return latency.rates(published("vllm", "h100x4"))


def workload(**changes):
    return {"input_length": 2048, "output_length": 64, "num_prompts": 64, "max_concurrency": 32, **changes}


def test_the_same_workload_gives_the_same_figures(speed):
    assert latency.run(speed, workload()) == latency.run(speed, workload())


@pytest.mark.parametrize("changes", [{}, {"max_concurrency": 1}, {"output_length": 1}, {"output_length": 300}])
def test_steps_that_are_alike_may_be_gone_at_once(speed, monkeypatch, changes):
    at_once = latency.run(speed, workload(**changes))
    monkeypatch.setattr(latency.Engine, "steady", lambda engine, step: 0)
    assert at_once == pytest.approx(latency.run(speed, workload(**changes)), rel=1e-9)


def test_one_stream_is_faster_than_many(speed):
    one, many = (latency.run(speed, workload(max_concurrency=count)) for count in (1, 32))
    assert one["mean_tpot_ms"] < many["mean_tpot_ms"]
    assert one["mean_ttft_ms"] < many["mean_ttft_ms"]
    assert one["output_throughput"] < many["output_throughput"]


def test_a_step_takes_longer_the_more_requests_decode(speed):
    seconds = [speed.step_seconds(decoding) for decoding in (1, 8, 32, 64)]
    assert seconds == sorted(set(seconds))
    assert speed.step_seconds(32) == speed.step


def test_a_longer_prompt_takes_longer_to_the_first_token(speed):
    short, long = (latency.run(speed, workload(input_length=length)) for length in (1024, 8192))
    assert short["mean_ttft_ms"] < long["mean_ttft_ms"]


def test_beyond_the_row_s_concurrency_each_stream_slows_down(speed):
    at, beyond = (latency.run(speed, workload(num_prompts=256, max_concurrency=count)) for count in (32, 128))
    assert at["mean_tpot_ms"] < beyond["mean_tpot_ms"]


def steps(engine):
    found = []
    while step := engine.step():
        found.append(step)
    return found


def count(found, key):
    return sum(step.tokens.count(key) + step.firsts.count(key) for step in found)


@pytest.mark.parametrize("outputs", [(1,), (1, 2, 3), (64, 1, 7, 64)])
def test_each_request_gets_its_tokens_and_no_more(speed, outputs):
    engine = latency.Engine(speed)
    for key, output in enumerate(outputs):
        engine.submit(key, 100, output)
    found = steps(engine)
    assert [count(found, key) for key in range(len(outputs))] == list(outputs)
    assert [sum(step.firsts.count(key) for step in found) for key in range(len(outputs))] == [1] * len(outputs)
    assert (engine.waiting, engine.running) == (0, 0)


def test_first_come_first_served(speed):
    engine = latency.Engine(speed)
    for key in range(8):
        engine.submit(key, 4096, 4)
    assert [key for step in steps(engine) for key in step.firsts] == list(range(8))


def test_no_more_requests_decode_than_fit(speed):
    engine = latency.Engine(speed, batch=4)
    for key in range(10):
        engine.submit(key, 16, 50)
    most = 0
    while engine.step():
        most = max(most, engine.running)
    assert most == 4


def test_a_cancelled_request_gets_nothing_more(speed):
    engine = latency.Engine(speed)
    engine.submit("decodes", 10, 1000)
    engine.submit("stays", 10, 20)
    while engine.running < 2:
        engine.step()
    engine.submit("waits", 1_000_000, 5)
    engine.step()
    assert (engine.running, engine.waiting) == (2, 1)
    engine.cancel("decodes")
    engine.cancel("waits")
    engine.cancel("was never there")
    assert (engine.running, engine.waiting) == (1, 0)
    found = steps(engine)
    assert count(found, "decodes") == count(found, "waits") == 0
    assert count(found, "stays") > 0


def test_nothing_to_do(speed):
    assert latency.Engine(speed).step() is None


@pytest.mark.parametrize(
    ("weighted", "rank", "wanted"),
    [
        ([], 99, 0.0),
        ([(5.0, 1)], 99, 5.0),
        ([(1.0, 1), (2.0, 1)], 50, 1.5),
        ([(2.0, 1), (1.0, 3), (9.0, 0)], 100, 2.0),
        # As the list 1 1 1 4 4 9: places 3.75 and 4.5 of 0 to 5.
        ([(1.0, 3), (4.0, 2), (9.0, 1)], 75, 4.0),
        ([(1.0, 3), (4.0, 2), (9.0, 1)], 90, 6.5),
        ([(1.0, 3), (4.0, 2), (9.0, 1)], 50, 2.5),
    ],
)
def test_percentile(weighted, rank, wanted):
    assert latency._percentile(weighted, rank) == pytest.approx(wanted)
