# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a user asks for to the container that serves it: engines meet containers here. All pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.addresses import LOOPBACK, url
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import (
    LABEL,
    LABEL_PREFIX,
    Observed,
    masked,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    ALL_GPUS,
    ContainerSpec,
    Gpus,
    Mount,
    Port,
    RestartPolicy,
    Ulimit,
)
from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES, engine
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import SECRETS_DIR, EngineSpec, Launch
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.models import model as known_model
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights

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


@dataclass(frozen=True)
class Deployment:
    """A request with everything derived: the container, and what it serves."""

    request: Request
    engine: ModuleType
    profile: str
    tensor_parallel_size: int
    container: ContainerSpec
    weights: Weights | None = None


def deployment(request: Request, found: Sequence[Mapping[str, Any]]) -> Deployment:
    """Derive the container of a request on a host with the GPUs *found* (``name``, ``memory_mib``).

    Raises :class:`FleetError` when the request cannot be met or contradicts itself.
    """
    _refuse_open_port(request)
    _refuse_environment(request)
    module = engine(request.engine)
    profile, size, gpus = _placement(request, found)
    model = known_model(request.model)
    launch = module.launch(
        EngineSpec(
            model=request.model,
            served_model_name=request.served_model_name,
            port=request.port,
            tensor_parallel_size=size,
            cache_dir=request.cache_dir,
            compile_cache_dir=request.compile_cache_dir,
            revision=request.revision,
            tool_call_parser=request.tool_call_parser or model.tool_call_parser,
            extra_args=tuple(request.extra_args),
            environment=request.environment,
            api_key=request.api_key,
            hf_token=request.hf_token,
            simulates=request.simulates,
        )
    )
    build = module.image_build()
    image = request.image or (build.reference if build else module.DEFAULT_IMAGE)
    container = ContainerSpec(
        name=request.container_name or container_name(request.served_model_name),
        image=image,
        command=launch.argv,
        environment=launch.environment,
        mounts=_mounts(launch, request.mounts),
        ports=(Port(request.port, request.bind_address, request.port),),
        gpus=gpus if launch.needs_gpus else None,
        ipc_mode=request.ipc_mode,
        restart_policy=RestartPolicy(request.restart_policy),
        labels=_labels(request, profile, size),
        ulimits=tuple(Ulimit(name, value, value) for name, value in sorted(request.ulimits.items())),
        memory_bytes=request.memory_bytes,
        nano_cpus=request.nano_cpus,
        cpuset_cpus=request.cpuset_cpus,
        secrets={item.name: item.content for item in launch.secrets},
        live_secrets=frozenset(item.name for item in launch.secrets if not item.restart),
        secrets_target=SECRETS_DIR,
        **({"shm_bytes": request.shm_bytes} if request.shm_bytes else {}),
    )
    return Deployment(request, module, profile, size, container, launch.weights)


def container_name(served_model_name: str) -> str:
    """Return a container's name for a served model name, which may have characters that a name may not."""
    return "".join(letter if letter.isalnum() or letter in "_.-" else "-" for letter in served_model_name)


def _on_loopback(request: Request) -> bool:
    return request.bind_address.startswith("127.") or request.bind_address == "::1"


def _refuse_open_port(request: Request) -> None:
    if _on_loopback(request) or request.api_key or request.exposed_without_key:
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


