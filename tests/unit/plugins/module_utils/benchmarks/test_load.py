# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an engine is idle: what metrics say, and a real server that is busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import load
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.load import Load, Totals
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.workload import Endpoint
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
vllm:generation_tokens_total{engine="0",model_name="m"} 1.024e+06
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 4224.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 8192.0
vllm:prompt_tokens_total{engine="1",model_name="m"} 4096.0
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 3.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"} 1.0
vllm:num_preemptions_total{engine="0",model_name="m"} 2.0
vllm:num_preemptions_created{engine="0",model_name="m"} 1.7640936e+09
vllm:spec_decode_num_drafts_total{engine="0",model_name="m"} 10.0
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="m"} 20.0
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="m"} 15.0
vllm:external_prefix_cache_hits_total{engine="0",model_name="m"} 7.0
"""
SGLANG = """\
sglang:num_running_reqs{model_name="m"} 4.0
sglang:num_queue_reqs{model_name="m"} 0.0
sglang:token_usage{model_name="m"} 0.125
sglang:generation_tokens_total{model_name="m"} 77.0
sglang:prompt_tokens_total{model_name="m"} 300.0
sglang:num_requests_total{model_name="m"} 5.0
sglang:num_retracted_requests_total{model_name="m"} 1.0
sglang:num_retracted_reqs{model_name="m"} 9.0
sglang:spec_accept_length{model_name="m"} 2.5
sglang:cached_tokens_total{cache_source="device",model_name="m"} 5.0
sglang:cached_tokens_total{cache_source="host",model_name="m"} 2.0
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (VLLM, Load(5, 1, 0.5, Totals(4, 12288, 1024000, 4224, 2, 10, 20, 15))),
        (SGLANG, Load(4, 0, 0.125, Totals(5, 300, 77, 7, 1), accept_length=2.5)),
        ("", None),
        ("process_cpu_seconds_total 3.0\n", None),
        ("vllm:num_requests_running 1.0\n", None),
    ],
)
def test_metrics(text: str, found: Load | None) -> None:
    assert load.parse(text) == found


def test_a_total_is_not_added_to_its_parts(case: Callable[[str], str]) -> None:
    assert load.parse(case("10-sglang-metrics-priority")) == Load(running=12, waiting=3)


def test_ranks_of_a_replica_tell_of_the_same_requests_and_replicas_of_others() -> None:
    labels = 'engine_type="unified",model_name="m",pp_rank="0"'
    text = "".join(
        f'sglang:{name}{{{labels},dp_rank="{replica}",tp_rank="{rank}"}} {count + replica}.0\n'
        for name, count in (("num_running_reqs", 4), ("num_queue_reqs", 0))
        for replica in (0, 1)
        for rank in (0, 1, 2, 3)
    )
    assert load.parse(text) == Load(running=9, waiting=1)


def test_a_counter_has_no_total_beside_its_parts() -> None:
    text = "sglang:num_running_reqs 0.0\nsglang:num_queue_reqs 0.0\n" + "".join(
        f'sglang:generation_tokens_total{{model_name="m",priority="{priority}"}} {count}\n'
        for priority, count in (("", 5), ("0", 70), ("10", 900))
    )
    assert load.parse(text) == Load(0, 0, totals=Totals(generated_tokens=975))


def test_what_was_counted_in_between() -> None:
    before = Totals(requests=4, prompt_tokens=100, generated_tokens=50)
    now = Totals(requests=6, prompt_tokens=300, generated_tokens=60, preemptions=2)
    # A count of labels that had nothing to count may not have been there before.
    assert now.since(before) == Totals(requests=2, prompt_tokens=200, generated_tokens=10, preemptions=2)
    # An engine that was started anew counts from 0: nothing is known.
    assert before.since(now) == Totals()


def endpoint(server: object) -> Endpoint:
    return Endpoint(server.url, "m", "qwen3-coder-next", "m")


def test_an_idle_engine(serve: Callable) -> None:
    said: list[str] = []
    assert load.require_idle(endpoint(serve(metrics=True)), None, 0, said.append) is None
    assert said == []


def test_an_engine_that_does_not_tell(serve: Callable) -> None:
    assert load.require_idle(endpoint(serve()), None, 0, print) == load.UNKNOWN


def test_a_busy_engine_is_told(serve: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_SETTLING", 0.0)
    server = serve(metrics=True)
    server.others = 2
    with pytest.raises(FleetError, match="found 2 requests running and 0 waiting: somebody else uses it"):
        load.require_idle(endpoint(server), None, 0, print)


def test_an_engine_too_busy_to_answer_in_time_is_asked_again(serve: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_SETTLING", 0.0)
    monkeypatch.setattr(load, "_TIMEOUT", 0.5)
    server = serve(metrics=True)
    server.others, server.late_looks = 1, 3
    with pytest.raises(FleetError, match="found 1 requests running"):
        load.require_idle(endpoint(server), None, 0, print)


def test_an_engine_between_two_requests_is_not_idle(serve: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_SETTLING", 0.0)
    server = serve(metrics=True)
    server.others_tokens = 100  # more at each look
    with pytest.raises(FleetError, match="tokens were generated"):
        load.require_idle(endpoint(server), None, 0, print)


def test_a_busy_engine_is_waited_for(serve: Callable) -> None:
    server = serve(metrics=True)
    server.others = 1
    threading.Timer(2.5, lambda: setattr(server, "others", 0)).start()
    said: list[str] = []
    started = time.monotonic()
    assert load.require_idle(endpoint(server), None, 30, said.append) is None
    assert time.monotonic() - started > 2
    assert said[0] == "waiting for an idle engine: 1 requests running and 0 waiting"
