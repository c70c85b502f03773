# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas of an engine: what each is called, where it listens, and which of the host's GPUs it has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.action.engine import time_limit
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ALL_GPUS
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.models.model import Model
from ansible_collections.inference.fleet.plugins.module_utils.serving import entries, options
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request
from ansible_collections.inference.fleet.plugins.module_utils.serving.shares import shares
from ansible_collections.inference.fleet.plugins.modules import engine
from ansible_collections.inference.fleet.plugins.plugin_utils import endpoints

TWO = Request("vllm", "someone/else", "else", "/cache", replicas=2)
# Of two sockets, GPUs with an even number at the first.
SOCKETS = {(one, other): (0, (one + other) % 2) for one in range(8) for other in range(8) if one != other}
# As Lambda's page has it: four H100.
FOUR = Model(id="Qwen/Q", shapes=[{"gpu": "h100", "tensor_parallel_size": 4}])


def host(count: int) -> list[dict[str, Any]]:
    kind = {"name": "NVIDIA H100 80GB HBM3", "memory_mib": 81559, "mig_devices": []}
    return [{"index": index, "uuid": f"GPU-{index}", **kind} for index in range(count)]


def expanded(**given: Any) -> list[tuple[str, str, int]]:
    params = {**options.DEFAULTS, "served_model_name": "m", **given}
    return [
        (place.name, place.container, one["port"])
        for one in entries.expand(params, engine.validated)
        for place in [entries.slot(one)]
    ]


def test_the_first_is_the_engine_that_would_be_there_alone() -> None:
    assert expanded() == expanded(replicas=1) == [("8000", "m", 8000)]
    assert expanded(replicas=2) == [("8000", "m", 8000), ("8001", "m-2", 8001)]
    assert expanded(replicas=2, container_name="a") == [("a", "a", 8000), ("a-2", "a-2", 8001)]
    assert expanded(replicas=2, slot="s", port=9000) == [("s", "m", 9000), ("s-2", "m-2", 9001)]


def test_entries_have_replicas_of_their_own_and_those_of_the_host() -> None:
    first, second = {"served_model_name": "a", "replicas": "2"}, {"served_model_name": "b", "port": 8010}
    assert [name for _slot, name, _port in expanded(instances=[first, second])] == ["a", "a-2", "b"]
    assert [port for *_names, port in expanded(instances=[{}, second], replicas=2)] == [8000, 8001, 8010, 8011]
    with pytest.raises(FleetError, match=r"found 8001 more than once.*the ports after that of the first"):
        expanded(instances=[first, {**second, "port": 8001}])


def test_one_alone_is_called_as_it_is_named() -> None:
    assert expanded(replicas=2, replica=2) == [("8001", "m-2", 8001)]
    alone = {"replica": 2, "slot": "compare-8001", "container_name": "compare-8001"}
    assert expanded(replicas=2, instances=[alone]) == [("compare-8001", "compare-8001", 8001)]
    with pytest.raises(FleetError, match="replica: wanted one of 2 replicas, counted from 1, found 3"):
        expanded(replicas=2, replica=3)
    with pytest.raises(FleetError, match="replica: wanted one of 1 replicas"):
        expanded(replica=2)


@pytest.mark.parametrize("wrong", [0, -1, "two"])
def test_a_number_that_is_none(wrong: Any) -> None:
    with pytest.raises(FleetError, match=f"gpu1: replicas: wanted a whole number of at least 1, found {wrong!r}"):
        endpoints.endpoints("gpu1", {"engine_replicas": wrong})


def test_endpoints_tell_which_are_one_service() -> None:
    # As -e engine_replicas=2 gives it.
    found = endpoints.endpoints("gpu1", {"engine_replicas": "2"})
    keys = ("slot", "name", "url", "service", "replica", "replicas", "entry")
    assert [[item[key] for key in keys] for item in found] == [
        ["8000", "qwen3-coder-next", "http://127.0.0.1:8000", "8000", 1, 2, 0],
        ["8001", "qwen3-coder-next-2", "http://127.0.0.1:8001", "8000", 2, 2, 0],
    ]
    listed = [{"served_model_name": "a", "replicas": 2, "slot": "s"}, {"served_model_name": "b", "port": 8005}]
    found = endpoints.endpoints("gpu1", {"engine_instances": listed})
    assert [(item["service"], item["slot"], item["entry"]) for item in found] == [
        ("s", "s", 0), ("s", "s-2", 0), ("8005", "8005", 1),
    ]  # fmt: skip


