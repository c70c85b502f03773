# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.addresses import url
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ALL_GPUS, Gpus
from ansible_collections.inference.fleet.plugins.module_utils.engines.common import read_api_key
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.models.model import Model
from ansible_collections.inference.fleet.plugins.module_utils.serving import deployment as deployments
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import Deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request, container_name
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import AUTO, Weights
from ansible_collections.inference.fleet.plugins.plugin_utils import catalogue

H100 = {"name": "NVIDIA H100 80GB HBM3", "memory_mib": 81559}
PAGE = Model.of(catalogue.facts("Qwen/Qwen3-Coder-Next") or {})
REQUEST = Request("vllm", "Qwen/Qwen3-Coder-Next", "qwen3-coder-next", "/cache", known=PAGE)


def deployment(request: Request, found: list[dict[str, Any]]) -> Deployment:
    return deployments.deployment(request, placement(request, found))


def argument(command: tuple[str, ...], flag: str) -> str:
    return command[command.index(flag) + 1]


def test_a_host_with_more_gpus_than_the_model_needs_gives_only_those() -> None:
    result = deployment(REQUEST, [H100] * 8)

    assert argument(result.container.command, "--tensor-parallel-size") == "4"
    assert result.container.gpus == Gpus(device_ids=("0", "1", "2", "3"))
    assert result.placement.profile == "h100x4"


def test_gpus_by_id_set_the_count() -> None:
    result = deployment(replace(REQUEST, gpus=["5", "4", "7", "6"]), [H100] * 8)

    assert result.container.gpus == Gpus(device_ids=("4", "5", "6", "7"))
    assert argument(result.container.command, "--tensor-parallel-size") == "4"


@pytest.mark.parametrize(
    ("found", "gpus"),
    [
        ([H100] * 4, ALL_GPUS),
        ([H100] * 8, Gpus(device_ids=("0", "1", "2", "3"))),
        # Where the driver does not answer, the profile is all there is.
        ([], ALL_GPUS),
        ([{"name": "NVIDIA L4", "memory_mib": 23034}, *[H100] * 8], Gpus(device_ids=("1", "2", "3", "4"))),
    ],
)
def test_a_profile_by_hand_takes_its_own_number_of_gpus(found: list[dict[str, Any]], gpus: Gpus) -> None:
    assert deployment(replace(REQUEST, profile="h100x4"), found).container.gpus == gpus


def test_an_unknown_model_takes_every_gpu_and_no_tool_parser() -> None:
    result = deployment(replace(REQUEST, model="someone/else", known=Model()), [H100] * 8)

    assert argument(result.container.command, "--tensor-parallel-size") == "8"
    assert "--tool-call-parser" not in result.container.command


def test_too_few_gpus_for_the_model_is_refused_with_the_numbers() -> None:
    with pytest.raises(FleetError, match="needs 4 GPUs of kind h100, and the engine would have 2"):
        deployment(REQUEST, [H100] * 2)


def test_tensor_parallel_size_beyond_the_gpus_is_refused() -> None:
    with pytest.raises(FleetError, match=r"would take 8 GPUs \(tensor parallel 8\), and it would have 4"):
        deployment(replace(REQUEST, tensor_parallel_size=8), [H100] * 4)


def test_mixed_gpus_are_refused_until_the_user_chooses() -> None:
    with pytest.raises(FleetError, match="several kinds"):
        deployment(REQUEST, [H100, H100, {"name": "NVIDIA B200", "memory_mib": 183359}])


def test_a_host_without_gpus_asks_for_none() -> None:
    result = deployment(REQUEST, [])

    assert result.placement.profile == "cpu"
    assert result.container.gpus is None
    assert argument(result.container.command, "--tensor-parallel-size") == "1"


@pytest.mark.parametrize("address", ["0.0.0.0", "10.1.2.3", "::"])
def test_an_open_port_needs_a_key_or_a_word(address: str) -> None:
    with pytest.raises(FleetError, match="opens port 8000 to the network without an API key"):
        deployment(replace(REQUEST, bind_address=address), [H100] * 4)
    deployment(replace(REQUEST, bind_address=address, exposed_without_key=True), [H100] * 4)
    deployment(replace(REQUEST, bind_address=address, api_key="k"), [H100] * 4)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "simulator"])
