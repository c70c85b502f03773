# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many GPUs an engine is given, and which kind they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ALL_GPUS, Gpus
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.models.model import Model
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue

PAGE = Model.of(catalogue.facts("Qwen/Qwen3-Coder-Next") or {})
UNKNOWN = Request("vllm", "someone/else", "else", "/cache")
KNOWN = Request("vllm", "Qwen/Qwen3-Coder-Next", "qwen3-coder-next", "/cache", known=PAGE)


def host(count: int, name: str = "NVIDIA H100 80GB HBM3", memory_mib: int | None = 81559) -> list[dict[str, Any]]:
    return [
        {"index": index, "uuid": f"GPU-{index}", "name": name, "memory_mib": memory_mib, "mig_devices": []}
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("request_", "tensor", "gpus", "profile"),
    [
        # What is left of eight GPUs for the tensor parallel size.
        (replace(UNKNOWN, extra_args=["--data-parallel-size", "8", "--enable-expert-parallel"]), 1, ALL_GPUS, "h100x8"),
        (replace(UNKNOWN, extra_args=["-pp=2"]), 4, ALL_GPUS, "h100x8"),
        (replace(UNKNOWN, engine="sglang", extra_args=["--dp", "2"]), 4, ALL_GPUS, "h100x8"),
        (replace(UNKNOWN, engine="sglang", extra_args=["--dp=8", "--enable-dp-attention"]), 8, ALL_GPUS, "h100x8"),
        # Sizes that are given: tensor 4 by pipeline 2 takes eight, and 2 by 2 four.
        (replace(UNKNOWN, tensor_parallel_size=4, extra_args=["-pp", "2"]), 4, ALL_GPUS, "h100x8"),
        (
            replace(UNKNOWN, tensor_parallel_size=2, extra_args=["--data_parallel_size=2"]),
            2,
            Gpus(device_ids=("0", "1", "2", "3")),
            "h100x4",
        ),
        # Four hold the known model: two copies of it, one in a pipeline, and one whose experts are spread over all.
        (replace(KNOWN, extra_args=["-dp", "2"]), 4, ALL_GPUS, "h100x8"),
        (replace(KNOWN, extra_args=["-pp", "2"]), 2, Gpus(device_ids=("0", "1", "2", "3")), "h100x4"),
        (
            replace(KNOWN, extra_args=["-dp", "4", "-ep"]),
            1,
            Gpus(device_ids=("0", "1", "2", "3")),
            "h100x4",
        ),
        # Half of a host of each of two.
        (replace(UNKNOWN, extra_args=["-pp", "2", "--nnodes", "2"]), 8, ALL_GPUS, "h100x8"),
    ],
)
def test_every_parallel_size_counts(request_: Request, tensor: int, gpus: Gpus, profile: str) -> None:
    found = placement(request_, host(8))
    assert (found.tensor_parallel_size, found.gpus, found.profile) == (tensor, gpus, profile)


def test_sizes_that_the_host_has_no_gpus_for() -> None:
    with pytest.raises(FleetError) as told:
        placement(replace(UNKNOWN, tensor_parallel_size=8, extra_args=["-pp", "2"]), host(8))
    assert str(told.value) == (
        "the engine would take 16 GPUs (tensor parallel 8 by pipeline parallel 2), and it would have 8 (h100x8). Set "
        "smaller sizes, or give it more GPUs."
    )


def test_copies_of_a_known_model_that_the_host_has_no_gpus_for() -> None:
    with pytest.raises(FleetError, match="needs 4 GPUs of kind h100 for each copy, 8 with tensor parallel 4 by data"):
        placement(replace(KNOWN, extra_args=["-dp", "2"]), host(4))


def test_gpus_by_name_have_their_own_kind_on_a_host_of_several() -> None:
    mixed = [*host(2), {**host(3, "NVIDIA L40S", 46068)[2]}]
    found = placement(replace(UNKNOWN, gpus=["2"]), mixed)
    assert (found.profile, found.tensor_parallel_size) == ("l40sx1", 1)


def test_what_mig_made_of_a_gpu_is_a_kind_of_its_own() -> None:
    (gpu,) = host(1)
    parts = [{"uuid": "MIG-a", "slice": "3g.40gb"}, {"uuid": "MIG-b", "slice": "1g.10gb"}]
    found = placement(replace(UNKNOWN, gpus=["MIG-b"]), [{**gpu, "mig_devices": parts}])
    assert (found.profile, found.tensor_parallel_size) == ("h100-1g.10gbx1", 1)
    assert found.gpus == Gpus(device_ids=("MIG-b",))


def test_a_gpu_without_memory_of_its_own() -> None:
    assert placement(UNKNOWN, host(1, "NVIDIA GB10", None)).profile == "gb10x1"
