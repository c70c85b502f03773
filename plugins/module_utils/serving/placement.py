# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which GPUs an engine takes: a hardware shape, and how many of them hold one copy of the model."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ALL_GPUS, Gpus
from ansible_collections.inference.fleet.plugins.module_utils.engines import ENGINES, engine
from ansible_collections.inference.fleet.plugins.module_utils.engines.spec import Parallel
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.extra_args import refuse_repeated
from ansible_collections.inference.fleet.plugins.module_utils.models import model as models
from ansible_collections.inference.fleet.plugins.module_utils.serving import shares
from ansible_collections.inference.fleet.plugins.module_utils.serving.request import Request

if TYPE_CHECKING:
    from ansible_collections.inference.fleet.plugins.module_utils.host import gpus


class Placement(NamedTuple):
    """A profile, how the model is spread, and the GPUs to ask for; none on a CPU.

    ``arguments`` have the engine spread it so, beside its tensor parallel size and the user's own arguments. ``within``
    is the number of GPUs that it could have; 0 where that is all of the host's.
    """

    profile: str
    parallel: Parallel
    gpus: Gpus | None
    arguments: tuple[str, ...] = ()
    within: int = 0

    @property
    def tensor_parallel_size(self) -> int:
        """The number of GPUs among which each layer is divided."""
        return self.parallel.tensor


def placement(request: Request, found: Sequence[Mapping[str, Any]], near: shares.Near = shares.nowhere) -> Placement:
    """Return where a request is placed on a host with the GPUs *found* (``name``, ``memory_mib``). Pure.

    What the user gives is taken as given. Otherwise the profile is what the GPUs are, and the size is what the model is
    known to need of them, or all of them. Raises :class:`FleetError` where it does not fit.
    """
    profile = request.profile or _profile(request, found)
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
    share = _share(request, family, count, found, near) if count and request.replicas > 1 else ()
    count = len(share) or count
    sizes = _sizes(request)
    if request.group and not sizes and not _spread(request, sizes).pipeline > 1:
        # What the hosts say to each other least: a part of the layers each.
        sizes = {"pipeline_parallel_size": len(request.group.addresses)}
    if request.tensor_parallel_size is None and profile != profiles.CPU:
        sizes = _derived(request, sizes, family, count, found)
    arguments = tuple(engine(request.engine).spread(sizes))
    spread = _spread(request, sizes)
    _refuse_uneven(spread)
    if profile == profiles.CPU:
        return Placement(profile, spread, None, arguments)
    if spread.gpus > count:
        raise FleetError(
            f"the engine would take {spread.gpus} GPUs ({spread}), and it would have {count} ({profile}"
            f"{_divided(request)}). "
            f"{_fewer(request, count, spread.gpus)}Set smaller sizes, or give it more GPUs."
        )
    if share:
        # The rest of its share stays free, as the rest of a host does.
        own = Gpus(device_ids=share[: spread.gpus])
        return Placement(f"{family}x{spread.gpus}", spread, own, arguments, len(share))
    if request.gpus:
        # A part of a host's GPUs is a profile of its own.
        named = Gpus(device_ids=tuple(sorted(request.gpus)))
        return Placement(request.profile or f"{family}x{count}", spread, named, arguments, count)
    if spread.gpus == count and len(found) <= count:
        return Placement(profile, spread, ALL_GPUS, arguments)
    # The rest of the GPUs stays free for other engines.
    first = Gpus(device_ids=_first(spread.gpus, family, found))
    return Placement(f"{family}x{spread.gpus}", spread, first, arguments)


def _share(
    request: Request, family: str, count: int, found: Sequence[Mapping[str, Any]], near: shares.Near
) -> tuple[str, ...]:
    """Return the GPUs of a replica: its share of those that are named, or of the host's."""
    names = tuple(request.gpus or _first(count, family, found))
    indices = {str(gpu[name]): int(gpu["index"]) for gpu in found for name in ("index", "uuid") if name in gpu}
    # GPUs that no look has found are divided in their order.
    return shares.shares(names, request.replicas, near if found else shares.nowhere, indices)[request.replica - 1]


def _divided(request: Request) -> str:
    return f", as one of {request.replicas} replicas" if request.replicas > 1 else ""


def _fewer(request: Request, share: int, takes: int) -> str:
    """Tell how many replicas there is room for, where these are too many."""
    every = share * request.replicas
    if request.replicas == 1 or takes > every:
        return ""
    return f"All {every} hold {every // takes} of it: set replicas to that. "


def _sizes(request: Request) -> dict[str, Any]:
    """Return the parallel sizes that options give. FleetError where an argument gives one of them too."""
    names = (*models.SIZES, models.EXPERTS)
    given = {name: value for name in names for value in [getattr(request, name)] if value is not None}
    flags = engine(request.engine).SPREAD_FLAGS
    refuse_repeated(request.extra_args, {flag: option for flag, option in flags.items() if option in given})
    wrong = [name for name in models.SIZES if given.get(name, 1) < 1]
    if wrong:
        raise FleetError(f"{wrong[0]}: wanted a whole number of at least 1, found {given[wrong[0]]}.")
    return given


