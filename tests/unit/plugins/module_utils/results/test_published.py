# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published figures, held number by number."""

from __future__ import annotations

import json

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED, published

METRICS = (
    "output_throughput",
    "total_token_throughput",
    "mean_ttft_ms",
    "p99_ttft_ms",
    "mean_tpot_ms",
    "p99_tpot_ms",
    "mean_itl_ms",
    "p99_itl_ms",
)

ROWS = {
    ("sglang", "b200x2"): (False, 1876, 16890, 1330, 3644, 16, 17, 16, 28),
    ("sglang", "h100x4"): (False, 1810, 16289, 1960, 4489, 16, 18, 16, 31),
    ("sglang", "a100x4"): (False, 1069, 9622, 3969, 8901, 26, 30, 26, 46),
    ("vllm", "b200x2"): (True, 1721, 15492, 4601, 65289, 14, 14, 14, 109),
    ("vllm", "h100x4"): (False, 2180, 19617, 933, 4268, 14, 15, 14, 117),
    ("vllm", "a100x4"): (True, 851, 7659, 6997, 96435, 31, 33, 31, 141),
}


@pytest.mark.parametrize(("engine", "profile"), ROWS)
def test_row(engine, profile):
    cold, *values = ROWS[engine, profile]
    row = published(engine, profile)
    assert row["metrics"] == dict(zip(METRICS, values, strict=True))
    assert row["cold"] is cold
    assert ("cold" in row["note"]) is cold
    assert row["id"] == f"lambda/qwen3-coder-next/{engine}/{profile}"
    assert (row["engine"], row["profile"], row["model"]) == (engine, profile, "Qwen/Qwen3-Coder-Next")
    assert row["workload"] == {
        "input_length": 8192,
        "output_length": 1024,
        "num_prompts": 512,
        "max_concurrency": 32,
    }
    assert "same order" in row["note"]
    assert row["source"] == "Lambda, 'Qwen3-Coder-Next' inference model page"


def test_no_other_rows():
    assert {(row["engine"], row["profile"]) for row in PUBLISHED} == set(ROWS)
    assert len(PUBLISHED) == len(ROWS)


@pytest.mark.parametrize(("engine", "profile"), [("vllm", "b200x8"), ("trtllm", "h100x4"), ("", "")])
def test_nothing_is_published(engine, profile):
    assert published(engine, profile) is None


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row["id"])
def test_a_row_agrees_with_itself(row):
    metrics, workload = row["metrics"], row["workload"]
    output = workload["output_length"]
    assert metrics["total_token_throughput"] / metrics["output_throughput"] == pytest.approx(
        (workload["input_length"] + output) / output, rel=0.001
    )
    # Little's law: what is in flight over how long it takes. The latencies are rounded to milliseconds.
    seconds = (metrics["mean_ttft_ms"] + (output - 1) * metrics["mean_tpot_ms"]) / 1000
    assert workload["max_concurrency"] * output / seconds == pytest.approx(metrics["output_throughput"], rel=0.04)


def test_rows_can_be_written_as_json():
    assert json.loads(json.dumps(PUBLISHED)) == list(PUBLISHED)
