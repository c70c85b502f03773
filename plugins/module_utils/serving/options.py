# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of an engine, a row each: its type and default, where it goes, and what it takes to change it.

The module's argument spec and :mod:`.request` are made of this table; the module's documentation, the role and what the
comparison of containers does are tested against it. To add an option that goes into the container as it is, add a row
here, a field to :class:`.spec.ContainerSpec`, and the lines by which users read of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.containers import compare, plan, wanted
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import Device, Log, RestartPolicy, Ulimit
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.models.model import Model

# Where an option goes: into the request, from which others are derived too; into a field of the container as it is; or
# nowhere, but into how this run goes about it.
REQUEST, CONTAINER, RUN = "request", "container", "run"
# What it takes to change it: what :mod:`.compare` does, or nothing of the engine that runs.
RECREATE, UPDATE, REWRITE, NOTHING = compare.RECREATE, compare.UPDATE, compare.REWRITE, "nothing"


_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Option(NamedTuple):
    """One option. ``field`` is where its value goes as ``read`` makes it; ``per_host`` is said once for all engines."""

    name: str
    type: str
    default: Any = None
    goes: str = REQUEST
    change: str = RECREATE
    elements: str | None = None
    choices: tuple[str, ...] = ()
    options: Mapping[str, Any] | None = None
    no_log: bool = False
    field: str = ""
    read: Callable[[Any], Any] = lambda value: value
    per_host: bool = False

    @property
    def spec(self) -> dict[str, Any]:
        """The option in the form of an argument spec."""
        given = {
            "default": self.default,
            "elements": self.elements,
            "choices": list(self.choices) or None,
            "options": self.options,
            "no_log": self.no_log or None,
        }
        return {"type": self.type, **{key: value for key, value in given.items() if value is not None}}


def parse_size(text: str) -> int:
    """Return the bytes of a size such as 16GiB, 512m or 1073741824.

    >>> parse_size("16GiB") == 16 * 2**30
    True
    """
    match = re.fullmatch(r"\s*(\d+)\s*([KMGT]?)(?:iB|B)?\s*", text, re.IGNORECASE)
    if match is None:
        raise FleetError(f"{text!r} is not a size. Wanted a number of bytes, or one with a unit, such as 16GiB.")
    return int(match.group(1)) * _UNITS[match.group(2).upper()]


def _ulimits(given: Mapping[str, Any]) -> tuple[Ulimit, ...]:
    return tuple(_ulimit(name, str(value)) for name, value in given.items())


def _ulimit(name: str, text: str) -> Ulimit:
    soft, _colon, hard = text.partition(":")
    try:
        return Ulimit(name, int(soft), int(hard or soft))
    except ValueError:
        raise FleetError(
            f"ulimits: {name} is {text!r}. Wanted a whole number, -1 for no limit, or two as SOFT:HARD."
        ) from None


def _device(text: str) -> Device:
    source, _colon, rest = text.partition(":")
    target, _colon, permissions = rest.partition(":")
    if not source.startswith("/") or set(permissions) - set("rwm"):
        raise FleetError(
            f"devices: wanted a path on the host, such as /dev/infiniband/uverbs0, or PATH:PATH_IN_CONTAINER:rwm, "
            f"found {text!r}."
        )
    return Device(source, target, permissions)


def _security_option(text: str) -> str:
    """Return a security option with a seccomp profile's content in the place of its path, as the daemon wants it."""
    name, _sign, value = text.partition("=")
    if name != "seccomp" or not value.startswith("/"):
        return text
    try:
        return f"seccomp={json.dumps(json.loads(Path(value).read_text(encoding='utf-8')))}"
    except (OSError, ValueError) as error:
        raise FleetError(
            f"security_opt: the seccomp profile {value} could not be read on the host: {error}."
        ) from error


def _log(given: Mapping[str, Any]) -> Log | None:
    options = {name: str(value) for name, value in (given.get("options") or {}).items()}
    return Log(given.get("driver") or "", options) if given.get("driver") or options else None


def _texts(given: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in given.items()}


def _row(name: str, type_: str, default: Any = None, **more: Any) -> Option:
    return Option(name, type_, default, **{"field": name, **more})


def _run(name: str, type_: str, default: Any = None, **more: Any) -> Option:
    return _row(name, type_, default, goes=RUN, change=NOTHING, **more)


def _container(name: str, type_: str, default: Any = None, **more: Any) -> Option:
    return _row(name, type_, default, goes=CONTAINER, **more)


ENGINES = ("vllm", "sglang", "simulator")
# As the client's. The controller, which imports this, is spared its libraries.
TASKS = ("chat", "completion", "embedding", "rerank", "transcription")
_MOUNT = {
    "source": {"type": "path", "required": True},
    "target": {"type": "str", "required": True},
    "read_only": {"type": "bool", "default": True},
}
_LOG = {"driver": {"type": "str"}, "options": {"type": "dict", "default": {}}}
_GROUP = {
    "rank": {"type": "int", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "required": True},
    "interface": {"type": "str"},
    "port": {"type": "int", "default": 29501},
    "public": {"type": "bool", "default": False},
    "firewall": {"type": "bool", "default": False},
}
_SIMULATES = {
    "engine": {"type": "str", "choices": ["vllm", "sglang"], "default": "vllm"},
    "profile": {"type": "str", "choices": ["b200x2", "h100x4", "a100x4"], "default": "h100x4"},
}

