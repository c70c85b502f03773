# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would keep an engine from serving on a host, found before anything is stopped or downloaded. All pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.addresses import EVERY
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec, Gpus
from ansible_collections.inference.fleet.plugins.module_utils.host.gpu_health import troubles

# What vLLM takes of a GPU's memory by default; SGLang takes about as much.
_MEMORY_SHARE = 0.9
_SHARE_OPTIONS = ("--gpu-memory-utilization", "--mem-fraction-static")
# For activations and CUDA graphs on each GPU, in GiB, and the least share for KV cache.
_WORKING_GIB = 2.0
_KV_SHARE = 0.05
# Weights are then not spread as the tensor parallel size says, or not as large as their files.
_OTHERWISE = ("--quantization", "-q", "--cpu-offload-gb", "--pipeline-parallel-size", "-pp", "--pp-size")
# More than a driver keeps for itself, in MiB.
_IN_USE_MIB = 2048


@dataclass(frozen=True)
class Disk:
    """Free space in GiB of the file system that a directory is, or will be, on."""

    path: str
    device: int
    free_gib: float


@dataclass(frozen=True)
class Found:
    """What a host has for an engine.

    ``gpus`` are those of host_info, with their health; ``listeners`` (address, port) pairs; ``own`` the ids of the
    collection's containers; ``own_ports`` those that the engine to be replaced has; ``others`` the GPUs that each other
    engine of the collection has. ``image`` is what Docker tells of the image, ``None`` where it is not there.
    ``weights_gib`` is ``None`` where the size is not known.
    """

    gpus: Sequence[Mapping[str, Any]] = ()
    cuda_version: str | None = None
    listeners: frozenset[tuple[str, int]] = frozenset()
    own: frozenset[str] = frozenset()
    own_ports: frozenset[int] = frozenset()
    others: Mapping[str, Gpus] = field(default_factory=dict)
    image: Mapping[str, Any] | None = None
    image_gib: float | None = None
    weights_gib: float | None = None
    weights_here: bool = False
    disks: Mapping[str, Disk] = field(default_factory=dict)


def problems(container: ContainerSpec, size: int, found: Found, fetch_only: bool = False) -> list[str]:
    """Return what stands in the way of a container with a tensor parallel size: wanted, found, and what to do.

    *fetch_only*: only its image and weights are wanted.
    """
    listed = _disk(found)
    if fetch_only:
        return listed
    listed += _ports(container, found)
    if container.gpus is None or not found.gpus:
        return listed
    mine = chosen(container.gpus, found.gpus)
    return [
        *_missing_gpus(container.gpus, mine),
        *_sick(mine),
        *_divided(mine),
        *_memory(container.command, size, mine, found.weights_gib),
        *_strangers(mine, found.own),
        *_shared(mine, found),
        *_driver(found),
        *listed,
    ]


