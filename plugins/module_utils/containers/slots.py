# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers of a host are an engine's, and what part each plays: told by labels, not by names. All pure.

A slot is an engine's place on a host, whatever model serves there. Each container that the collection makes is labelled
with its slot, with the name that it is to have, and with the id of the container that it replaces. Of two such, one is
the other's successor: prepared until it was started, in the other's place from then on.

A container of an earlier version has no such labels. It is found by the port of its URL, or by its name; and one that
an interrupted run left then, by the end of its name and by a state that only such a run leaves it in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL, LABEL_PREFIX
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

LABEL_SLOT = f"{LABEL_PREFIX}slot"
LABEL_NAME = f"{LABEL_PREFIX}container-name"
LABEL_REPLACES = f"{LABEL_PREFIX}replaces"
# These say who a container is, and not how it should be.
IDENTITY = frozenset({LABEL_SLOT, LABEL_NAME, LABEL_REPLACES})

# How the slot of what takes a slot's place for a while begins, before that slot's own name.
STAND_IN = "compare-"
NEXT, PREVIOUS = "-next", "-previous"
# A name that the daemon takes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Listed(NamedTuple):
    """A container as the daemon lists it; ``state`` is its word, and ``created`` of one that was never
    started. When it was made is in seconds since the epoch.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    state: str
    made: float = 0
    image: str = ""

    @property
    def ours(self) -> bool:
        """Whether the collection made it."""
        return LABEL in self.labels

    @property
    def started(self) -> bool:
        """Whether it was ever started."""
        return self.state != "created"

    @property
    def running(self) -> bool:
        """Whether its process runs now."""
        return self.state == "running"

    @property
    def port(self) -> int | None:
        """The port of its endpoint."""
        return _port(self.labels)

    @property
    def slot(self) -> str | None:
        """The slot that it is labelled with."""
        return self.labels.get(LABEL_SLOT)


class Slot(NamedTuple):
    """An engine's place as a user names it: a slot, or else a container's name, or else a port.

    ``container`` is the name that its container is to have. ``named`` and ``named_container`` tell which of the two the
    user gave.
    """

    name: str
    container: str
    port: int | None = None
    named: bool = False
    named_container: bool = False


def slot(name: str | None, container: str | None, default_container: str, port: int) -> Slot:
    """Return the slot of an engine: as it is named, else as its container is, else its port.

    So an engine keeps its slot when its model, and with it the served model name and the container's name, changes.
    Raises :class:`FleetError` for a name that the daemon, or a directory, would not take.
    """
    found = Slot(name or container or str(port), container or default_container, port, bool(name), bool(container))
    for option, value in (("slot", found.name), ("container_name", found.container)):
        if not _NAME.fullmatch(value):
            raise FleetError(
                f"{option} is {value!r}. Wanted letters, digits, '_', '.' and '-', the first a letter or a digit."
            )
    return found


class Group(NamedTuple):
    """The containers of one slot, by their parts.

    ``current`` has the engine's place, or is to have it back where ``kept``: an interrupted run stopped it and gave it
    another name. ``prepared`` were to take its place and were never started. ``previous`` had its place before it.
    """

    current: Listed | None = None
    prepared: tuple[Listed, ...] = ()
    previous: tuple[Listed, ...] = ()
    kept: bool = False

    @property
    def members(self) -> tuple[Listed, ...]:
        """All of them."""
        return (*self.prepared, *([self.current] if self.current else []), *self.previous)

    @property
    def ids(self) -> frozenset[str]:
        """Their ids."""
        return frozenset(item.id for item in self.members)


NOBODY = Group()


def assign(slots: Sequence[Slot], listed: Iterable[Listed], only_named: bool = False) -> list[Group]:
    """Return the containers of each slot, in the order of the slots; no container is of two.

    *only_named* leaves out what is not there under the name that is wanted, or in the slot that is named: who removes
    an engine means that engine, and not whatever serves at a port.
    """
    groups = _groups([item for item in listed if item.ours])
    found: dict[int, Group] = {}

    def take(number: int, matching: list[Group]) -> None:
        if number in found or not matching:
            return
        if len(matching) > 1:
            names = " and ".join(sorted(item.name for group in matching for item in group.members))
            raise FleetError(
                f"slot {slots[number].name}: wanted one engine, found {names}, and neither was made to replace "
                "the other. Remove the one that is not meant: docker rm -f NAME"
            )
        found[number] = matching[0]
        groups.remove(matching[0])

    for number, item in enumerate(slots):
        if item.named_container and not item.named:
            take(number, _called(groups, item.container))
    for number, item in enumerate(slots):
        take(number, [group for group in groups if _head(group).slot == item.name and _may(item, group, only_named)])
    for number, item in enumerate(slots):
        if not item.named_container and item.name == str(item.port):
            there = [group for group in groups if _unlabelled_at(group, item.port) and _may(item, group, only_named)]
            take(number, _one_of(there, item.container))
    others = {item.name for item in slots}
    for number, item in enumerate(slots):
        take(number, [group for group in _called(groups, item.container) if _head(group).slot not in others])
    return [found.get(number, NOBODY) for number in range(len(slots))]


def others(groups: Sequence[Group], listed: Iterable[Listed]) -> list[Group]:
    """Return the engines of the host that are in none of the groups."""
    known = {identity for group in groups for identity in group.ids}
    return [group for group in _groups([item for item in listed if item.ours]) if not group.ids & known]


def unnamed(listed: Iterable[Listed], named: Mapping[str, str]) -> list[str]:
    """Return in words the engines of a host but those of the names and slots given, as ``{name: slot}``."""
    found = [group.current for group in others([], listed) if group.current]
    return [
        f"{item.name} (slot {slot_of(item.labels, item.name)}, {item.state})"
        for item in found
        if slot_of(item.labels, item.name) not in named.values() and item.name not in named
    ]


def _may(item: Slot, group: Group, only_named: bool) -> bool:
    return not only_named or item.named or item.named_container or bool(_called([group], item.container))


def _unlabelled_at(group: Group, port: int | None) -> bool:
    head = _head(group)
    return head.slot is None and head.port == port


def _one_of(groups: list[Group], name: str) -> list[Group]:
    """Return the one with the name, or else the one that runs: several engines may have had a port in turns."""
    return (
        [group for group in groups if _head(group).name == name]
        or [group for group in groups if _head(group).running]
        or groups
    )


def _head(group: Group) -> Listed:
    return group.current or group.members[0]


def _called(groups: Sequence[Group], name: str) -> list[Group]:
    """Return the engine that has a name; else those that were to have it when a run was interrupted."""
    having = [group for group in groups if _head(group).name == name]
    renamed = [group for group in groups if group.kept or _head(group).slot is not None]
    return having or [group for group in renamed if own_name(_head(group)) == name]


def own_name(item: Listed) -> str:
    """Return the name that a container of a slot was made for; of an earlier version, that of one that was kept."""
    if LABEL_NAME in item.labels:
        return item.labels[LABEL_NAME]
    return item.name if _named_by_model(item) else item.name.removesuffix(PREVIOUS)


def slot_of(labels: Mapping[str, str], name: str) -> str:
    """Return a container's slot; that of one of an earlier version is its port."""
    return labels.get(LABEL_SLOT) or str(_port(labels) or name)


