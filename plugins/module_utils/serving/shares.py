# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPUs of each of several replicas of an engine on one host. All pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

# How far two GPUs are from each other, by their indices; smaller is nearer. Asked for only where it matters.
Near = Callable[[], Mapping["tuple[int, int]", "tuple[int, int]"]]


def nowhere() -> dict[tuple[int, int], tuple[int, int]]:
    """Tell of no GPUs where they are."""
    return {}


def shares(
    names: Sequence[str], replicas: int, near: Near = nowhere, indices: Mapping[str, int] | None = None
) -> list[tuple[str, ...]]:
    """Return the GPUs of each replica: as many for each, those near each other together.

    The first replica has the first GPU. So it keeps its GPUs where an engine that took the first ones becomes several.
    *indices* has of a name the number that *near* knows the GPU by; a number is its own.
    """
    each, rest = divmod(len(names), replicas)
    if rest or not each:
        raise FleetError(_indivisible(len(names), replicas))
    distances = near() if 1 < each < len(names) else {}
    known = indices or {name: int(name) for name in names if name.isdigit()}

    def far(one: str, others: Sequence[str]) -> tuple[int, int]:
        ways = [distances.get((known.get(one, -1), known.get(other, -1)), (0, 0)) for other in others]
        return sum(way for way, _cpus in ways), sum(cpus for _way, cpus in ways)

    left, found = list(names), []
    while left:
        share = [left.pop(0)]
        while len(share) < each:
            nearest = min(left, key=lambda name: far(name, share))
            left.remove(nearest)
            share.append(nearest)
        found.append(tuple(sorted(share, key=names.index)))
    return found


def _indivisible(count: int, replicas: int) -> str:
    fit = [str(number) for number in range(2, count + 1) if count % number == 0]
    sum_ = f"{count} = {replicas} x {count // replicas} + {count % replicas}"
    return (
        f"replicas: wanted {replicas} engines with as many GPUs each, found {count} GPUs, which do not divide: {sum_}. "
        + (f"{' or '.join(fit)} replicas do; or name" if fit else "Name")
        + " in gpus those that are to be divided, or each engine's own in instances."
    )
