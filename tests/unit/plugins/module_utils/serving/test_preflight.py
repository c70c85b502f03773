# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps an engine from serving on a host, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    ALL_GPUS,
    ContainerSpec,
    Gpus,
    Port,
)
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import Parallel
from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_health, requirements
from ansible_collections.inference.fleet.plugins.module_utils.serving import preflight
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue

WEIGHTS = (catalogue.facts("Qwen/Qwen3-Coder-Next") or {})["weights_gib"]
OURS, THEIRS = "a" * 64, "b" * 64
CUDA_13 = {"Config": {"Env": ["PATH=/bin", "NVIDIA_REQUIRE_CUDA=cuda>=13.0 brand=tesla,driver>=570,driver<571"]}}


def gpus(count: int, memory_mib: int = 81559, **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            **gpu_health.unknown(),
            "index": index,
            "uuid": f"GPU-{index}",
            "memory_mib": memory_mib,
            "driver_version": "570.86.15",
            **changes,
        }
        for index in range(count)
    ]


def process(container: str | None) -> dict[str, Any]:
    return {"pid": 77, "name": "python3", "memory_mib": 40000, "container": container}


CONTAINER = ContainerSpec(name="e", image="i", command=(), gpus=ALL_GPUS, ports=(Port(8000, "127.0.0.1", 8000),))
DISKS = {"image": preflight.Disk("/var/lib/docker", 1, 500.0), "weights": preflight.Disk("/cache", 1, 500.0)}
GOOD = preflight.Found(
    gpus=gpus(4),
    cuda_version="12.8",
    listeners=frozenset({("0.0.0.0", 22), ("10.0.0.1", 8000)}),
    own=frozenset({OURS}),
    image_gib=25,
    weights_gib=WEIGHTS,
    disks=DISKS,
)


def found(
    size: int = 4,
    container: ContainerSpec = CONTAINER,
    fetch_only: bool = False,
    spread: Parallel | None = None,
    **changes: Any,
) -> list[str]:
    return preflight.problems(container, spread or Parallel(tensor=size), replace(GOOD, **changes), fetch_only)


def test_a_good_host() -> None:
    assert found() == []


def test_a_model_that_cannot_be_spread_so() -> None:
    assert found(misfit="tensor parallel size: wanted 3.") == ["tensor parallel size: wanted 3."]


class TestMemory:
    @pytest.mark.parametrize(
        ("count", "memory_mib", "fits"),
        [
            (2, 183359, True),  # B200
            (4, 81559, True),  # H100
            (4, 81920, True),  # A100 80 GB
            (4, 40960, False),  # A100 40 GB: the seed's model needs as much as all of them have
            (2, 81559, False),
            (8, 40960, True),
        ],
    )
    def test_the_seed_s_model(self, count: int, memory_mib: int, fits: bool) -> None:
        problems = found(count, gpus=gpus(count, memory_mib))
        assert (problems == []) == fits

    def test_says_what_is_wanted_and_found(self) -> None:
        (problem,) = found(gpus=gpus(4, 40960))
        assert "wanted room for 149 GiB of weights" in problem
        assert "found 4 GPUs of 40 GiB, of which the engine takes 90%" in problem
        assert "8 GPUs of this kind hold it, which are 2 hosts like this one. Take more GPUs" in problem
        (problem,) = found(gpus=gpus(4, 40960), smaller=["x-fp8"])
        assert problem.endswith("x-fp8 fits here: set model to it.")

    @pytest.mark.parametrize(
        ("command", "said"),
        [
            ((), "for a request of 131,072 tokens, which is 18.0 GiB of KV cache on each GPU, found about 4.7 GiB"),
            (("--max-model-len=64k",), "for a request of 64,000 tokens"),
            (("--max-model-len", "16384"), None),
            (("--max-model-len", "auto"), None),
            (("--kv-cache-dtype", "fp8", "--max-model-len", "24576"), None),
        ],
    )
    def test_a_context_without_room(self, command: tuple[str, ...], said: str | None) -> None:
        config = {
            "num_hidden_layers": 36, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128,
            "max_position_embeddings": 131072,
        }  # fmt: skip
        given = {"weights_gib": 65.0, "config": config, "context_flag": "--max-model-len"}
        told = found(1, container=replace(CONTAINER, command=command), spread=Parallel(), gpus=gpus(1), **given)
        if said is None:
            assert told == []
            return
        (problem,) = told
        assert said in problem
        assert "The longest that fits is about 34,096: add --max-model-len 34096 to extra_args." in problem
        # An engine that makes do with the room that there is.
        assert found(1, spread=Parallel(), gpus=gpus(1), **{**given, "context_flag": None}) == []

    @pytest.mark.parametrize(
        "command",
        [
            ("--gpu-memory-utilization", "0.5"),
            ("--gpu-memory-utilization=0.5",),
            ("--mem-fraction-static", "0.5"),
        ],
    )
    def test_heeds_what_the_engine_may_take(self, command: tuple[str, ...]) -> None:
        (problem,) = found(container=replace(CONTAINER, command=command))
        assert "takes 50%" in problem

    @pytest.mark.parametrize(
        "changes", [{"weights_gib": None}, {"container": replace(CONTAINER, command=("--quantization", "fp8"))}]
    )
    def test_what_is_not_known_is_no_problem(self, changes: dict[str, Any]) -> None:
        assert found(**{"gpus": gpus(4, 40960), **changes}) == []

    @pytest.mark.parametrize(
        ("spread", "count", "fits"),
        [
            # Eight copies of their own on eight GPUs, which hold none of them; whole experts on each, which hold one.
            (Parallel(tensor=1, data=8), 8, False),
            (Parallel(tensor=1, data=8, experts=True), 8, True),
            (Parallel(tensor=2, pipeline=2), 4, True),
            (Parallel(tensor=2, pipeline=1), 2, False),
            (Parallel(tensor=8, pipeline=2, nodes=2), 8, True),
        ],
    )
    def test_all_gpus_that_hold_the_weights_together_count(self, spread: Parallel, count: int, fits: bool) -> None:
        assert (found(spread=spread, gpus=gpus(count)) == []) == fits

    def test_a_gpu_without_memory_of_its_own(self) -> None:
        assert found(1, gpus=gpus(1, memory_mib=None)) == []


