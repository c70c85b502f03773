# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue: each entry is whole, fits what it names, and becomes the command line of either engine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ALL_GPUS, Gpus
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.models.model import Model, gpus
from ansible_collections.inference.fleet.plugins.module_utils.results.published import PUBLISHED
from ansible_collections.inference.fleet.plugins.module_utils.serving import entries, options
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import Deployment, deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import request
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue, endpoints

NAMES = {"h100": "NVIDIA H100 80GB HBM3", "h200": "NVIDIA H200", "b200": "NVIDIA B200", "a100": "NVIDIA A100-SXM4-80GB"}
EVERY = {f"{facts['served_model_name']}": facts for facts in catalogue.all_facts()}
SHAPES = [
    (name, shape["gpu"], gpus(shape))
    for name, facts in EVERY.items()
    for shape in facts.get("shapes", ())
    if shape.get("gpu") and not shape.get("fails")
]
# The table of the project's first catalogue.
WANTED = """
    Qwen/Qwen3-Coder-Next Qwen/Qwen3-Coder-Next-FP8 openai/gpt-oss-120b openai/gpt-oss-20b Qwen/Qwen3.5-397B-A17B
    Qwen/Qwen3.5-122B-A10B zai-org/GLM-4.7-Flash zai-org/GLM-5.1-FP8 zai-org/GLM-5.2-FP8 MiniMaxAI/MiniMax-M2.5
    moonshotai/Kimi-K2.6 moonshotai/Kimi-K2.7-Code deepseek-ai/DeepSeek-V4-Flash deepseek-ai/DeepSeek-V3.2
    nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16
"""


def host(family: str, count: int) -> list[dict[str, Any]]:
    return [
        {"index": index, "uuid": f"GPU-{index}", "name": NAMES[family], "memory_mib": profiles.MEMORY_MIB[family]}
        for index in range(count)
    ]


def served(model: str, found: list[dict[str, Any]], **given: Any) -> Deployment:
    params = {**options.DEFAULTS, "cache_dir": "/cache", "compile_cache_dir": "", "model": model, **given}
    (one,) = entries.expand(catalogue.with_models(params), dict)
    asked = request(one)
    return deployment(asked, placement(asked, found))


def test_every_model_of_the_table_is_there() -> None:
    assert set(WANTED.split()) <= {facts["id"] for facts in EVERY.values()}


def test_no_name_means_two_models() -> None:
    names = [
        name for facts in EVERY.values() for name in sorted({facts["id"].lower(), facts["served_model_name"].lower()})
    ]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("entry", catalogue.entries(), ids=lambda entry: entry["name"])
def test_an_entry_says_where_each_fact_is_from(entry: dict[str, Any]) -> None:
    assert entry["sources"]
    assert entry["parameters"]["total"] >= entry["parameters"]["active"]
    assert entry["context"] >= 2**17
    assert entry["licence"]
    assert set(entry.get("published", ())) <= {row["id"] for row in PUBLISHED}
    precisions = {variant["precision"] for variant in entry["variants"]}
    for rule in entry.get("settings", ()):
        assert set(rule.get("precisions", precisions)) <= precisions
        assert set(rule.get("gpus", ())) <= {*profiles.MEMORY_MIB, "b300"}