def _placement(request: Request, found: Sequence[Mapping[str, Any]]) -> tuple[str, int, Gpus | None]:
    """Return the profile, the tensor parallel size and the GPU request.

    What the user gives is taken as given. Otherwise the profile is what the GPUs are, and the size
    is what the model is known to need of them, or all of them.
    """
    profile = request.profile or profiles.profile(found)
    try:
        family, count = profiles.split(profile)
    except ValueError as error:
        if request.profile:
            raise FleetError(str(error)) from error
        raise FleetError(
            f"the host has GPUs of several kinds ({profile}). "
            "Say which the engine takes: gpus, and profile for their kind."
        ) from error
    if request.gpus:
        count = len(request.gpus)
    if profile == profiles.CPU:
        return profile, request.tensor_parallel_size or 1, None
    needed = known_model(request.model).gpus.get(family)
    size = request.tensor_parallel_size or (needed if needed and needed <= count else None)
    if size is None:
        if needed:
            raise FleetError(
                f"{request.model} needs {needed} GPUs of kind {family}, and the engine would have {count}. "
                "Take a host with more, or set tensor_parallel_size if you know that it fits."
            )
        size = count
    if size > count:
        raise FleetError(f"tensor_parallel_size is {size}, and the engine would have {count} GPUs ({profile}).")
    if request.gpus:
        # A part of a host's GPUs is a profile of its own.
        return request.profile or f"{family}x{count}", size, Gpus(device_ids=tuple(sorted(request.gpus)))
    if size == count:
        return profile, size, ALL_GPUS
    # The rest of the GPUs stays free for other engines.
    return f"{family}x{size}", size, Gpus(device_ids=tuple(str(index) for index in range(size)))


def _mounts(launch: Launch, extra: Sequence[Mapping[str, Any]]) -> tuple[Mount, ...]:
    mounts = [Mount(target=target, source=source) for target, source in launch.mounts.items()]
    mounts += [Mount(item["target"], item["source"], bool(item.get("read_only", True))) for item in extra]
    return tuple(sorted(mounts))


def _labels(request: Request, profile: str, size: int) -> dict[str, str]:
    facts: dict[str, Any] = {
        "model": request.model,
        "served-model-name": request.served_model_name,
        "profile": profile,
        "tensor-parallel-size": size,
        "url": url(request.bind_address, request.port),
        "simulates": json.dumps(request.simulates, sort_keys=True) if request.simulates else "",
    }
    return {LABEL: request.engine, **{f"{LABEL_PREFIX}{key}": str(value) for key, value in facts.items()}}


@dataclass(frozen=True)
class Endpoint:
    """Where a container serves, and what."""

    url: str
    served_model_name: str


def endpoint(container: Observed) -> Endpoint:
    """Return the endpoint of a container, from its labels."""
    return Endpoint(_label(container, "url"), _label(container, "served-model-name"))


def _gpu_names(gpus: Gpus | None) -> list[str]:
    """Return the GPUs of a container: their ids, C(all), or none. A number of GPUs has no names: C(2 of any)."""
    if gpus is None:
        return []
    return list(gpus.device_ids) or ["all" if gpus.count == -1 else f"{gpus.count} of any"]


def _label(container: Observed, name: str) -> str:
    return container.spec.labels.get(f"{LABEL_PREFIX}{name}", "")


def describe(container: Observed, digest: str | None, version: str | None) -> dict[str, Any]:
    """Return an engine as modules return it, from its container alone."""
    label = functools.partial(_label, container)
    name = container.spec.labels.get(LABEL)
    module = ENGINES.get(name or "")
    return {
        "name": container.name,
        "engine": name,
        "state": container.status,
        "model": label("model"),
        "served_model_name": label("served-model-name"),
        "profile": label("profile"),
        "tensor_parallel_size": int(label("tensor-parallel-size") or 0),
        "gpus": _gpu_names(container.spec.gpus),
        "simulated": bool(module and module.SIMULATED),
        "simulates": json.loads(label("simulates") or "null"),
        "url": label("url"),
        "bind_address": container.spec.ports[0].host_ip if container.spec.ports else None,
        "version": version,
        "container": {
            "id": container.id,
            "started_at": container.started_at,
            "created_at": container.created_at,
            "restart_count": container.restart_count,
        },
        "image": {"reference": container.spec.image, "id": container.image_id, "digest": digest},
        "argv": list(container.spec.command),
        "environment": masked(container.spec.environment),
    }