def test_secrets_stand_in_files_only(engine: str) -> None:
    request = replace(
        REQUEST,
        engine=engine,
        api_key='planted-"key"',
        hf_token="planted-token",
        simulates={"engine": "vllm", "profile": "h100x4"},
    )

    container = deployment(request, [H100] * 4).container

    everything_inspectable = repr((container.command, container.environment, container.labels, container.mounts))
    assert "planted" not in everything_inspectable
    assert "planted" not in repr(container)


def test_vllm_s_key_stands_in_a_file_that_its_guard_reads_again() -> None:
    request = replace(REQUEST, api_key="planted", environment={"PYTHONPATH": "/mine"})

    container = deployment(request, [H100] * 4).container

    assert container.secrets["api_key"] == "planted"
    assert container.live_secrets == {"api_key"}
    assert argument(container.command, "--middleware") == "inference_fleet_guard.Guard"
    assert container.environment["PYTHONPATH"] == "/run/inference.fleet:/mine"
    assert compile(container.secrets["inference_fleet_guard.py"], "guard", "exec")


def test_sglang_is_started_by_a_module_that_puts_the_guard_before_it() -> None:
    container = deployment(replace(REQUEST, engine="sglang", api_key="planted"), [H100] * 4).container

    assert container.command[:3] == ("python", "-m", "inference_fleet_sglang")
    assert set(container.secrets) == {"api_key", "inference_fleet_guard.py", "inference_fleet_sglang.py"}
    assert container.live_secrets == frozenset({"api_key"})
    assert container.environment["PYTHONPATH"] == "/run/inference.fleet"
    assert "planted" not in repr((container.command, container.environment, container.labels))
    # Without a key it is the page's own command.
    plain = deployment(replace(REQUEST, engine="sglang"), [H100] * 4).container
    assert plain.command[:3] == ("python", "-m", "sglang.launch_server")


def test_a_key_is_read_from_what_an_earlier_release_gave_sglang() -> None:
    assert read_api_key({"engine.yaml": 'api-key: "planted-\\"key\\""\n'}) == 'planted-"key"'