def _spread(request: Request, sizes: Mapping[str, Any]) -> Parallel:
    """Return how an engine spreads a model with sizes, and with a user's arguments."""
    module = engine(request.engine)
    spread = module.parallel(sizes.get("tensor_parallel_size") or 1, [*module.spread(sizes), *request.extra_args])
    return spread._replace(nodes=len(request.group.addresses)) if request.group else spread


def _refuse_uneven(spread: Parallel) -> None:
    """Refuse sizes that several hosts do not divide among them."""
    whole = spread.copy * spread.data
    if spread.nodes > 1 and whole > 1 and whole % spread.nodes:
        raise FleetError(
            f"engine_group: the parallel sizes take {whole} GPUs in all ({spread}), which {spread.nodes} hosts do not "
            f"divide. Set sizes whose product is a multiple of {spread.nodes}."
        )


def _profile(request: Request, found: Sequence[Mapping[str, Any]]) -> str:
    """Return the profile of the GPUs that a request names, or of all; what MIG made of one is a kind of its own."""
    named = set(request.gpus or ())
    chosen = [gpu for gpu in found if {str(gpu.get("index")), gpu.get("uuid")} & named]
    counts: dict[str, int] = {}
    for gpu in found:
        for part in gpu.get("mig_devices") or ():
            if part["uuid"] in named:
                kind = profiles.part(profiles.family(gpu["name"], gpu["memory_mib"]), part["slice"])
                counts[kind] = counts.get(kind, 0) + 1
    if counts and not chosen:
        return profiles.joined(counts)
    return profiles.profile(chosen if named and len(chosen) == len(named) else found)


def _derived(
    request: Request, given: Mapping[str, Any], family: str, count: int, found: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return sizes with the tensor parallel size that a model is known to need of a family, or that takes all.

    Where the user gives none, all of the sizes are those that it is known to need.
    """
    spread, known = _spread(request, given), request.known
    memory = _memory_mib(family, found)
    # What is known is said of one host.
    needs = None if request.group else known.needed(request.engine, family, memory)
    if not needs:
        among = spread.pipeline * spread.context * spread.data
        return {**given, "tensor_parallel_size": max(1, count * spread.nodes // among)}
    needed = models.gpus(needs)
    if not given and spread == Parallel():
        sized = needs
    else:
        # With whole experts on each GPU, all copies hold the model together.
        others = spread.pipeline * spread.context * (spread.data if spread.experts else 1)
        sized = {**given, "tensor_parallel_size": max(1, -(-needed // others))}
    spread = _spread(request, sized)
    if spread.gpus > count:
        smaller = known.smaller(request.engine, family, memory, count)
        raise FleetError(
            f"{request.model} needs {needed} GPUs of kind {family}"
            + (f" for each copy, {spread.gpus} with {spread}" if spread.gpus > needed else "")
            + f", and the engine would have {count}{_divided(request)}. "
            + _fewer(request, count, spread.gpus)
            + (f"{count} hold {' or '.join(smaller)}: set model to it. Or take" if smaller else "Take")
            + " a host with more, or set tensor_parallel_size if you know that it fits."
        )
    return sized


def _memory_mib(family: str, found: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the memory of a GPU of a family, as it is found, or as it is known where the profile was set by hand."""
    sizes = [
        gpu["memory_mib"]
        for gpu in found
        if gpu["memory_mib"] and profiles.family(gpu["name"], gpu["memory_mib"]) == family
    ]
    return min(sizes) if sizes else profiles.MEMORY_MIB.get(family)


def _first(size: int, family: str, found: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the indices of the first GPUs of a family; of those that no look has found, the first numbers."""
    indices = [
        str(gpu.get("index", position))
        for position, gpu in enumerate(found)
        if profiles.family(gpu["name"], gpu["memory_mib"]) == family
    ]
    return tuple(indices[:size] if len(indices) >= size else map(str, range(size)))


def placed(request: Request) -> Placement:
    """Return where a request is placed on this host."""
    return placement(request, found_gpus(request), near)


@functools.lru_cache(maxsize=1)
def near() -> Mapping[tuple[int, int], tuple[int, int]]:
    """Ask which GPUs are near each other, once for however many engines."""
    from ansible_collections.inference.fleet.plugins.module_utils.host import command, topology

    return topology.query(command.run)


def found_gpus(request: Request) -> Sequence[Mapping[str, Any]]:
    """Ask the host for its GPUs, where something is to be derived from them.

    A profile that is set by hand tells enough where the driver does not answer; else that raises :class:`FleetError`.
    """
    if ENGINES[request.engine].SIMULATED or (request.gpus and request.profile) or request.profile == profiles.CPU:
        return []
    found = query()
    if found.error and not request.profile:
        raise FleetError(
            f"nvidia-smi does not tell the host's GPUs: {found.error}. Mend the driver, or set profile by hand."
        )
    return found.gpus


@functools.lru_cache(maxsize=1)
def query() -> gpus.Gpus:
    """Ask for the GPUs once, for however many engines: each answer may take seconds."""
    from ansible_collections.inference.fleet.plugins.module_utils.host import command, gpus

    return gpus.query(command.run)
