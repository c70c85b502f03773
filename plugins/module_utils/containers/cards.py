# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cards a request for GPUs means, whether it names them by index or by UUID, counts them or takes all. All pure.

*cards* are the host's GPUs with their ``index`` and ``uuid``, as host_info has them; they are asked for only where two
requests are not told apart without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import Gpus
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import Cards, unknown


def chosen(request: Gpus, cards: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the cards that a request means, by index or UUID, MIG's parts included; a number means the first."""
    if request.device_ids:
        every = [*cards, *(part for card in cards for part in _parts(card))]
        return [card for card in every if any(_means(item, card) for item in request.device_ids)]
    return list(cards if request.count == -1 else cards[: request.count])


def meet(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two cards are one, or one of them is a part of the other."""
    return one["uuid"] in (other["uuid"], other.get("parent")) or other["uuid"] == one.get("parent")


def _means(name: str, card: Mapping[str, Any]) -> bool:
    # Docker and NVIDIA take a UUID by its beginning too.
    return name == str(card["index"]) or (len(name) > len("GPU-") and card["uuid"].lower().startswith(name.lower()))


def _parts(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what MIG made of a GPU, each as a GPU of its own; who uses one of them is not known."""
    return [
        {
            **card,
            "index": f"{card['index']} (MIG {part['slice']})",
            "uuid": part["uuid"],
            "parent": card["uuid"],
            "memory_mib": _slice_mib(part["slice"]),
            "memory_used_mib": None,
            "processes": (),
        }
        for part in card.get("mig_devices") or ()
    ]


def _slice_mib(name: str) -> int | None:
    """Return the memory of a slice, of which its name tells: 1g.10gb."""
    match = re.search(r"\.(\d+)gb", name)
    return int(match.group(1)) * 10**9 // 2**20 if match else None


def shared(one: Gpus | None, other: Gpus | None, cards: Cards = unknown) -> bool:
    """Tell whether two requests are known to meet."""
    if one is None or other is None:
        return False
    if -1 in (one.count, other.count) or _written(one) & _written(other):
        return True
    if not (_by_uuid(one) or _by_uuid(other)):
        return False
    theirs = chosen(other, cards())
    return any(meet(card, their) for card in chosen(one, cards()) for their in theirs)


def same(one: Gpus | None, other: Gpus | None, cards: Cards = unknown) -> bool:
    """Tell whether two requests are known to mean the same cards."""
    if one == other:
        return True
    if one is None or other is None:
        return False
    meant = _uuids(one, cards())
    return bool(meant) and meant == _uuids(other, cards()) and all(_are_found(item, cards()) for item in (one, other))


def _are_found(request: Gpus, cards: Sequence[Mapping[str, Any]]) -> bool:
    return all(chosen(Gpus(device_ids=(item,)), cards) for item in request.device_ids)


def _written(request: Gpus) -> set[str]:
    return {item.lower() for item in request.device_ids} or {str(index) for index in range(request.count)}


def _by_uuid(request: Gpus) -> bool:
    return any(not item.isdigit() for item in request.device_ids)


def _uuids(request: Gpus, cards: Sequence[Mapping[str, Any]]) -> set[str]:
    return {card["uuid"] for card in chosen(request, cards)}
