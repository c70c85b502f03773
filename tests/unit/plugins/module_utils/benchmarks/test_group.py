# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that serve one model together, whose head is measured: never a number of one host for the work of two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks import group
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.remarks import NOTE, Remark
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.table import summary_table
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.results import comparison, subject
from ansible_collections.inference.fleet.plugins.module_utils.results.document import check
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.benchmarks import test_result as alone

SCHEMA = json.loads((Path(__file__).resolve().parents[5] / "docs/result.schema.json").read_text(encoding="utf-8"))
GPUS = [{"index": index, "uuid": f"GPU-{index}", "name": "NVIDIA H100 80GB HBM3"} for index in range(4)]
HARDWARE = {**alone.HARDWARE, "gpus": GPUS}
ENGINE = {**alone.ENGINE, "gpus": ["all"], "state": "running"}
HEAD = {
    **ENGINE,
    "group": {"rank": 0, "names": ["h1", "h2"]},
    "argv": [*ENGINE["argv"], "--nnodes", "2", "--node-rank", "0", "--master-addr", "10.0.0.1", "--master-port", "1"],
    "environment": {"VLLM_HOST_IP": "10.0.0.1"},
}
MEMBER = {"host": "h2", "engine": ENGINE, "hardware": HARDWARE, "price_per_hour": 16.36}


def document(engine: Any = None, members: tuple[Any, ...] = (MEMBER,), **changes: Any) -> dict[str, Any]:
    engine = engine or HEAD
    given = {"engine": engine, "members": members, "hardware": HARDWARE, "telemetry": alone.TELEMETRY, "baselines": []}
    return alone.document(**{**given, "remarks": tuple(group.remarks(engine, members)), **changes})


def test_figures_are_of_all_hosts() -> None:
    both, one = document(price=group.price(16.36, [MEMBER])), document(ENGINE, (), price=16.36)
    jsonschema.validate(both, SCHEMA)
    check(both)
    assert (both["efficiency"]["gpus"], one["efficiency"]["gpus"]) == (8, 4)
    assert both["efficiency"]["output_throughput_per_gpu"] == both["metrics"]["output_throughput"]["mean"] / 8
    cost = "cost_per_million_output_tokens_usd"
    assert both["efficiency"][cost] == pytest.approx(2 * one["efficiency"][cost])
    assert [(part["host"], part["profile"]) for part in both["engine"]["group"]] == [("h1", "h100x4"), ("h2", "h100x4")]
    assert [(other["host"], len(other["gpus"])) for other in both["hardware"]["others"]] == [("h2", 4)]
    assert ("group" in one["engine"], "others" in one["hardware"]) == (False, False)
    assert "vllm 0.32.0 on 2xh100x4 (h1, h2)" in summary_table(both)


def test_of_energy_nothing_is_told_and_that_is_said() -> None:
    both, one = document(), document(ENGINE, ())
    assert one["efficiency"]["energy_per_output_token_j"] is not None
    assert (both["efficiency"]["energy_per_output_token_j"], both["efficiency"]["gpu_power_w"]) == (None, None)
    assert both["quality"]["notes"].count(group.NO_ENERGY) == 1
    assert f"Note: {group.NO_ENERGY}" in summary_table(both)
    assert group.NO_ENERGY not in one["quality"]["notes"]
    # A figure that is not told is no doubt about the others.
    assert both["quality"]["warnings"] == one["quality"]["warnings"]


def test_of_a_member_that_nobody_tells_of_no_figure_is_made() -> None:
    found = document(members=())
    jsonschema.validate(found, SCHEMA)
    assert [part["host"] for part in found["engine"]["group"]] == ["h1", "h2"]
    for name in ("gpus", "output_throughput_per_gpu", "energy_per_output_token_j"):
        assert found["efficiency"][name] is None, name
    unknown = document(members=({**MEMBER, "hardware": None},))
    assert unknown["efficiency"]["gpus"] is None
    assert [group.price(*given) for given in ((16.0, ()), (16.0, [MEMBER]), (None, [MEMBER]))] == [16.0, 32.36, None]
    assert group.price(16.0, [{**MEMBER, "price_per_hour": 0.0}]) is None


def test_a_group_is_another_subject_than_a_host() -> None:
    both, one = subject.subject(document()), subject.subject(document(ENGINE, ()))
    assert (both.profile, one.profile) == ("2xh100x4", "h100x4")
    assert both.place != one.place
    # Where the members are is no part of what was measured.
    assert both.configuration == ("--nnodes=2", *one.configuration)
    assert comparison.published_row(document(ENGINE, ())) is not None
    assert comparison.published_row(document()) is None
    mixed = document(members=({**MEMBER, "engine": {**ENGINE, "profile": "a100x4"}},))
    assert subject.profile(mixed) == "h100x4/a100x4"
    played = {**alone.SIMULATOR, "state": "running"}
    simulated = document({**HEAD, **played}, ({**MEMBER, "engine": played},))
    assert (subject.profile(simulated), simulated["efficiency"]["gpus"]) == ("2xh100x4", 8)
    assert "the simulator plays vllm on 2xh100x4 (h1, h2)" in summary_table(simulated)


def test_a_member_whose_engine_does_not_run_is_named() -> None:
    group.require_running([MEMBER])
    ended = {**MEMBER, "engine": {**ENGINE, "state": "exited"}}
    with pytest.raises(
        FleetError, match=r"h2 has one that is exited, h3 has none\. Run deploy\.yml on all of its hosts"
    ):
        group.require_running([ended, {**MEMBER, "host": "h3", "engine": {}}])


def test_who_shares_a_gpu_of_a_member_is_told_with_its_host() -> None:
    container = {"id": "c"}
    shared = [{**GPUS[0], "processes": [{"name": "python", "pid": 7, "container": None}]}]
    member = {**MEMBER, "engine": {**ENGINE, "container": container}, "hardware": {**HARDWARE, "gpus": shared}}
    first, last = group.remarks(HEAD, [member])
    assert first.text.startswith("h2: GPU 0 was held by python (process 7)")
    assert last == Remark(NOTE, group.NO_ENERGY)