@pytest.mark.parametrize("engine", ["vllm", "sglang", "simulator"])
def test_several_keys_stand_a_line_each_and_the_first_is_ours(engine: str) -> None:
    request = replace(REQUEST, engine=engine, api_key="new", api_keys=("old", "new"))
    request = replace(request, simulates={"engine": "vllm", "profile": "h100x4"} if engine == "simulator" else None)
    container = deployment(request, [H100] * 4).container
    assert container.secrets["api_key"] == "new\nold"
    assert read_api_key(container.secrets) == "new"
    assert all(version == 2 for name, version in container.secret_versions.items() if name.endswith("guard.py")) or (
        engine == "sglang" and container.secret_versions["inference_fleet_guard.py"] == 2
    )


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"api_keys": ("a",)}, "beside api_key, which is not set"),
        ({"api_key": "a\n"}, "without spaces or line breaks"),
        ({"api_key": "a", "api_keys": ("b\nc",)}, "without spaces or line breaks"),
        ({"api_key": " a"}, "without spaces or line breaks"),
    ],
)
def test_a_key_that_nobody_could_send_is_refused_and_not_shown(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(FleetError, match=told) as caught:
        replace(REQUEST, **keys)
    assert "c'" not in str(caught.value)


def test_the_page_s_model_may_run_its_code_and_no_other() -> None:
    page = deployment(REQUEST, [H100] * 4)
    assert "--trust-remote-code" in page.container.command
    assert ("revision is not a commit" in "".join(page.warnings)) is True
    assert deployment(replace(REQUEST, revision="0" * 40), [H100] * 4).warnings == ()
    assert deployment(replace(REQUEST, revision="main"), [H100] * 4).warnings != ()

    other = deployment(replace(REQUEST, known=Model(), model="org/other"), [H100] * 4)
    assert "--trust-remote-code" not in other.container.command
    assert other.warnings == ()
    # An engine of an earlier release has it, and is left; a user who says no is obeyed.
    (earlier,) = other.container.earlier_commands
    assert [word for word in earlier if word != "--trust-remote-code"] == list(other.container.command)
    said = deployment(replace(REQUEST, known=Model(), model="org/other", trust_remote_code=False), [H100] * 4)
    assert said.container.earlier_commands == ()


def test_aliases_are_more_names_on_vllm_alone() -> None:
    request = replace(REQUEST, served_model_aliases=("coder", "default"))
    command = deployment(request, [H100] * 4).container.command
    assert command[command.index("--served-model-name") + 1 :][:4] == (
        "qwen3-coder-next", "coder", "default", "--enable-auto-tool-choice",
    )  # fmt: skip
    with pytest.raises(FleetError, match="served_model_aliases: sglang serves a model by one name"):
        deployment(replace(request, engine="sglang"), [H100] * 4)


def test_without_a_key_nothing_guards() -> None:
    container = deployment(REQUEST, [H100] * 4).container

    assert container.secrets == {}
    assert "--middleware" not in container.command
    assert "PYTHONPATH" not in container.environment


@pytest.mark.parametrize(
    ("engine", "kept"),
    [
        ("vllm", {"/root/.cache/vllm", "/root/.cache/flashinfer", "/root/.triton"}),
        ("sglang", {"/root/.cache/sglang", "/root/.cache/deep_gemm", "/root/.cache/flashinfer", "/root/.triton"}),
        ("simulator", set()),
    ],
)
def test_what_an_engine_compiles_is_kept(engine: str, kept: set[str]) -> None:
    request = replace(REQUEST, engine=engine, simulates={"engine": "vllm", "profile": "h100x4"})
    plain = {mount.target for mount in deployment(request, [H100] * 4).container.mounts}

    mounts = deployment(replace(request, compile_cache_dir="/cache"), [H100] * 4).container.mounts

    assert {mount.target for mount in mounts} - plain == kept
    assert all(mount.source.startswith("/cache/") for mount in mounts if mount.target in kept)


def test_a_revision_is_pinned_for_the_engine_and_for_its_weights() -> None:
    result = deployment(replace(REQUEST, revision="v1"), [H100] * 4)

    assert argument(result.container.command, "--revision") == "v1"
    assert result.weights == Weights(REQUEST.model, "v1", AUTO)


@pytest.mark.parametrize(("engine", "model"), [("vllm", "/models/mine"), ("simulator", REQUEST.model)])
def test_what_is_not_on_the_hub_is_not_downloaded(engine: str, model: str) -> None:
    request = replace(REQUEST, engine=engine, model=model, simulates={"engine": "vllm", "profile": "h100x4"})

    assert deployment(request, [H100] * 4).weights is None


def test_hf_token_is_read_from_its_file_without_a_restart() -> None:
    container = deployment(replace(REQUEST, hf_token="planted"), [H100] * 4).container

    assert container.environment["HF_TOKEN_PATH"] == "/run/inference.fleet/hf_token"
    assert container.secrets == {"hf_token": "planted"}
    assert container.live_secrets == {"hf_token"}


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("HF_TOKEN", r"could read\. Use hf_token"),
        ("VLLM_API_KEY", r"could read\. Use api_key"),
        ("HF_HOME", r"repeats what other options set: HF_HOME \(set by cache_dir\)"),
        ("HF_TOKEN_PATH", r"set by hf_token"),
        ("CUDA_VISIBLE_DEVICES", r"set by gpus"),
    ],
)
def test_an_environment_that_carries_a_secret_or_contradicts_an_option_is_refused(variable: str, told: str) -> None:
    with pytest.raises(FleetError, match=f"{variable}.*{told}" if "repeats" not in told else told) as caught:
        deployment(replace(REQUEST, environment={variable: "planted", "OTHER": "1"}), [H100] * 4)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("engine", "extra", "named"),
    [
        ("vllm", "--port=9000", "port"),
        ("vllm", "--tensor_parallel_size", "tensor_parallel_size"),
        ("vllm", "-tp", "tensor_parallel_size"),
        ("vllm", "-tp=2", "tensor_parallel_size"),
        ("vllm", "--hf-token", "hf_token"),
        # argparse takes a flag by its beginning too.
        ("vllm", "-t", "tensor_parallel_size"),
        ("vllm", "--tensor_parallel=2", "tensor_parallel_size"),
        ("vllm", "--no-enable-auto-tool-choice", "tool_call_parser"),
        ("vllm", "--no-enable-auto", "tool_call_parser"),
        ("sglang", "--served-model", "served_model_name"),
        ("sglang", "--tp", "tensor_parallel_size"),
        ("simulator", "--figures", "simulates"),
    ],
)
def test_extra_arguments_may_not_contradict_options(engine: str, extra: str, named: str) -> None:
    request = replace(
        REQUEST, engine=engine, extra_args=[extra, "1"], simulates={"engine": "vllm", "profile": "h100x4"}
    )
    with pytest.raises(FleetError, match=rf"set by {named}"):
        deployment(request, [H100] * 4)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_an_extra_argument_that_is_no_option_would_be_a_model(engine: str) -> None:
    with pytest.raises(FleetError, match="extra_args begins with 'some/other-model', which is no option"):
        deployment(replace(REQUEST, engine=engine, extra_args=["some/other-model"]), [H100] * 4)


