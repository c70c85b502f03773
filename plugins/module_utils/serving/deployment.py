# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request at its place to the container that serves it: engines meet containers here. All pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.addresses import url
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import (
    LABEL,
    LABEL_PREFIX,
    Observed,
    masked,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import slot_of
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    ContainerSpec,
    Gpus,
    Mount,
    Port,
    RestartPolicy,
    Ulimit,
)
from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES, engine
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import SECRETS_DIR, EngineSpec, Launch
from ansible_collections.inference.fleet.plugins.module_utils.models import model as known_model
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import Placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request, container_name
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights


@dataclass(frozen=True)
class Deployment:
    """A request with everything derived: the container, and what it serves."""

    request: Request
    engine: ModuleType
    placement: Placement
    container: ContainerSpec
    weights: Weights | None = None


def deployment(request: Request, placement: Placement) -> Deployment:
    """Derive the container of a request at its place. Raises :class:`FleetError` when its arguments contradict it."""
    module = engine(request.engine)
    model = known_model(request.model)
    launch = module.launch(
        EngineSpec(
            model=request.model,
            served_model_name=request.served_model_name,
            port=request.port,
            tensor_parallel_size=placement.tensor_parallel_size,
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
        gpus=placement.gpus if launch.needs_gpus else None,
        ipc_mode=request.ipc_mode,
        restart_policy=RestartPolicy(request.restart_policy),
        labels=_labels(request, placement),
        ulimits=tuple(Ulimit(name, value, value) for name, value in sorted(request.ulimits.items())),
        memory_bytes=request.memory_bytes,
        nano_cpus=request.nano_cpus,
        cpuset_cpus=request.cpuset_cpus,
        secrets={item.name: item.content for item in launch.secrets},
        live_secrets=frozenset(item.name for item in launch.secrets if not item.restart),
        secrets_target=SECRETS_DIR,
        **({"shm_bytes": request.shm_bytes} if request.shm_bytes else {}),
    )
    return Deployment(request, module, placement, container, launch.weights)


def _mounts(launch: Launch, extra: Sequence[Mapping[str, Any]]) -> tuple[Mount, ...]:
    mounts = [Mount(target=target, source=source) for target, source in launch.mounts.items()]
    mounts += [Mount(item["target"], item["source"], bool(item.get("read_only", True))) for item in extra]
    return tuple(sorted(mounts))


def _labels(request: Request, placement: Placement) -> dict[str, str]:
    facts: dict[str, Any] = {
        "model": request.model,
        "served-model-name": request.served_model_name,
        "profile": placement.profile,
        "tensor-parallel-size": placement.tensor_parallel_size,
        "url": url(request.bind_address, request.port),
        "simulates": json.dumps(request.simulates, sort_keys=True) if request.simulates else "",
    }
    if request.task:
        facts["task"] = request.task
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
        "slot": slot_of(container.spec.labels, container.name),
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
