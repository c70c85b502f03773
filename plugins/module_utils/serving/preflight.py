# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would keep an engine from serving on a host, found before anything is stopped or downloaded. All pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.addresses import EVERY
from ansible_collections.inference.fleet.plugins.module_utils.containers.cards import chosen, meet
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec, Gpus
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import Parallel
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import value
from ansible_collections.inference.fleet.plugins.module_utils.host.gpu_health import troubles
from ansible_collections.inference.fleet.plugins.module_utils.host.requirements import requirements, satisfied
from ansible_collections.inference.fleet.plugins.module_utils.models import memory

# What is not known of the room that an engine takes beside its weights, in GiB.
_DOUBT_GIB = 1.0
_SHARE_OPTIONS = ("--gpu-memory-utilization", "--mem-fraction-static")
# Weights are then not as large on the GPUs as their files.
_OTHERWISE = ("--quantization", "-q", "--cpu-offload-gb")
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
    ``misfit`` says why the model cannot be spread as it is to be.
    ``config`` is the model's config.json; ``smaller`` are names of its precisions that these GPUs would hold.
    ``context_flag`` sets the longest request, for which the engine has to have room; ``None`` where it makes do.
    ``weights_gib`` is ``None`` where the size is not known, and ``weights_due_gib``, which is what the host has not of
    them yet, where the hub did not tell.
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
    weights_due_gib: float | None = None
    weights_here: bool = False
    misfit: str | None = None
    config: Mapping[str, Any] | None = None
    smaller: Sequence[str] = ()
    context_flag: str | None = None
    disks: Mapping[str, Disk] = field(default_factory=dict)


def problems(container: ContainerSpec, spread: Parallel, found: Found, fetch_only: bool = False) -> list[str]:
    """Return what stands in the way of a container whose model is spread so: wanted, found, and what to do.

    *fetch_only*: only its image and weights are wanted.
    """
    listed = _disk(found)
    if fetch_only:
        return listed
    listed += [found.misfit] if found.misfit else []
    listed += _ports(container, found)
    if container.gpus is None or not found.gpus:
        return listed
    mine = chosen(container.gpus, found.gpus)
    return [
        *_missing_gpus(container.gpus, mine),
        *_sick(mine),
        *_divided(container.gpus, mine),
        *_memory(container.command, spread, mine, found),
        *_strangers(mine, found.own),
        *_shared(mine, found),
        *_driver(container.environment, mine, found),
        *listed,
    ]


def _missing_gpus(request: Gpus, mine: Sequence[Mapping[str, Any]]) -> list[str]:
    missing = [item for item in request.device_ids if not any(item in (str(gpu["index"]), gpu["uuid"]) for gpu in mine)]
    parts = [gpu for gpu in mine if "parent" in gpu]
    if not missing and len(parts) > 1:
        return [
            f"GPUs: wanted {len(parts)} parts of GPUs that MIG divides, found that CUDA shows a process no more than "
            "one. Give each engine one of them."
        ]
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


def _divided(request: Gpus, mine: Iterable[Mapping[str, Any]]) -> list[str]:
    listed = []
    for gpu in mine:
        if gpu.get("mig_mode") != "Enabled" or "parent" in gpu:
            continue
        parts = ", ".join(part["uuid"] for part in gpu.get("mig_devices") or ())
        one = f"give the engine one of its parts with gpus ({parts}), or " if parts else ""
        listed.append(
            f"GPU {gpu['index']}: wanted a whole GPU, found one that MIG divides. Make it whole "
            f"(nvidia-smi -i {gpu['index']} -mig 0), {one}{'' if one else 'or '}give the engine others with gpus."
        )
    return listed


def _memory(command: Sequence[str], spread: Parallel, mine: Sequence[Mapping[str, Any]], found: Found) -> list[str]:
    weights = found.weights_gib
    sizes = [gpu["memory_mib"] / 1024 for gpu in mine if gpu["memory_mib"]]
    options = {word.partition("=")[0] for word in command}
    # The GPUs that hold the weights together: of one copy, or of all where each has experts of its own.
    size = spread.gpus if spread.experts else spread.copy
    if weights is None or spread.nodes > 1 or len(sizes) < size or options & set(_OTHERWISE):
        return []
    share = _share(command)
    each = min(sizes)
    room = memory.for_weights(each, size, share)
    if weights <= room:
        return _context(command, spread, each, share, found)
    count = memory.needed(weights, each, share)
    others = f"{count} GPUs of this kind hold it" if count else "No host's GPUs of this kind hold it"
    if count and count > len(found.gpus) > 0:
        others += f", which are {math.ceil(count / len(found.gpus))} hosts like this one"
    smaller = f" {' or '.join(found.smaller)} fits here: set model to it." if found.smaller else ""
    return [
        f"memory: wanted room for {weights:.0f} GiB of weights and some KV cache, found {size} GPUs of {each:.0f} GiB, "
        f"of which the engine takes {share:.0%}: about {max(room, 0):.0f} GiB for weights. {others}. "
        f"Take more GPUs, larger ones, or a quantised model.{smaller}"
    ]