@pytest.mark.parametrize("flag", ["--admin-api-key", "--admin_api_key=planted", "--ssl-keyfile-password"])
def test_a_secret_among_the_extra_arguments_is_refused(flag: str) -> None:
    with pytest.raises(FleetError, match=r"extra_args has --[a-z-]+, whose value everybody .* could read") as caught:
        deployment(replace(REQUEST, engine="sglang", extra_args=[flag, "planted"]), [H100] * 4)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize("flag", ["--ssl-keyfile=/key", "--ssl_certfile", "--enable-ssl-refresh"])
def test_an_endpoint_that_speaks_tls_is_refused(engine: str, flag: str) -> None:
    with pytest.raises(FleetError, match=r"extra_args has --\S*ssl\S+: .* proxy with a certificate"):
        deployment(replace(REQUEST, engine=engine, extra_args=[flag]), [H100] * 4)


@pytest.mark.parametrize("key", ["two\nlines", "planted\n", " planted", "schlüssel"])
def test_a_key_that_no_header_carries_is_refused(key: str) -> None:
    with pytest.raises(FleetError, match="api_key cannot be sent in a header") as caught:
        replace(REQUEST, api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("engine", "extra"),
    [
        ("vllm", ["--no-enable-prefix-caching", "--max-logprobs", "-1", "-O3", "--tool-parser-plugin", "/x.py"]),
        ("vllm", ["--config", "/mine.yaml", "--middleware", "mine.Middleware"]),
        ("sglang", ["--tokenizer-path", "/x", "--max-total-tokens", "1", "--mem-fraction-static=0.7"]),
    ],
)
def test_other_extra_arguments_pass_through(engine: str, extra: list[str]) -> None:
    command = deployment(replace(REQUEST, engine=engine, extra_args=extra), [H100] * 4).container.command

    assert list(command[-len(extra) :]) == extra


def test_extra_arguments_come_last() -> None:
    container = deployment(replace(REQUEST, extra_args=["--max-model-len", "32768"]), [H100] * 4).container

    assert container.command[-2:] == ("--max-model-len", "32768")


def test_sglang_memory_fraction_can_be_set() -> None:
    request = replace(REQUEST, engine="sglang", extra_args=["--mem-fraction-static", "0.7"])

    command = deployment(request, [H100] * 4).container.command

    assert command.count("--mem-fraction-static") == 1
    assert argument(command, "--mem-fraction-static") == "0.7"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("10.0.0.5", "http://10.0.0.5:8000"),
        ("::1", "http://[::1]:8000"),
    ],
)
def test_url_is_where_the_host_reaches_it(address: str, expected: str) -> None:
    assert url(address, 8000) == expected


def test_container_name_has_only_what_a_name_may_have() -> None:
    assert container_name("Qwen/Qwen3:next") == "Qwen-Qwen3-next"
