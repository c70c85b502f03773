# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new engine takes of its host, asked of the host: its weights, and what would keep it from serving."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec
from ansible_collections.inference.fleet.plugins.module_utils.host import command, docker, gpu_health, gpus, system
from ansible_collections.inference.fleet.plugins.module_utils.serving import preflight
from ansible_collections.inference.fleet.plugins.module_utils.serving.deployment import Deployment
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache, files, hub, tool
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights


def has_weights(request: Request, weights: Weights) -> bool:
    """Tell whether the host has all of the weights."""
    return cache.cached(request.cache_dir, weights) is not None


def fetch_weights(
    request: Request,
    weights: Weights,
    timeout: float,
    max_rate: float,
    say: Callable[[str], None],
    stop: threading.Event,
) -> str | None:
    """Download the weights; return a warning where that is left to the engine."""
    try:
        hub.fetch(
            weights,
            request.cache_dir,
            token=request.hf_token,
            environment=request.environment,
            timeout=timeout,
            say=say,
            stop=stop,
            max_rate=max_rate,
        )
    except tool.ToolError as error:
        # The engine can do it too, only later: no reason to refuse a deployment.
        return f"{error} The engine downloads the weights at its start, while nothing serves."
    return None


def problems(
    docker_host: str,
    result: Deployment,
    image: Mapping[str, Any] | None,
    ours: Sequence[Observed],
    spared: frozenset[str],
    fetch_only: bool,
) -> list[str]:
    """Return what stands in the way of a deployment on this host: see :func:`.preflight.problems`."""
    found = _found(docker_host, result, image, ours, spared)
    return preflight.problems(result.container, result.placement.parallel, found, fetch_only)


def takes(docker_host: str, result: Deployment, image_here: bool) -> dict[str, Any]:
    """Return what an engine is on this host, and its image and weights: whether they are here, and else their GiB.

    A size is None where nothing tells it.
    """
    request, weights = result.request, result.weights
    disks = _disks(docker_host, request)
    image_gib = None if image_here or result.engine.image_build() else _image_gib(result)
    listed = [
        {
            "what": f"image {result.container.image}",
            "here": image_here or bool(result.engine.image_build()),
            "gib": image_gib,
            "disk": _plain(disks["image"]),
        }
    ]
    if weights:
        own = files.of_hub(request.cache_dir, weights, request.hf_token, request.environment)
        here = own.here is not None
        gib = own.listed.due_gib(request.cache_dir, weights) if own.listed else request.known.weights_gib
        revision = f" at {weights.revision}" if weights.revision else ""
        listed.append(
            {
                "what": f"the weights of {weights.model}{revision}",
                "here": here,
                "gib": None if here else gib,
                "disk": _plain(disks["weights"]),
            }
        )
    return {
        "engine": request.engine,
        "model": request.model,
        "profile": result.placement.profile,
        "simulates": dict(request.simulates) if request.simulates else None,
        "image": result.container.image,
        "fetch": listed,
    }


def _plain(disk: preflight.Disk) -> dict[str, Any]:
    return {"path": disk.path, "device": disk.device, "free_gib": disk.free_gib}


def _image_gib(result: Deployment) -> float | None:
    """Return the size of the engine's own image; of another one nothing is known."""
    repository = (result.engine.DEFAULT_IMAGE or "").rpartition(":")[0]
    return result.engine.IMAGE_GIB if result.container.image.rpartition(":")[0] == repository else None


def _disks(docker_host: str, request: Request) -> dict[str, preflight.Disk]:
    """Return the file systems that image and weights are, or will be, on."""
    root = docker.docker(docker_host)["root"] or docker.DEFAULT_ROOT
    return {
        place: preflight.Disk(path, os.stat(at).st_dev, shutil.disk_usage(at).free / 2**30)
        for place, path in (("image", root), ("weights", request.cache_dir))
        for at in [system.existing(Path(path))]
    }


def _found(
    docker_host: str,
    result: Deployment,
    image: Mapping[str, Any] | None,
    ours: Sequence[Observed],
    spared: frozenset[str],
) -> preflight.Found:
    request, weights = result.request, result.weights
    look = gpus.query(command.run).gpus if result.container.gpus else []
    own = (
        files.of_hub(request.cache_dir, weights, request.hf_token, request.environment)
        if weights
        else files.of_directory(_on_host(request.model, result.container))
    )
    config = own.config() if look else None
    return preflight.Found(
        gpus=gpu_health.with_health(look, gpu_health.parse(command.run(gpu_health.QUERY)[1]), gpu_health.kernel_log())
        if look
        else [],
        cuda_version=gpus.cuda_version(command.run) if look else None,
        listeners=frozenset((item["address"], item["port"]) for item in system.listeners()),
        own=frozenset(container.id for container in ours),
        own_ports=frozenset(
            port.host_port
            for container in ours
            if container.running and container.id in spared
            for port in container.spec.ports
        ),
        others={
            container.name: container.spec.gpus
            for container in ours
            if container.running and container.id not in spared and container.spec.gpus
        },
        image=image,
        image_gib=_image_gib(result),
        weights_gib=own.gib or request.known.weights_gib,
        weights_due_gib=own.listed.due_gib(request.cache_dir, weights) if own.listed and weights else None,
        weights_here=own.here is not None,
        misfit=_misfit(result, look, config) if look else None,
        config=config,
        smaller=_smaller(result, look),
        context_flag=result.engine.CONTEXT_FLAG,
        disks=_disks(docker_host, request),
    )


def _on_host(path: str, container: ContainerSpec) -> Path:
    """Return where a path in the container is on the host; as it is, where no mount has it."""
    mounts = [mount for mount in container.mounts if PurePosixPath(path).is_relative_to(mount.target)]
    if not mounts:
        return Path(path)
    nearest = max(mounts, key=lambda mount: len(mount.target))
    return Path(nearest.source) / PurePosixPath(path).relative_to(nearest.target)


def _smaller(result: Deployment, look: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the model's other precisions that the GPUs of the engine would hold."""
    family = profiles.split(result.placement.profile)[0]
    sizes = [gpu["memory_mib"] for gpu in look if gpu["memory_mib"]]
    asked = result.request
    return asked.known.smaller(asked.engine, family, min(sizes), result.placement.within or len(look)) if sizes else []


def _misfit(result: Deployment, look: Sequence[Mapping[str, Any]], config: Mapping[str, Any] | None) -> str | None:
    """Return why the model cannot be spread over the host's GPUs as it is to be."""
    asked, spread = result.request, result.placement.parallel
    most = result.placement.within or len(look)
    found = result.engine.misfit(config, spread, most) if config else None
    if found:
        return found
    family = profiles.split(result.placement.profile)[0]
    sizes = {
        "tensor_parallel_size": spread.tensor,
        "pipeline_parallel_size": spread.pipeline,
        "data_parallel_size": spread.data,
        "expert_parallel": spread.experts,
    }
    why = asked.known.fails(asked.engine, family, sizes)
    return f"parallel sizes: {spread} is known to fail: {why}. Set others." if why else None