class TestGpus:
    def test_a_stranger_is_named(self) -> None:
        (problem,) = found(gpus=[*gpus(3), *gpus(4, processes=[process(THEIRS)])[3:]])
        assert problem.startswith("GPU 3: wanted it for the engine alone, found python3 (process 77, container bbbbb")

    def test_the_engine_to_be_replaced_is_no_stranger(self) -> None:
        assert found(gpus=gpus(4, processes=[process(OURS)], memory_used_mib=70000)) == []

    def test_a_process_of_the_host_is_one(self) -> None:
        assert "python3 (process 77, 40000 MiB)" in found(gpus=gpus(4, processes=[process(None)]))[0]

    def test_memory_that_nobody_seems_to_use(self) -> None:
        assert len(found(gpus=gpus(4, memory_used_mib=30000))) == 4
        assert found(gpus=gpus(4, memory_used_mib=600)) == []

    def test_only_the_engine_s_own_count(self) -> None:
        taken = [*gpus(4, processes=[process(THEIRS)]), *gpus(8)[4:]]
        part = replace(CONTAINER, gpus=Gpus(device_ids=("4", "5", "GPU-6", "7")))
        assert found(container=part, gpus=taken) == []
        (problem,) = found(container=replace(CONTAINER, gpus=Gpus(device_ids=("7", "8"))), gpus=taken, weights_gib=1)
        assert "found none called 8" in problem

    @pytest.mark.parametrize(
        ("theirs", "shared"),
        [
            (Gpus(device_ids=("GPU-1", "GPU-2")), "1"),
            (Gpus(device_ids=("1",)), "1"),
            (ALL_GPUS, "0, 1"),
            (Gpus(device_ids=("2", "GPU-3")), None),
        ],
    )
    def test_another_engine_has_one_however_it_was_named(self, theirs: Gpus, shared: str | None) -> None:
        part = replace(CONTAINER, gpus=Gpus(device_ids=("0", "GPU-1")))
        problems = found(container=part, size=2, weights_gib=1, others={"other": theirs})
        told = f"GPU {shared}: wanted for this engine alone, found that other has it. Give each its own with gpus."
        assert problems == ([told] if shared else [])

    def test_one_that_mig_divides(self) -> None:
        (problem,) = found(gpus=[*gpus(1, mig_mode="Disabled"), *gpus(4, mig_mode="Enabled")[1:2], *gpus(4)[2:]])
        assert problem.startswith("GPU 1: wanted a whole GPU, found one that MIG divides.")

    def test_a_part_of_one_that_mig_divides(self) -> None:
        parts = [{"uuid": "MIG-a", "slice": "3g.40gb"}, {"uuid": "MIG-b", "slice": "1g.10gb"}]
        divided = gpus(1, mig_mode="Enabled", mig_devices=parts, processes=[process(THEIRS)])
        part = replace(CONTAINER, gpus=Gpus(device_ids=("MIG-b",)))
        assert found(1, part, gpus=divided, weights_gib=5) == []
        (problem,) = found(1, part, gpus=divided)
        assert "found 1 GPUs of 9 GiB" in problem
        (problem,) = found(1, part, gpus=divided, weights_gib=1, others={"other": Gpus(device_ids=("MIG-b",))})
        assert problem.startswith("GPU 0 (MIG 1g.10gb): wanted for this engine alone, found that other has it")
        assert found(1, part, gpus=divided, weights_gib=1, others={"other": Gpus(device_ids=("MIG-a",))}) == []
        assert len(found(1, part, gpus=divided, weights_gib=1, others={"other": Gpus(device_ids=("0",))})) == 1
        (problem,) = found(1, replace(CONTAINER, gpus=Gpus(device_ids=("MIG-c",))), gpus=divided, weights_gib=1)
        assert "found none called MIG-c" in problem
        both = replace(CONTAINER, gpus=Gpus(device_ids=("MIG-a", "MIG-b")))
        (problem,) = found(1, both, gpus=divided, weights_gib=1)
        assert "CUDA shows a process no more than one" in problem
        whole = found(1, replace(CONTAINER, gpus=Gpus(device_ids=("0",))), gpus=divided, weights_gib=1)
        assert "give the engine one of its parts with gpus (MIG-a, MIG-b)" in whole[0]

    def test_a_sick_one(self) -> None:
        (problem,) = found(gpus=[*gpus(3), *gpus(4, recovery_action="Reset")[3:]])
        assert "GPU 3: wanted a GPU that is well, found: the driver wants: reset" in problem


