# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request at its place to the container that serves it: engines meet containers here. All pure."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.addresses import ALL_INTERFACES, LOOPBACK, url
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import (
    LABEL,
    LABEL_NETWORKS,
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
)
from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES, engine
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import SECRETS_DIR, EngineSpec, Launch
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import refuse_repeated, words
from ansible_collections.inference.fleet.plugins.module_utils.models.model import is_older
from ansible_collections.inference.fleet.plugins.module_utils.serving.placement import Placement
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request, container_name
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights

# Of both engines.
_REASONING = "--reasoning-parser"
NO_PARSER = "none"
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Deployment(NamedTuple):
    """A request with everything derived: the container, and what it serves."""

    request: Request
    engine: ModuleType
    placement: Placement
    container: ContainerSpec
    weights: Weights | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its user should know before it is made."""
        asked = self.request
        if self.engine.SIMULATED:
            return ()
        told = [caution for rule in _speculative(asked) for caution in rule.get("cautions", ())]
        warnings = [f"speculative_decoding: {text}." for text in told]
        if _trusts(asked) and self.weights is not None and not _COMMIT.fullmatch(asked.revision or ""):
            warnings.append(
                f"trust_remote_code is on, and revision is not a commit: at its start the engine runs whatever code "
                f"{asked.model} then has on the hub. Pin revision, or set trust_remote_code to false."
            )
        family = profiles.split(self.placement.profile)[0]
        if asked.replicas > 1 and asked.replica == 1 and family == profiles.CPU:
            warnings.append(
                f"replicas: found no GPU to divide: {asked.replicas} engines share the host's CPUs and its memory, "
                "each as if it were alone. Limit what each takes with cpus, memory and the engine's own variables."
            )
        if not asked.known.made_for(family):
            kinds = ", ".join(asked.known.gpus)
            warnings.append(
                f"{asked.model} is in {asked.known.precision}, which is for {kinds}, and the GPUs are {family}."
            )
        oldest, tag = asked.known.oldest(asked.engine), self.container.image.partition("@")[0].rpartition(":")[2]
        if oldest and is_older(tag, oldest):
            warnings.append(
                f"{asked.model} is known to be served by {asked.engine} {oldest} and newer, and the image is {tag}."
            )
        return tuple(warnings)


def deployment(request: Request, placement: Placement) -> Deployment:
    """Derive the container of a request at its place. Raises :class:`FleetError` when its arguments contradict it."""
    module = engine(request.engine)
    family = profiles.split(placement.profile)[0]
    known = {} if module.SIMULATED else request.known.environment(request.engine, family)
    fields, listens = request.container, ALL_INTERFACES
    if request.group:
        from ansible_collections.inference.fleet.plugins.module_utils.serving import groups

        # Its network is the host's own.
        fields = groups.container(request.group, fields)
        listens = LOOPBACK if request.follows else request.bind_address
    launch = module.launch(
        EngineSpec(
            model=request.model,
            served_model_name=request.served_model_name,
            port=request.port,
            tensor_parallel_size=placement.tensor_parallel_size,
            cache_dir=request.cache_dir,
            compile_cache_dir=request.compile_cache_dir,
            revision=request.revision,
            tool_call_parser=_parser(request, "tool_call_parser"),
            extra_args=_arguments(request, placement, family),
            environment={**known, **request.environment},
            served_model_aliases=tuple(request.served_model_aliases),
            trust_remote_code=_trusts(request),
            api_keys=() if request.follows else request.keys,
            hf_token=request.hf_token,
            simulates=request.simulates,
            listens=listens,
            group=request.group,
        )
    )
    build = module.image_build()
    image = request.image or (build.reference if build else module.DEFAULT_IMAGE)
    container = ContainerSpec(
        name=request.container_name or container_name(request.served_model_name, request.replica),
        image=image,
        command=launch.argv,
        earlier_commands=launch.earlier,
        environment=launch.environment,
        mounts=_mounts(launch, request.mounts),
        ports=() if request.follows else (Port(request.port, request.bind_address, request.port),),
        gpus=placement.gpus if launch.needs_gpus else None,
        labels=_labels(request, placement),
        secrets={item.name: item.content for item in launch.secrets},
        live_secrets=frozenset(item.name for item in launch.secrets if not item.restart),
        secrets_target=SECRETS_DIR,
        secret_versions={item.name: item.version for item in launch.secrets if item.version is not None},
        **fields,
    )
    return Deployment(request, module, placement, container, launch.weights)


def _trusts(request: Request) -> bool | None:
    """Tell whether the engine runs code of the model's repository: as the user says, else as the model's page does."""
    if request.trust_remote_code is None:
        return request.known.trust_remote_code or None
    return request.trust_remote_code


def _parser(request: Request, kind: str) -> str | None:
    """Return a parser as the user says, else as it is known of the model."""
    named = getattr(request, kind) or request.known.parser(request.engine, kind)
    return None if named == NO_PARSER else named


def _speculative(request: Request) -> list[Mapping[str, Any]]:
    """Return what speeds a model up with an engine, where the user asks for it."""
    if not request.speculative_decoding:
        return []
    return [rule for rule in request.known.speculative_decoding if rule["engine"] == request.engine]


def _arguments(request: Request, placement: Placement, family: str) -> tuple[str, ...]:
    """Return the arguments beside those that options set.

    They spread the model, are known of it for its engine and GPUs, or are the user's own, which override the others.
    """
    if engine(request.engine).SIMULATED:
        return tuple(request.extra_args)
    if request.reasoning_parser:
        refuse_repeated(request.extra_args, {_REASONING: "reasoning_parser"})
    reasoning = _parser(request, "reasoning_parser")
    known = {_REASONING: reasoning} if reasoning else {}
    known |= request.known.arguments(request.engine, family)
    rules = _speculative(request)
    if request.speculative_decoding and not rules:
        raise FleetError(
            f"speculative_decoding: the catalogue has none for {request.model} with {request.engine}. Leave it out, or "
            "give the engine's own arguments in extra_args."
        )
    for rule in rules:
        known |= rule["arguments"]
    return (*placement.arguments, *words(known, request.extra_args), *request.extra_args)


def _mounts(launch: Launch, extra: Sequence[Mapping[str, Any]]) -> tuple[Mount, ...]:
    mounts = [Mount(target=target, source=source) for target, source in launch.mounts.items()]
    mounts += [Mount(item["target"], item["source"], bool(item.get("read_only", True))) for item in extra]
    return tuple(mounts)


def _labels(request: Request, placement: Placement) -> dict[str, str]:
    facts: dict[str, Any] = {
        "model": request.model,
        "served-model-name": request.served_model_name,
        "profile": placement.profile,
        "tensor-parallel-size": placement.tensor_parallel_size,
        "url": "" if request.follows else url(request.bind_address, request.port),
        "simulates": json.dumps(request.simulates, sort_keys=True) if request.simulates else "",
    }
    if request.task:
        facts["task"] = request.task
    if request.group:
        facts["group"] = json.dumps({"rank": request.group.rank, "names": request.group.names})
    ours = [name for name in request.labels if name.startswith(LABEL_PREFIX)]
    if ours:
        raise FleetError(f"labels: {', '.join(ours)}: what begins with {LABEL_PREFIX} is the collection's own.")
    networks = {LABEL_NETWORKS: ",".join(request.networks)}
    labels = {f"{LABEL_PREFIX}{key}": str(value) for key, value in facts.items()}
    return {LABEL: request.engine, **labels, **networks, **request.labels}


def group_of(container: Observed) -> dict[str, Any]:
    """Return a container's place among those of several hosts: its C(rank), the C(names) of all; nothing where alone.

    The head, which alone answers requests, has rank 0.
    """
    return json.loads(_label(container, "group") or "{}")


class Endpoint(NamedTuple):
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
        "task": label("task"),
        "profile": label("profile"),
        "tensor_parallel_size": int(label("tensor-parallel-size") or 0),
        "gpus": _gpu_names(container.spec.gpus),
        "group": group_of(container),
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
