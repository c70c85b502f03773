# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user asks for: a module's options in the types of their fields, refused where they contradict themselves."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.addresses import LOOPBACK, is_loopback
from ansible_collections.inference.fleet.plugins.module_utils.containers import normal
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.client import NOT_TO_BE_SENT, can_be_sent
from ansible_collections.inference.fleet.plugins.module_utils.engines import engine
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import Group
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.cache_place import cache_place, expand_home
from ansible_collections.inference.fleet.plugins.module_utils.models.model import Model
from ansible_collections.inference.fleet.plugins.module_utils.serving import options

DEFAULT_SIMULATES = {"engine": "vllm", "profile": "h100x4"}
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
    pipeline_parallel_size: int | None = None
    data_parallel_size: int | None = None
    expert_parallel: bool | None = None
    gpus: Sequence[str] | None = None
    replicas: int = 1
    replica: int = 1
    # The hosts with which this one serves the model, where there are any.
    group: Group | None = None
    tool_call_parser: str | None = None
    reasoning_parser: str | None = None
    speculative_decoding: bool = False
    # What is known of the model.
    known: Model = field(default_factory=Model)
    task: str | None = None
    extra_args: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mapping[str, Any]] = ()
    networks: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    # Fields of the container that are as the user says.
    container: Mapping[str, Any] = field(default_factory=lambda: options.values(options.DEFAULTS, options.CONTAINER))
    served_model_aliases: Sequence[str] = ()
    trust_remote_code: bool | None = None
    api_key: str | None = field(default=None, repr=False)
    api_keys: Sequence[str] = field(default=(), repr=False)
    hf_token: str | None = field(default=None, repr=False)
    simulates: Mapping[str, str] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that lets its client in; the first is ours too."""
        first = (self.api_key,) if self.api_key else ()
        return tuple(dict.fromkeys((*first, *filter(None, self.api_keys))))

    @property
    def follows(self) -> bool:
        """Whether another host of its group answers requests."""
        return self.group is not None and self.group.follows

    def __post_init__(self) -> None:
        """Raise :class:`FleetError` where it contradicts itself, or would be unsafe."""
        _refuse_open_port(self)
        _refuse_keys(self)
        _refuse_environment(self)
        _refuse_group(self)


def request(params: Mapping[str, Any]) -> Request:
    """Return what the options of the module engine ask for, on this host."""
    given = options.values(params, options.REQUEST)
    simulated = engine(given["engine"]).SIMULATED
    given["simulates"] = given.get("simulates", DEFAULT_SIMULATES) if simulated else None
    given["cache_dir"] = cache_place(given["cache_dir"])
    given["bind_address"] = _address(params["bind_address"])
    if "compile_cache_dir" in given:
        given["compile_cache_dir"] = expand_home(given["compile_cache_dir"])
    if "group" in given:
        from ansible_collections.inference.fleet.plugins.module_utils.serving import groups

        given["group"] = groups.group(given["group"], params["docker_host"])
    return Request(**given, container=options.values(params, options.CONTAINER))


def _address(text: str) -> str:
    address = normal.address(text)
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise FleetError(
            f"bind_address: wanted an address of the host in figures, such as 127.0.0.1 or 0.0.0.0, found {text!r}."
        ) from None
    return address


def container_name(served_model_name: str, replica: int = 1) -> str:
    """Return a container's name for a served model name, which may have characters that a name may not.

    >>> container_name("org/small"), container_name("org/small", 2)
    ('org-small', 'org-small-2')
    """
    name = "".join(letter if letter.isalnum() or letter in "_.-" else "-" for letter in served_model_name)
    return f"{name}-{replica}" if replica > 1 else name


def _refuse_open_port(request: Request) -> None:
    if is_loopback(request.bind_address) or request.keys or request.exposed_without_key:
        return
    raise FleetError(
        f"bind_address {request.bind_address} opens port {request.port} to the network without an API key. "
        "Set api_key; or keep 127.0.0.1 and use an SSH tunnel; or, if everybody may use it, set exposed_without_key."
    )


def _refuse_keys(request: Request) -> None:
    """Refuse a key that no client can send, and that the file of keys, which has one a line, cannot hold."""
    if request.api_keys and not request.api_key:
        raise FleetError("api_keys are keys beside api_key, which is not set. Set it to the one that is to stay.")
    for option, keys in (("api_key", request.keys[:1]), ("api_keys", request.keys[1:])):
        if not all(map(can_be_sent, keys)):
            raise FleetError(f"{option} {NOT_TO_BE_SENT}")


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


def _refuse_group(request: Request) -> None:
    """Refuse what an engine of several hosts cannot have."""
    if request.group is None:
        return
    if request.networks:
        raise FleetError(
            f"networks: {', '.join(request.networks)}: an engine of several hosts is on its host's own network alone. "
            "Leave networks out."
        )
    if request.data_parallel_size not in (None, 1):
        raise FleetError(
            f"data_parallel_size: wanted 1, found {request.data_parallel_size}: a group holds one copy of the model. "
            "Leave it out, and have more groups."
        )