class TestDriver:
    def test_too_old_for_the_image(self) -> None:
        old = [{**gpu, "driver_version": "560.35.03"} for gpu in gpus(4)]
        (problem,) = found(image=CUDA_13, gpus=old, cuda_version="12.6")
        assert "the image wants cuda>=13.0, or a driver that it names" in problem
        assert "found driver 560.35.03 with CUDA 12.6" in problem

    def test_the_public_case(self, case: Callable[[str], str]) -> None:
        image = {"Config": {"Env": [case("11-disable-require").splitlines()[0].removeprefix("image Env: ")]}}
        v100 = gpus(1, memory_mib=16160, driver_version="530.30.02", brand="Tesla")
        facts = {"image": image, "gpus": v100, "cuda_version": "12.1", "weights_gib": 1}
        assert found(1, **facts) == [
            "driver: the image wants cuda>=12.4, or a driver that it names for some kinds of GPU, found driver "
            "530.30.02 with CUDA 12.1 and a GPU of brand Tesla. Upgrade the driver, or choose an older image; or, if "
            "you know that it runs, set NVIDIA_DISABLE_REQUIRE: 1 in environment."
        ]
        for yes in ("1", "true"):
            container = replace(CONTAINER, environment={"NVIDIA_DISABLE_REQUIRE": yes})
            assert found(1, container, **facts) == []
        container = replace(CONTAINER, environment={"NVIDIA_DISABLE_REQUIRE": "0"})
        assert len(found(1, container, **facts)) == 1

    def test_a_driver_that_is_named_for_another_kind_will_not_do(self) -> None:
        old = {"driver_version": "570.86.15"}
        assert found(image=CUDA_13, gpus=gpus(4, brand="Tesla", **old)) == []
        assert "of brand GeForce" in found(image=CUDA_13, gpus=gpus(4, brand="GeForce", **old))[0]

    def test_a_branch_that_the_image_names_will_do(self) -> None:
        assert found(image=CUDA_13) == []

    @pytest.mark.parametrize(
        ("requirement", "cuda", "driver", "met"),
        [
            ("cuda>=12.8", "12.8", "570.86.15", True),
            ("cuda>=12.8", "13.0", "580.95.05", True),
            ("cuda>=12.8", "12.4", "550.54.15", False),
            ("cuda>=12.8 brand=tesla,driver>=535,driver<536", "12.2", "535.183.01", True),
            ("cuda>=12.8 brand=tesla,driver>=535,driver<536", "12.4", "550.54.15", False),
            ("cuda>=12.8", None, None, True),
            ("", "12.2", "535.183.01", True),
        ],
    )
    def test_words_and_parts(self, requirement: str, cuda: str | None, driver: str | None, met: bool) -> None:
        assert requirements.satisfied(requirement, cuda, driver) is met


class TestPort:
    @pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
    def test_taken(self, address: str) -> None:
        (problem,) = found(listeners=frozenset({(address, 8000)}))
        assert "port: wanted 8000 of 127.0.0.1" in problem
        assert "ss -tlnp" in problem

    def test_taken_by_the_engine_to_be_replaced(self) -> None:
        assert found(listeners=frozenset({("127.0.0.1", 8000)}), own_ports=frozenset({8000})) == []


class TestDisk:
    def test_image_and_weights_share_one(self) -> None:
        disks = {place: replace(disk, free_gib=160.0) for place, disk in DISKS.items()}
        (problem,) = found(disks=disks)
        assert "25 GiB for the image in /var/lib/docker and 149 GiB for the weights in /cache" in problem
        assert found(disks={**disks, "image": replace(disks["image"], device=2)}) == []

    def test_what_is_there_needs_no_room(self) -> None:
        disks = {place: replace(disk, free_gib=1.0) for place, disk in DISKS.items()}
        assert found(disks=disks, image={"Id": "x"}, weights_here=True) == []

    def test_is_all_that_matters_before_a_download(self) -> None:
        disks = {place: replace(disk, free_gib=1.0) for place, disk in DISKS.items()}
        everything = found(gpus=gpus(4, 40960), listeners=frozenset({("::", 8000)}), disks=disks)
        assert [problem.partition(":")[0] for problem in everything] == ["memory", "disk", "port"]
        assert len(found(fetch_only=True, gpus=gpus(4, 40960), disks=disks)) == 1