OPTIONS = (
    _run("state", "str", plan.PRESENT, choices=plan.STATES, per_host=True),
    # What serves, and how the engine is asked to.
    _row("engine", "str", "vllm", choices=ENGINES),
    _row("model", "str", "Qwen/Qwen3-Coder-Next"),
    _row("served_model_name", "str"),
    _row("served_model_aliases", "list", [], elements="str", read=tuple),
    _row("revision", "str", read=lambda value: value or None),
    _row("trust_remote_code", "bool"),
    _row("tool_call_parser", "str"),
    _row("reasoning_parser", "str"),
    _row("task", "str", choices=TASKS, change=UPDATE),
    _row("tensor_parallel_size", "int"),
    _row("pipeline_parallel_size", "int"),
    _row("data_parallel_size", "int"),
    _row("expert_parallel", "bool"),
    _row("speculative_decoding", "bool", False),
    _row("extra_args", "list", [], elements="str"),
    _row("environment", "dict", {}, read=_texts),
    _row("simulates", "dict", options=_SIMULATES),
    # Who gets in.
    _row("api_key", "str", no_log=True, change=REWRITE, read=lambda value: value or None),
    _row("api_keys", "list", [], elements="str", no_log=True, change=REWRITE, read=tuple),
    _row("hf_token", "str", no_log=True, change=REWRITE, read=lambda value: value or None),
    _row("port", "int", 8000),
    _row("bind_address", "str", "127.0.0.1"),
    _row("exposed_without_key", "bool", False, change=NOTHING),
    # Where it stands.
    _run("slot", "str"),
    _row("container_name", "str"),
    _row("image", "str"),
    _row("profile", "str", change=UPDATE),
    _row("gpus", "list", elements="str"),
    _row("replicas", "int", 1),
    _row("replica", "int"),
    _row("group", "dict", options=_GROUP, per_host=True),
    _row("cache_dir", "str", "~/.cache/huggingface"),
    _row("compile_cache_dir", "str", "~/.cache/inference.fleet"),
    # The container.
    _row("mounts", "list", [], elements="dict", options=_MOUNT),
    _row("networks", "list", [], elements="str", change=UPDATE, read=tuple),
    _row("labels", "dict", {}, read=_texts),
    _container("devices", "list", [], elements="str", read=lambda value: tuple(map(_device, value))),
    _container("cap_add", "list", [], elements="str", read=tuple),
    _container("security_opt", "list", [], elements="str", read=lambda value: tuple(map(_security_option, value))),
    _container("user", "str"),
    _container("ipc_mode", "str", "host"),
    _container("shm_size", "str", field="shm_bytes", read=parse_size),
    _container("ulimits", "dict", {}, read=_ulimits),
    _container("memory", "str", change=UPDATE, field="memory_bytes", read=parse_size),
    _container("cpus", "float", change=UPDATE, field="nano_cpus", read=lambda value: round(value * 10**9)),
    _container("cpuset_cpus", "str", change=UPDATE),
    _container("log", "dict", options=_LOG, read=_log),
    _container(
        "restart_policy",
        "str",
        "unless-stopped",
        choices=("no", "on-failure", "always", "unless-stopped"),
        change=UPDATE,
        read=RestartPolicy,
    ),
    # How the run goes about it.
    _run("start_after_mounts", "bool", True),
    _run("pull", "str", wanted.MISSING, choices=wanted.PULL_POLICIES),
    _run("registry_username", "str"),
    _run("registry_password", "str", no_log=True),
    _run("prefetch", "bool", True),
    _run("preflight", "str", wanted.FAIL, choices=(wanted.FAIL, wanted.WARN, wanted.SKIP)),
    _run("recreate", "bool", False),
    _run("prune", "bool", False, per_host=True),
    _run("remove_images", "bool", False, per_host=True),
    _run("warm_up_concurrency", "int", 0),
    _run("pull_timeout", "int", 3600),
    _run("weights_timeout", "int", 7200),
    _run("weights_max_rate", "float", 0),
    _run("start_timeout", "int", 120),
    _run("ready_timeout", "int", 1800),
    _run("stop_timeout", "int", 30),
    _run("docker_host", "str", wanted.DOCKER_HOST, per_host=True),
    _run("instances", "list", elements="dict", per_host=True),
    _run("catalogue", "str", per_host=True),
    # What the action sets, and the role's tasks of a group.
    _run("stage", "str", choices=plan.STAGES, per_host=True),
    _run("stage_timeout", "int", 60, per_host=True),
    _row("model_facts", "dict", {}, field="known", read=Model.of),
    _run("instance_secrets", "list", elements="dict", no_log=True, per_host=True),
    _run("progress_file", "path", per_host=True),
)
BY_NAME = {option.name: option for option in OPTIONS}
DEFAULTS = {option.name: option.default for option in OPTIONS}
SET_BY_ACTION = ("stage", "stage_timeout", "model_facts", "instance_secrets", "progress_file")
PER_HOST = frozenset(option.name for option in OPTIONS if option.per_host)


def argument_spec() -> dict[str, Any]:
    """Return the module's argument spec."""
    return {option.name: option.spec for option in OPTIONS}


def values(params: Mapping[str, Any], goes: str) -> dict[str, Any]:
    """Return the values of the options that go somewhere, by field. One that is not given is left to be derived."""
    return {
        option.field: option.read(params[option.name])
        for option in OPTIONS
        if option.goes == goes and params.get(option.name) not in (None, "")
    }