def _context(command: Sequence[str], spread: Parallel, each: float, share: float, found: Found) -> list[str]:
    """Return why one request of the longest context has no room, where that is beyond doubt."""
    flag = found.context_flag
    if not (flag and found.config and found.weights_gib):
        return []
    asked = value(command, flag)
    length = tokens(asked) if asked else None
    if asked and not length:
        # The engine chooses one that fits.
        return []
    copies = spread.data if spread.experts else 1
    fit = memory.fit(
        found.config,
        found.weights_gib / copies,
        each,
        spread.tensor,
        spread.pipeline,
        share,
        length,
        value(command, "--kv-cache-dtype") or "auto",
    )
    if fit.request_gib is None or fit.request_gib <= max(fit.cache_gib, 0) + _DOUBT_GIB:
        return []
    return [
        f"context: wanted room for a request of {fit.context:,} tokens, which is {fit.request_gib:.1f} GiB of KV cache "
        f"on each GPU, found about {max(fit.cache_gib, 0):.1f} GiB beside the weights ({each:.0f} GiB x {share:.0%} - "
        f"{memory.WORKING_GIB:.0f} GiB - {found.weights_gib / copies / (spread.tensor * spread.pipeline):.1f} GiB). "
        + (
            f"The longest that fits is about {fit.longest:,}: add {flag} {fit.longest} to extra_args. "
            if fit.longest
            else ""
        )
        + "Or take more GPUs, larger ones, or a KV cache of fewer bits (--kv-cache-dtype fp8)."
    ]


def tokens(text: str) -> int | None:
    """Return a number of tokens as vLLM reads it; ``None`` for one that it derives itself.

    >>> tokens("32768"), tokens("32k"), tokens("32K"), tokens("auto"), tokens("-1")
    (32768, 32000, 32768, None, None)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", text)
    if match is None:
        return None
    return int(float(match.group(1)) * {"": 1, "k": 1000, "K": 2**10, "m": 10**6, "M": 2**20}[match.group(2)])


def _share(command: Sequence[str]) -> float:
    for index, word in enumerate(command):
        option, _sign, value = word.partition("=")
        if option in _SHARE_OPTIONS:
            try:
                return float(value or command[index + 1])
            except (ValueError, IndexError):
                break
    return memory.SHARE


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
        theirs = chosen(request, found.gpus)
        both = [str(gpu["index"]) for gpu in mine if any(meet(gpu, their) for their in theirs)]
        if both:
            listed.append(
                f"GPU {', '.join(both)}: wanted for this engine alone, found that {name} has it. "
                "Give each its own with gpus."
            )
    return listed


def _driver(environment: Mapping[str, str], mine: Sequence[Mapping[str, Any]], found: Found) -> list[str]:
    driver = next((gpu.get("driver_version") for gpu in found.gpus), None)
    brand = next((gpu.get("brand") for gpu in mine), None)
    unmet = [
        text
        for text in requirements(found.image, environment)
        if not satisfied(text, found.cuda_version, driver, brand)
    ]
    return [
        f"driver: the image wants {text.split()[0]}"
        f"{', or a driver that it names for some kinds of GPU' if len(text.split()) > 1 else ''}, "
        f"found driver {driver} with CUDA {found.cuda_version}{f' and a GPU of brand {brand}' if brand else ''}. "
        "Upgrade the driver, or choose an older image; or, if you know that it runs, set NVIDIA_DISABLE_REQUIRE: 1 in "
        "environment."
        for text in unmet
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
    due = found.weights_gib if found.weights_due_gib is None else found.weights_due_gib
    wanted = (
        ("the image", "image", found.image_gib if found.image is None else None),
        ("the weights", "weights", None if found.weights_here else due),
    )
    for what, place, gib in wanted:
        if gib and place in found.disks:
            disk = found.disks[place]
            needs.setdefault(disk.device, []).append((what, gib, disk))
    listed = []
    for items in needs.values():
        total, disk = sum(gib for _what, gib, _disk in items), items[0][2]
        if total > disk.free_gib:
            parts = " and ".join(f"{_told(gib)} for {what} in {place.path}" for what, gib, place in items)
            listed.append(f"disk: wanted {parts}, found {_told(disk.free_gib)} free there. Make room, or use another.")
    return listed


def _told(gib: float) -> str:
    return f"{gib:.0f} GiB" if gib >= 1 else f"{gib * 1024:.0f} MiB"