def chosen(request: Gpus, gpus: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the GPUs that a request means, by index or UUID; a number of GPUs means the first."""
    if request.device_ids:
        return [gpu for gpu in gpus if {str(gpu["index"]), gpu["uuid"]} & set(request.device_ids)]
    return list(gpus if request.count == -1 else gpus[: request.count])


def required_cuda(image: Mapping[str, Any] | None) -> str | None:
    """Return what an image says of CUDA and drivers, in NVIDIA's words, as C(cuda>=12.8 brand=tesla,driver>=535)."""
    environment = ((image or {}).get("Config") or {}).get("Env") or ()
    return next((item.partition("=")[2] for item in environment if item.startswith("NVIDIA_REQUIRE_CUDA=")), None)


def satisfied(requirement: str, cuda: str | None, driver: str | None) -> bool:
    """Tell whether a driver meets an image's requirement: one of its words, each of whose parts holds.

    Parts that are about neither are taken as met. Source: the NVIDIA container toolkit's documentation.

    >>> satisfied("cuda>=12.8 brand=tesla,driver>=535,driver<536", "12.2", "535.183.01")
    True
    """
    facts = {"cuda": cuda, "driver": driver}
    return not requirement.split() or any(
        all(_holds(part, facts) for part in word.split(",")) for word in requirement.split()
    )


def _holds(part: str, facts: Mapping[str, str | None]) -> bool:
    match = re.fullmatch(r"(cuda|driver)(>=|<=|!=|=|<|>)([0-9.]+)", part)
    if match is None:
        return True
    name, operator, wanted = match.groups()
    found = facts[name]
    if found is None:
        return True
    # 535 means the whole branch: no more numbers are compared than are wanted.
    theirs = _numbers(wanted)
    ours = _numbers(found)[: len(theirs)]
    return {
        ">=": ours >= theirs,
        "<=": ours <= theirs,
        ">": ours > theirs,
        "<": ours < theirs,
        "=": ours == theirs,
        "!=": ours != theirs,
    }[operator]


def _missing_gpus(request: Gpus, mine: Sequence[Mapping[str, Any]]) -> list[str]:
    missing = [item for item in request.device_ids if not any(item in (str(gpu["index"]), gpu["uuid"]) for gpu in mine)]
    if not missing:
        return []
    return [f"GPUs: wanted {', '.join(request.device_ids)}, found none called {', '.join(missing)}. See nvidia-smi -L."]


def _sick(mine: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        f"GPU {gpu['index']}: wanted a GPU that is well, found: {', '.join(troubles(gpu))}. "
        f"Reset it (nvidia-smi --gpu-reset -i {gpu['index']}), or reboot; or give the engine others with gpus."
        for gpu in mine
        if troubles(gpu)
    ]


def _divided(mine: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        f"GPU {gpu['index']}: wanted a whole GPU, found one that MIG divides. Make it whole "
        f"(nvidia-smi -i {gpu['index']} -mig 0), or give the engine others with gpus."
        for gpu in mine
        if gpu.get("mig_mode") == "Enabled"
    ]


def _memory(command: Sequence[str], size: int, mine: Sequence[Mapping[str, Any]], weights: float | None) -> list[str]:
    sizes = [gpu["memory_mib"] / 1024 for gpu in mine if gpu["memory_mib"]]
    options = {word.partition("=")[0] for word in command}
    if weights is None or len(sizes) < size or not size or options & set(_OTHERWISE):
        return []
    share = _share(command)
    each = min(sizes)
    room = size * (each * share * (1 - _KV_SHARE) - _WORKING_GIB)
    if weights <= room:
        return []
    return [
        f"memory: wanted room for {weights:.0f} GiB of weights and some KV cache, found {size} GPUs of {each:.0f} GiB, "
        f"of which the engine takes {share:.0%}: about {max(room, 0):.0f} GiB for weights. Take more GPUs, "
        "larger ones, or a quantised model."
    ]


def _share(command: Sequence[str]) -> float:
    for index, word in enumerate(command):
        option, _sign, value = word.partition("=")
        if option in _SHARE_OPTIONS:
            try:
                return float(value or command[index + 1])
            except (ValueError, IndexError):
                break
    return _MEMORY_SHARE


def _strangers(mine: Iterable[Mapping[str, Any]], own: frozenset[str]) -> list[str]:
    listed = []
    for gpu in mine:
        others = [item for item in gpu["processes"] if item["container"] not in own]
        if others:
            held = ", ".join(
                f"{item['name']} (process {item['pid']}"
                + (f", container {item['container'][:12]}" if item["container"] else "")
                + (f", {item['memory_mib']} MiB)" if item["memory_mib"] else ")")
                for item in others
            )
            listed.append(f"GPU {gpu['index']}: wanted it for the engine alone, found {held}. End it, or set gpus.")
        elif not gpu["processes"] and (gpu["memory_used_mib"] or 0) > _IN_USE_MIB:
            listed.append(
                f"GPU {gpu['index']}: wanted its memory for the engine, found {gpu['memory_used_mib']} MiB in use by "
                "nobody that nvidia-smi shows. Look for containers and defunct processes, or reset it."
            )
    return listed


def _shared(mine: Sequence[Mapping[str, Any]], found: Found) -> list[str]:
    """Return which GPUs another engine has, whether each was named by its index or by its UUID."""
    listed = []
    for name, request in found.others.items():
        theirs = {gpu["uuid"] for gpu in chosen(request, found.gpus)}
        both = [str(gpu["index"]) for gpu in mine if gpu["uuid"] in theirs]
        if both:
            listed.append(
                f"GPU {', '.join(both)}: wanted for this engine alone, found that {name} has it. "
                "Give each its own with gpus."
            )
    return listed


def _driver(found: Found) -> list[str]:
    requirement = required_cuda(found.image)
    driver = next((gpu.get("driver_version") for gpu in found.gpus), None)
    if requirement is None or satisfied(requirement, found.cuda_version, driver):
        return []
    return [
        f"driver: the image wants {requirement.split()[0]}, found driver {driver} with CUDA {found.cuda_version}. "
        "Upgrade the driver, or choose an older image."
    ]


def _ports(container: ContainerSpec, found: Found) -> list[str]:
    listed = []
    for port in container.ports:
        taken = any(
            number == port.host_port and (address == port.host_ip or address in EVERY or port.host_ip in EVERY)
            for address, number in found.listeners
        )
        if taken and port.host_port not in found.own_ports:
            listed.append(
                f"port: wanted {port.host_port} of {port.host_ip}, found that somebody listens there already. "
                f"Choose another port, or see who it is: ss -tlnp 'sport = :{port.host_port}'."
            )
    return listed


def _disk(found: Found) -> list[str]:
    needs: dict[int, list[tuple[str, float, Disk]]] = {}
    wanted = (
        ("the image", "image", found.image_gib if found.image is None else None),
        ("the weights", "weights", None if found.weights_here else found.weights_gib),
    )
    for what, place, gib in wanted:
        if gib and place in found.disks:
            disk = found.disks[place]
            needs.setdefault(disk.device, []).append((what, gib, disk))
    listed = []
    for items in needs.values():
        total, disk = sum(gib for _what, gib, _disk in items), items[0][2]
        if total > disk.free_gib:
            parts = " and ".join(f"{gib:.0f} GiB for {what} in {place.path}" for what, gib, place in items)
            listed.append(f"disk: wanted {parts}, found {disk.free_gib:.0f} GiB free there. Make room, or use another.")
    return listed


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