def test_gpus_near_each_other_are_together_and_the_first_has_the_first() -> None:
    asked: list[None] = []

    def near() -> dict[tuple[int, int], tuple[int, int]]:
        asked.append(None)
        return SOCKETS

    names = [str(index) for index in range(8)]
    assert shares(names, 2, near) == [("0", "2", "4", "6"), ("1", "3", "5", "7")]
    assert shares(names, 4, near) == [("0", "2"), ("1", "3"), ("4", "6"), ("5", "7")]
    assert len(asked) == 2
    # Nothing is asked where there is nothing to choose.
    assert shares(names, 8, near) == [(name,) for name in names]
    assert len(asked) == 2
    # Unknown ones are divided in their order.
    assert shares(["MIG-a", "MIG-b", "MIG-c", "MIG-d"], 2) == [("MIG-a", "MIG-b"), ("MIG-c", "MIG-d")]
    # Two that a bridge connects, whatever their sockets.
    ways = {(0, 1): (5, 0), (0, 2): (4, 0), (0, 3): (0, 1)}
    both = ways | {(other, one): way for (one, other), way in ways.items()}
    assert shares(names[:4], 2, lambda: both) == [("0", "3"), ("1", "2")]


def test_each_has_its_share_and_a_profile_of_its_own() -> None:
    found = [placement(replace(TWO, replica=number), host(8), lambda: SOCKETS) for number in (1, 2)]
    assert [item.gpus and item.gpus.device_ids for item in found] == [("0", "2", "4", "6"), ("1", "3", "5", "7")]
    assert {(item.profile, item.tensor_parallel_size, item.within) for item in found} == {("h100x4", 4, 4)}
    # By their UUIDs, of the first four alone.
    named = replace(TWO, gpus=[f"GPU-{index}" for index in range(4)], replica=2)
    at = placement(named, host(8), lambda: SOCKETS).gpus
    assert at is not None
    assert at.device_ids == ("GPU-1", "GPU-3")


def test_a_model_takes_of_its_share_what_it_needs() -> None:
    small = Model(id="org/s", shapes=[{"tensor_parallel_size": 2}])
    found = placement(replace(TWO, known=small, replica=2), host(8))
    assert (found.profile, found.gpus and found.gpus.device_ids, found.within) == ("h100x2", ("4", "5"), 4)


def test_one_that_takes_the_first_gpus_keeps_them_when_it_becomes_several() -> None:
    alone = replace(TWO, known=FOUR, replicas=1)
    assert (
        deployment(alone, placement(alone, host(8))).container
        == deployment(replace(alone, replicas=2), placement(replace(alone, replicas=2), host(8))).container
    )
    # Else it has to be made anew.
    assert placement(replace(alone, known=Model()), host(8)).gpus == ALL_GPUS


@pytest.mark.parametrize(
    ("request_", "count", "said"),
    [
        (replace(TWO, replicas=3), 8, r"wanted 3 engines .* found 8 GPUs, which do not divide: 8 = 3 x 2 \+ 2\. 2"),
        (replace(TWO, replicas=2), 1, r"found 1 GPUs, which do not divide: 1 = 2 x 0 \+ 1\. Name in gpus"),
        (
            replace(TWO, model="Qwen/Q", known=FOUR, replicas=4),
            8,
            r"Qwen/Q needs 4 GPUs of kind h100, .* would have 2, as one of 4 replicas\. All 8 hold 2 of it: ",
        ),
        (
            replace(TWO, tensor_parallel_size=4),
            4,
            r"would take 4 GPUs \(.*\), and it would have 2 \(h100x4, as one of 2 replicas\)\. All 4 hold 1 of it",
        ),
    ],
)
def test_what_does_not_divide_or_fit_is_refused_with_the_arithmetic(request_: Request, count: int, said: str) -> None:
    with pytest.raises(FleetError, match=said):
        placement(request_, host(count))


def test_without_gpus_they_share_the_cpus_and_are_told_so_once() -> None:
    both = [replace(TWO, replica=number) for number in (1, 2)]
    made = [deployment(one, placement(one, [])) for one in both]
    assert [made[0].container.gpus, made[0].placement.profile] == [None, "cpu"]
    assert [len(one.warnings) for one in made] == [1, 0]
    assert "replicas: found no GPU to divide: 2 engines share the host's CPUs" in made[0].warnings[0]


def test_the_time_that_it_may_take_is_that_of_each() -> None:
    assert time_limit({"replicas": "3"}) == 3 * time_limit({})
    assert time_limit({"instances": [{"replicas": 2}, {}]}) == 3 * time_limit({})
