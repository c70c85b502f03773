# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user asks for: a module's options in the types of their fields, refused where they contradict themselves."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.addresses import LOOPBACK, is_loopback
from ansible_collections.inference.fleet.plugins.module_utils.containers import normal
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import NOT_TO_BE_SENT, can_be_sent
from ansible_collections.inference.fleet.plugins.module_utils.engines import engine
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.system import cache_place, expand_home

DEFAULT_SIMULATES = {"engine": "vllm", "profile": "h100x4"}
_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# What a variable would carry, or contradict, and the option to use.
_SECRET_VARIABLES = {
    "HF_TOKEN": "hf_token",
    "HUGGING_FACE_HUB_TOKEN": "hf_token",
    "HUGGINGFACE_HUB_TOKEN": "hf_token",
    "VLLM_API_KEY": "api_key",
}
_MANAGED_VARIABLES = {
    "HF_HOME": "cache_dir",
    "HF_HUB_CACHE": "cache_dir",
    "HUGGINGFACE_HUB_CACHE": "cache_dir",
    "HF_TOKEN_PATH": "hf_token",
    "NVIDIA_VISIBLE_DEVICES": "gpus",
    "CUDA_VISIBLE_DEVICES": "gpus",
}


@dataclass(frozen=True)
class Request:
    """What the user asks for; ``None`` is left to be derived."""

    engine: str
    model: str
    served_model_name: str
    cache_dir: str
    compile_cache_dir: str | None = None
    revision: str | None = None
    container_name: str | None = None
    image: str | None = None
    port: int = 8000
    bind_address: str = LOOPBACK
    exposed_without_key: bool = False
    profile: str | None = None
    tensor_parallel_size: int | None = None
    gpus: Sequence[str] | None = None
    tool_call_parser: str | None = None
    task: str | None = None
    extra_args: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mapping[str, Any]] = ()
    ipc_mode: str = "host"
    shm_bytes: int | None = None
    ulimits: Mapping[str, int] = field(default_factory=dict)
    memory_bytes: int = 0
    nano_cpus: int = 0
    cpuset_cpus: str = ""
    restart_policy: str = "unless-stopped"
    api_key: str | None = field(default=None, repr=False)
    hf_token: str | None = field(default=None, repr=False)
    simulates: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Raise :class:`FleetError` where it contradicts itself, or would be unsafe."""
        _refuse_key(self)
        _refuse_open_port(self)
        _refuse_environment(self)


def request(params: Mapping[str, Any]) -> Request:
    """Return what the options of the module engine ask for, on this host."""
    simulated = engine(params["engine"]).SIMULATED
    return Request(
        engine=params["engine"],
        model=params["model"],
        served_model_name=params["served_model_name"],
        cache_dir=cache_place(params["cache_dir"]),
        compile_cache_dir=expand_home(params["compile_cache_dir"]) if params["compile_cache_dir"] else None,
        revision=params["revision"] or None,
        container_name=params["container_name"],
        image=params["image"],
        port=params["port"],
        bind_address=_address(params["bind_address"]),
        exposed_without_key=params["exposed_without_key"],
        profile=params["profile"],
        tensor_parallel_size=params["tensor_parallel_size"],
        gpus=params["gpus"],
        tool_call_parser=params["tool_call_parser"],
        task=params["task"],
        extra_args=params["extra_args"],
        environment={key: str(value) for key, value in params["environment"].items()},
        mounts=params["mounts"],
        ipc_mode=params["ipc_mode"],
        shm_bytes=parse_size(params["shm_size"]) if params["shm_size"] else None,
        ulimits=_ulimits(params["ulimits"]),
        memory_bytes=parse_size(params["memory"]) if params["memory"] else 0,
        nano_cpus=round((params["cpus"] or 0) * 10**9),
        cpuset_cpus=params["cpuset_cpus"] or "",
        restart_policy=params["restart_policy"],
        api_key=params["api_key"] or None,
        hf_token=params["hf_token"] or None,
        simulates=(params["simulates"] or DEFAULT_SIMULATES) if simulated else None,
    )


def _ulimits(given: Mapping[str, Any]) -> dict[str, int]:
    try:
        return {name: int(value) for name, value in given.items()}
    except (TypeError, ValueError) as error:
        raise FleetError(f"ulimits wants a whole number for each limit, and -1 for none: {error}.") from error


def _address(text: str) -> str:
    address = normal.address(text)
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise FleetError(
            f"bind_address: wanted an address of the host in figures, such as 127.0.0.1 or 0.0.0.0, found {text!r}."
        ) from None
    return address


def container_name(served_model_name: str) -> str:
    """Return a container's name for a served model name, which may have characters that a name may not."""
    return "".join(letter if letter.isalnum() or letter in "_.-" else "-" for letter in served_model_name)


def _refuse_key(request: Request) -> None:
    if request.api_key and not can_be_sent(request.api_key):
        raise FleetError(f"api_key {NOT_TO_BE_SENT}")


def _refuse_open_port(request: Request) -> None:
    if is_loopback(request.bind_address) or request.api_key or request.exposed_without_key:
        return
    raise FleetError(
        f"bind_address {request.bind_address} opens port {request.port} to the network without an API key. "
        "Set api_key; or keep 127.0.0.1 and use an SSH tunnel; or, if everybody may use it, set exposed_without_key."
    )


def _refuse_environment(request: Request) -> None:
    """Refuse variables that carry a secret, and those that contradict an option."""
    for variable, option in _SECRET_VARIABLES.items():
        if variable in request.environment:
            raise FleetError(
                f"environment sets {variable}, which everybody who may inspect the container could read. "
                f"Use {option}: it travels in a file of mode 0600."
            )
    clashes = [
        f"{name} (set by {option})" for name, option in _MANAGED_VARIABLES.items() if name in request.environment
    ]
    if clashes:
        raise FleetError(
            f"environment repeats what other options set: {', '.join(clashes)}. "
            "Remove it from environment and use the option named."
        )


def parse_size(text: str) -> int:
    """Return the bytes of a size such as 16GiB, 512m or 1073741824.

    >>> parse_size("16GiB") == 16 * 2**30
    True
    """
    match = re.fullmatch(r"\s*(\d+)\s*([KMGT]?)(?:iB|B)?\s*", text, re.IGNORECASE)
    if match is None:
        raise FleetError(f"{text!r} is not a size. Wanted a number of bytes, or one with a unit, such as 16GiB.")
    return int(match.group(1)) * _UNITS[match.group(2).upper()]