@pytest.mark.parametrize(("name", "family", "count"), SHAPES)
def test_a_model_fits_each_profile_that_its_entry_names(name: str, family: str, count: int) -> None:
    model = Model.of(EVERY[name])
    memory_gib = count * profiles.MEMORY_MIB[family] / 1024
    needs_gib = model.weights_gib or (model.memory_gb or 0) * 1e9 / 2**30
    assert needs_gib <= memory_gib * (0.9 if model.weights_gib else 1)
    for engine in ("vllm", "sglang"):
        result = served(name, host(family, 8), engine=engine)
        assert result.placement.parallel.gpus == count
        assert result.container.command.count("--trust-remote-code") == bool(model.trust_remote_code)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_model_takes_the_gpus_whose_memory_it_needs_where_nobody_tried(name: str) -> None:
    model = Model.of({**EVERY[name], "shapes": []})
    for family in NAMES:
        needs = model.needed("vllm", family, profiles.MEMORY_MIB[family])
        if not model.memory_gb:
            assert needs is None
            continue
        count = gpus(needs or {})
        memory_gb = profiles.MEMORY_MIB[family] * 2**20 / 1e9
        assert count * memory_gb >= model.memory_gb
        assert count == 1 or (count // 2) * memory_gb < model.memory_gb


def test_a_size_that_is_known_to_fail_is_not_derived() -> None:
    model = Model.of(EVERY["minimax-m2.5"])
    assert model.fails("vllm", "h100", {"tensor_parallel_size": 8})
    assert not model.fails("vllm", "h100", {"tensor_parallel_size": 8, "expert_parallel": True})
    assert gpus(model.needed("vllm", "a100-40gb", 40960) or {}) == 16


def test_the_names_of_a_model() -> None:
    for name in ("gpt-oss-120b", "GPT-OSS-120B", "openai/gpt-oss-120b", "OpenAI/GPT-OSS-120b"):
        found = catalogue.resolved({"model": name})
        assert (found["model"], found["served_model_name"]) == ("openai/gpt-oss-120b", "gpt-oss-120b")
    assert catalogue.resolved({"model": "glm-5.1"})["model"] == "zai-org/GLM-5.1-FP8"
    assert catalogue.resolved({"model": "qwen3-coder-next-fp8"})["model"] == "Qwen/Qwen3-Coder-Next-FP8"
    other = catalogue.resolved({"model": "Qwen/Qwen3-0.6B"})
    assert (other["model"], other["served_model_name"], other["model_facts"]) == ("Qwen/Qwen3-0.6B", "qwen3-0.6b", {})
    assert catalogue.resolved({"model": "/models/Tiny"})["served_model_name"] == "tiny"
    assert catalogue.resolved({"model": "gpt-oss-20b", "served_model_name": "mine"})["served_model_name"] == "mine"


@pytest.mark.parametrize(
    ("given", "said"), [("gpt-oss-12b", "Is it gpt-oss-120b or"), ("PowerEdge R750", "models.yml")]
)
def test_a_name_that_is_no_model_is_refused_with_the_nearest(given: str, said: str) -> None:
    with pytest.raises(FleetError, match=said):
        catalogue.resolved({"model": given})


def test_an_engine_is_removed_whatever_its_model_is_called() -> None:
    assert catalogue.with_models({"model": "gone", "state": "absent"})["model"] == "gone"
    with pytest.raises(FleetError, match="'gone'"):
        catalogue.with_models({"model": "gone"})


def test_a_model_of_the_hub_is_served_as_the_catalogue_says() -> None:
    result = served("gpt-oss-120b", host("b200", 4))
    assert shlex.join(result.container.command) == (
        "--host 0.0.0.0 --port 8000 --model openai/gpt-oss-120b --served-model-name gpt-oss-120b "
        "--enable-auto-tool-choice --tool-call-parser openai --tensor-parallel-size 1"
    )
    assert result.placement.profile == "b200x1"
    # What is for some GPUs, and one precision.
    hopper, blackwell = (served("minimax-m2.5", host(family, 4)).container for family in ("h200", "b200"))
    assert hopper.environment["VLLM_USE_DEEP_GEMM"] == "0"
    assert "VLLM_USE_DEEP_GEMM" not in blackwell.environment


def test_whatever_the_catalogue_says_can_be_overridden() -> None:
    plain = served("minimax-m2.5", host("h100", 8)).container
    assert "--kv-cache-dtype fp8" in shlex.join(plain.command)
    assert "--reasoning-parser minimax_m2" in shlex.join(plain.command)
    mine = served(
        "minimax-m2.5",
        host("h100", 8),
        tensor_parallel_size=2,
        data_parallel_size=4,
        expert_parallel=True,
        tool_call_parser="none",
        reasoning_parser="none",
        trust_remote_code=False,
        served_model_name="mine",
        extra_args=["--kv_cache_dtype=auto", "--compilation_config.cudagraph_mode=FULL"],
        environment={"VLLM_USE_DEEP_GEMM": "1"},
    ).container
    assert shlex.join(mine.command) == (
        "--host 0.0.0.0 --port 8000 --model MiniMaxAI/MiniMax-M2.5 --served-model-name mine --tensor-parallel-size 2 "
        "--data-parallel-size 4 --enable-expert-parallel --max-num-seqs 512 --max-num-batched-tokens 32768 "
        "--moe-backend triton --attention-backend FLASHINFER --kv_cache_dtype=auto "
        "--compilation_config.cudagraph_mode=FULL"
    )
    assert mine.environment["VLLM_USE_DEEP_GEMM"] == "1"
    with pytest.raises(FleetError, match=r"--reasoning-parser \(set by reasoning_parser\)"):
        served("org/x", [], reasoning_parser="qwen3", extra_args=["--reasoning-parser", "qwen3"])


def test_sizes_by_option_are_what_the_same_sizes_among_the_arguments_are() -> None:
    """So an engine that a user's arguments spread today is not replaced when options say the same."""
    by_option = {
        "vllm": (
            {"data_parallel_size": 2, "pipeline_parallel_size": 2},
            "--pipeline-parallel-size 2 --data-parallel-size 2",
        ),
        "sglang": ({"data_parallel_size": 2, "pipeline_parallel_size": 2}, "--pp-size 2 --dp-size 2"),
    }
    for engine, (given, arguments) in by_option.items():
        for model in ("org/x", "qwen3-coder-next"):
            one = served(model, host("h100", 8), engine=engine, **given)
            other = served(model, host("h100", 8), engine=engine, extra_args=shlex.split(arguments))
            assert one.container == other.container
            assert one.placement.parallel == other.placement.parallel
    apart = served("org/x", host("h100", 8), engine="sglang", expert_parallel=True)
    assert "--tp-size 8" in shlex.join(apart.container.command)
    assert "--ep-size 8" in shlex.join(apart.container.command)
    with pytest.raises(FleetError, match=r"-dp \(set by data_parallel_size\)"):
        served("org/x", host("h100", 8), data_parallel_size=2, extra_args=["-dp", "2"])
    with pytest.raises(FleetError, match="pipeline_parallel_size: wanted a whole number of at least 1, found -2"):
        served("org/x", host("h100", 8), pipeline_parallel_size=-2)


def test_too_few_gpus_are_refused_with_what_they_hold() -> None:
    with pytest.raises(FleetError, match=r"and the engine would have 2\. 2 hold qwen3-coder-next-fp8: set model to it"):
        served("qwen3-coder-next", host("h100", 2))


def test_speculative_decoding_is_asked_for_and_its_cautions_are_told() -> None:
    result = served("qwen3-coder-next", host("h100", 4), speculative_decoding=True, revision="0" * 40)
    assert "--no-enable-prefix-caching" in result.container.command
    assert "--speculative-config" in result.container.command
    assert "issues 43559" in "".join(result.warnings)
    assert "--speculative-config" not in served("qwen3-coder-next", host("h100", 4)).container.command
    with pytest.raises(FleetError, match="speculative_decoding: the catalogue has none for org/x with vllm"):
        served("org/x", [], speculative_decoding=True)


def test_an_image_that_is_older_than_the_model_is_warned_of() -> None:
    old = served("gpt-oss-20b", host("h100", 1), image="vllm/vllm-openai:v0.9.2")
    assert old.warnings == (
        "openai/gpt-oss-20b is known to be served by vllm 0.10.0 and newer, and the image is v0.9.2.",
    )
    assert served("gpt-oss-20b", host("h100", 1), image="vllm/vllm-openai:v0.32.0@sha256:ab").warnings == ()


def test_the_simulator_plays_any_model() -> None:
    result = served("deepseek-v3.2", [], engine="simulator")
    assert "--tokenizer-mode" not in result.container.command
    assert "deepseek-ai/DeepSeek-V3.2" in result.container.command


ENTRY = """
variants:
  - {id: org/Mine-8B, precision: BF16, memory_gb: 20}
settings:
  - {engine: vllm, arguments: {--max-model-len: 4096}}
"""


def test_an_entry_is_added_by_one_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(ENTRY)
    result = served("mine", host("h100", 8), catalogue=str(tmp_path))
    assert shlex.join(result.container.command) == (
        "--host 0.0.0.0 --port 8000 --model org/Mine-8B --served-model-name mine --tensor-parallel-size 1 "
        "--max-model-len 4096"
    )
    # The variant's revision, and the user's.
    (tmp_path / "mine.yml").write_text(ENTRY.replace("precision: BF16", "revision: v2, precision: BF16"))
    pinned, other = (served("mine", host("h100", 8), catalogue=str(tmp_path), revision=one) for one in (None, "main"))
    assert [item.weights and item.weights.revision for item in (pinned, other)] == ["v2", "main"]
    assert "--revision v2" in shlex.join(pinned.container.command)
    told = endpoints.endpoints("gpu1", {"engine_model": "mine", "engine_catalogue": str(tmp_path)})
    assert [item["revision"] for item in told] == ["v2"]
    # The user's own comes before the collection's.
    (tmp_path / "gpt-oss-20b.yml").write_text(ENTRY)
    assert catalogue.resolved({"model": "gpt-oss-20b"}, str(tmp_path))["model"] == "org/Mine-8B"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("variants: []", "variants is empty"),
        ("summary: x", "missing required arguments: variants"),
        ("variants: [{id: a/b, precision: X, gpu: 3}]", r"unknown: variants\.gpu"),
        ("- a", "wanted a dictionary, found list"),
        ("a: [", "cannot be read"),
        (ENTRY.replace("--max-model-len", "--port"), "--port"),
        (ENTRY.replace("--max-model-len", "--api-key"), "api-key"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.yml").write_text(text)
    with pytest.raises(FleetError, match=said) as told:
        catalogue.facts("bad", str(tmp_path))
    assert "bad.yml" in str(told.value)


def test_a_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="engine_catalogue: wanted a directory"):
        catalogue.facts("x", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("family", "count", "size", "gpus_"),
    [
        ("b200", 2, 2, ALL_GPUS),
        ("b200", 8, 2, Gpus(device_ids=("0", "1"))),
        ("h100", 4, 4, ALL_GPUS),
        ("h100", 8, 4, Gpus(device_ids=("0", "1", "2", "3"))),
        ("a100", 4, 4, ALL_GPUS),
        ("a100", 8, 4, Gpus(device_ids=("0", "1", "2", "3"))),
    ],
)
def test_the_page_s_model_is_deployed_as_before_the_catalogue(family: str, count: int, size: int, gpus_: Gpus) -> None:
    """What an earlier release deployed for it is no difference: an engine that is right is never restarted."""
    container = served("Qwen/Qwen3-Coder-Next", host(family, count)).container
    assert shlex.join(container.command) == (
        "--host 0.0.0.0 --port 8000 --model Qwen/Qwen3-Coder-Next --served-model-name qwen3-coder-next "
        f"--enable-auto-tool-choice --tool-call-parser qwen3_coder --tensor-parallel-size {size} --trust-remote-code"
    )
    assert (container.name, container.gpus) == ("qwen3-coder-next", gpus_)
    assert container.environment == {"HF_HOME": "/root/.cache/huggingface"}
    assert container.labels == {
        "inference.fleet.engine": "vllm",
        "inference.fleet.model": "Qwen/Qwen3-Coder-Next",
        "inference.fleet.served-model-name": "qwen3-coder-next",
        "inference.fleet.profile": f"{family}x{size}",
        "inference.fleet.tensor-parallel-size": str(size),
        "inference.fleet.url": "http://127.0.0.1:8000",
        "inference.fleet.simulates": "",
        "inference.fleet.networks": "",
    }


def test_endpoints_follow_the_model_that_is_asked_for() -> None:
    (one,) = endpoints.endpoints("gpu1", {"model": "gpt-oss-120b", "engine_model": "org/other"})
    assert (one["model"], one["served_model_name"], one["name"], one["slot"]) == (
        "openai/gpt-oss-120b", "gpt-oss-120b", "gpt-oss-120b", "8000",
    )  # fmt: skip
    two = endpoints.endpoints(
        "gpu1", {"engine_instances": [{"model": "gpt-oss-20b"}, {"model": "Qwen/Qwen3-0.6B", "port": 8001}]}
    )
    assert [(item["model"], item["served_model_name"], item["name"]) for item in two] == [
        ("openai/gpt-oss-20b", "gpt-oss-20b", "gpt-oss-20b"),
        ("Qwen/Qwen3-0.6B", "qwen3-0.6b", "qwen3-0.6b"),
    ]
