# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of options is what the module documents, the role passes on, and the comparison does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import compare
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import HostSize, observe
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec, create_config
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import TASKS
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import options
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import request
from ansible_collections.inference.fleet.plugins.modules import engine as module

ROLE = Path(__file__).resolve().parents[5] / "roles/engine"
SPECULATIVE = {"engine": "vllm", "arguments": {"--speculative-config": "{}"}}
# Two values of each option that differ, and what else is to be set for it to matter.
GROUP = {"rank": 1, "names": ["a", "b"], "addresses": ["10.0.0.1", "10.0.0.2"], "interface": "eth0"}
EXAMPLES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "engine": ("vllm", "sglang", {}),
    "model": ("org/a", "org/b", {"served_model_name": "x"}),
    "served_model_name": ("a", "b", {"container_name": "x"}),
    "served_model_aliases": ([], ["a"], {}),
    "revision": (None, "main", {}),
    "trust_remote_code": (True, False, {}),
    "tool_call_parser": ("a", "b", {}),
    "reasoning_parser": ("a", "none", {}),
    "pipeline_parallel_size": (2, 4, {"tensor_parallel_size": 1}),
    "data_parallel_size": (2, 4, {"tensor_parallel_size": 1}),
    "expert_parallel": (True, False, {}),
    "speculative_decoding": (True, False, {"model_facts": {"speculative_decoding": [SPECULATIVE]}}),
    "model_facts": ({}, {"settings": [{"arguments": {"--x": True}}]}, {}),
    "task": ("chat", "embedding", {}),
    "tensor_parallel_size": (2, 4, {}),
    "extra_args": ([], ["--x"], {}),
    "environment": ({}, {"A": 1}, {}),
    "simulates": (
        {"engine": "vllm", "profile": "h100x4"},
        {"engine": "vllm", "profile": "a100x4"},
        {"engine": "simulator"},
    ),
    "api_key": ("a", "b", {}),
    "api_keys": (["b"], ["c"], {"api_key": "a"}),
    "hf_token": ("a", "b", {}),
    "port": (8000, 8001, {}),
    "bind_address": ("127.0.0.1", "127.0.0.2", {}),
    "exposed_without_key": (False, True, {}),
    "container_name": ("a", "b", {}),
    "image": ("a:1", "b:1", {}),
    "profile": ("h100x4", "b200x4", {"tensor_parallel_size": 4}),
    "gpus": (["0"], ["1"], {"tensor_parallel_size": 1}),
    "replicas": (1, 2, {}),
    "replica": (1, 2, {"replicas": 2, "container_name": "x"}),
    "group": ({**GROUP, "port": 29501}, {**GROUP, "port": 29502}, {"tensor_parallel_size": 2}),
    "cache_dir": ("/a", "/b", {}),
    "compile_cache_dir": ("/a", "", {}),
    "mounts": ([], [{"source": "/a", "target": "/b"}], {}),
    "networks": ([], ["proxy"], {}),
    "labels": ({}, {"a": "b"}, {}),
    "devices": ([], ["/dev/fuse"], {}),
    "cap_add": ([], ["IPC_LOCK"], {}),
    "security_opt": ([], ["no-new-privileges"], {}),
    "user": (None, "1000", {}),
    "ipc_mode": ("host", "private", {}),
    "shm_size": (None, "16GiB", {}),
    "ulimits": ({"memlock": "1024:-1"}, {"memlock": -1}, {}),
    "memory": (None, "1GiB", {}),
    "cpus": (None, 1.5, {}),
    "cpuset_cpus": (None, "0-1", {}),
    "log": ({"options": {"max-size": "1m"}}, {"options": {"max-size": "2m"}}, {}),
    "restart_policy": ("no", "always", {}),
}
H100 = {"name": "NVIDIA H100 80GB HBM3", "memory_mib": 81559}


def wanted(**given: Any) -> ContainerSpec:
    asked = request(
        {**options.DEFAULTS, "served_model_name": "m", "cache_dir": "/cache", "compile_cache_dir": "/compiled", **given}
    )
    return deployment(asked, placement(asked, [H100] * 4)).container