def _port(labels: Mapping[str, str]) -> int | None:
    return urlsplit(labels.get(f"{LABEL_PREFIX}url", "")).port


def _groups(ours: Sequence[Listed]) -> list[Group]:
    """Group containers that replace each other, the newest first."""
    by_id = {item.id: item for item in ours}
    older = {item.id: old for item in ours for old in [_replaced(item, ours, by_id)] if old}
    replaced = {item.id for item in older.values()}
    chains: list[list[Listed]] = []
    for item in ours:
        if item.id in replaced:
            continue
        chain = [item]
        while chain[-1].id in older:
            chain.append(older[chain[-1].id])
        chains.append(chain)
    groups: dict[str, Group] = {}
    for chain in chains:
        prepared = [] if len(chain) == 1 or chain[0].started else [chain.pop(0)]
        head, previous = chain[0], tuple(chain[1:])
        # Two runs that were cut off may each have prepared a successor of the same.
        before = groups.get(head.id, NOBODY)
        kept = (
            not head.running
            and head.name != own_name(head)
            and not previous
            and (bool(prepared) or LABEL_NAME in head.labels)
        )
        groups[head.id] = Group(head, (*before.prepared, *prepared), previous, kept or before.kept)
    return list(groups.values())


def _replaced(item: Listed, ours: Sequence[Listed], by_id: Mapping[str, Listed]) -> Listed | None:
    """Return the container that one was made to replace, where it is still there."""
    if LABEL_REPLACES in item.labels:
        return by_id.get(item.labels[LABEL_REPLACES])
    if item.slot is not None:
        return None
    unlabelled = {other.name: other for other in ours if other.slot is None}
    replaced = [item.name + PREVIOUS]
    if item.name.endswith(NEXT) and not item.started and not _named_by_model(item):
        base = item.name.removesuffix(NEXT)
        replaced = [base, base + PREVIOUS, *replaced]
    for name in replaced:
        old = unlabelled.get(name)
        # An engine that somebody called so, and stopped, is no container that an interrupted run kept.
        kept = old and old.state == "exited" and not _named_by_model(old)
        if old and item.port == old.port and item.made >= old.made and (kept or not name.endswith(PREVIOUS)):
            return old
    return None


def _named_by_model(item: Listed) -> bool:
    """Tell whether a container of an earlier version has the name that its served model gave it."""
    served = item.labels.get(f"{LABEL_PREFIX}served-model-name", "")
    return item.name == "".join(letter if letter.isalnum() or letter in "_.-" else "-" for letter in served)