def found(spec: ContainerSpec) -> dict[str, Any]:
    """Return what a daemon tells of a container that it made as asked."""
    config: dict[str, Any] = create_config(spec)
    host = config["HostConfig"]
    host.setdefault("LogConfig", {"Type": "json-file", "Config": {"max-size": "100m"}})
    host["LogConfig"]["Type"] = host["LogConfig"]["Type"] or "json-file"
    return {
        "Id": "c0ffee", "Name": f"/{spec.name}", "Image": "sha256:aa", "State": {"Status": "running"},
        "Config": config, "HostConfig": host,
        "Mounts": [
            {"Type": "bind", "Source": m["Source"], "Destination": m["Target"], "RW": not m["ReadOnly"]}
            for m in host["Mounts"]
        ],
        "NetworkSettings": {"Networks": {host["NetworkMode"]: {}}},
    }  # fmt: skip


def test_tasks_are_those_that_the_client_knows() -> None:
    assert options.TASKS == TASKS


def test_every_option_of_the_container_has_examples() -> None:
    assert set(EXAMPLES) == {option.name for option in options.OPTIONS if option.goes != options.RUN}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_change_is_made_as_the_table_says(name: str) -> None:
    one, other, more = EXAMPLES[name]
    before, after = wanted(**{**more, name: one}), wanted(**{**more, name: other})
    observed = observe(found(before), {"Config": {}}, HostSize(2**40, 64))
    assert compare(before, observed, None, dict(before.secrets)) == [], "the same twice"
    changes = compare(after, observed, None, dict(before.secrets))
    ways = {change.how for change in changes}
    assert (options.RECREATE if options.RECREATE in ways else next(iter(ways), None)) == {
        # Another name is another container.
        **{option.name: option.change for option in options.OPTIONS},
        "exposed_without_key": None,
        "container_name": None,
    }[name], changes


def same(documented: dict[str, Any], spec: dict[str, Any], where: str) -> None:
    assert set(documented) == set(spec), where
    for name, option in spec.items():
        told = documented[name]
        for key in ("type", "default", "choices", "elements"):
            assert told.get(key) == option.get(key), f"{where}{name}: {key}"
        assert bool(told.get("required")) == bool(option.get("required")), f"{where}{name}: required"
        if option.get("options"):
            same(told.get("suboptions") or told.get("options"), option["options"], f"{where}{name}.")


def test_the_module_documents_the_table() -> None:
    same(yaml.safe_load(module.DOCUMENTATION)["options"], module.argument_spec(), "")


def role_name(option: str) -> str:
    # A variable named engine_engine would read badly.
    return "engine_name" if option == "engine" else f"engine_{option}"


def test_the_role_passes_every_option_on_under_its_own_name() -> None:
    specs = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    (task,) = [
        task for task in yaml.safe_load((ROLE / "tasks/bring.yml").read_text()) if "inference.fleet.engine" in task
    ]
    for option in options.OPTIONS:
        # The module's group is made of the variables of all its hosts.
        if option.name in (*options.SET_BY_ACTION, "group"):
            continue
        name = role_name(option.name)
        told = specs[name]
        # A choice that is derived is empty in the role, which no list of choices has.
        choices = list(option.choices) if option.choices and option.default is not None else None
        assert (told["type"], told.get("choices"), told.get("elements"), bool(told.get("no_log"))) == (
            option.type, choices, option.elements, option.no_log,
        ), name  # fmt: skip
        assert re.search(rf"\b{name}\b", str(task["inference.fleet.engine"][option.name])), name
        assert told.get("default") == defaults.get(name), name
        # What is derived is empty in the role; the rest is what the module has.
        if option.default is not None and option.name != "instances":
            assert defaults[name] == option.default, name
        elif option.name not in ("simulates", "container_name"):
            assert not defaults.get(name), name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"memory": "much"}, "'much' is not a size"),
        ({"ulimits": {"nofile": "many"}}, "ulimits: nofile is 'many'. Wanted a whole number"),
        ({"devices": ["infiniband"]}, "devices: wanted a path on the host"),
        ({"devices": ["/dev/fuse:/dev/fuse:rx"]}, "devices: wanted a path on the host"),
        ({"security_opt": ["seccomp=/nowhere.json"]}, "seccomp profile /nowhere.json could not be read"),
        ({"labels": {"inference.fleet.engine": "x"}}, "the collection's own"),
        ({"bind_address": "gpu1"}, "bind_address: wanted an address of the host in figures"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FleetError, match=said):
        wanted(**given)


def test_a_seccomp_profile_travels_as_its_content(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text('{ "defaultAction": "SCMP_ACT_ALLOW" }\n')
    assert wanted(security_opt=[f"seccomp={tmp_path}/profile.json"]).security_opt == (
        'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}',
    )
