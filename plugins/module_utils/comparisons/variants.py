# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared: variants of an engine by their names, and in which order they take their turns. All pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

# They are the comparison's, so that variants take turns in one place.
_ITS_OWN = ("slot", "container_name", "port", "state", "prune", "instances", "docker_host", "bind_address")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}")
# Before this, a document's label has the word that keeps it apart from the host's own runs.
LABEL = "compare"


@dataclass(frozen=True)
class Variant:
    """A name, and the options of the module engine in which it differs from what the host's variables describe."""

    name: str
    options: Mapping[str, Any]

    @property
    def label(self) -> str:
        """What its result documents are labelled with: never compared with the runs of the host's own engine."""
        return f"{LABEL} {self.name}"


@dataclass(frozen=True)
class Turn:
    """A variant's turn in a round; both count from 1."""

    variant: str
    round: int


def variants(given: Any, known: Sequence[str]) -> tuple[Variant, ...]:
    """Return what a user listed. *known* are the options that an engine has. FleetError where it cannot be compared."""
    if not isinstance(given, list) or len(given) < 2:
        raise FleetError(
            "compare_variants: wanted a list of two variants or more, each a dictionary with a name and the options of "
            f"the module inference.fleet.engine in which it differs, found {given!r}."
        )
    found: list[Variant] = []
    for entry in given:
        if not isinstance(entry, Mapping) or not _NAME.fullmatch(str(entry.get("name", ""))):
            raise FleetError(
                "compare_variants: wanted a name of letters, digits, spaces and . _ + - (40 at most) for each variant, "
                f"found {_told(entry)}."
            )
        options = {str(key): value for key, value in entry.items() if key != "name"}
        name = str(entry["name"])
        kept = [key for key in options if key in _ITS_OWN]
        if kept:
            raise FleetError(
                f"compare_variants: {name} sets {', '.join(kept)}, which is the comparison's own: variants take turns "
                "in one slot, on its port. Leave it out."
            )
        unknown = [key for key in options if key not in known]
        if unknown:
            raise FleetError(
                f"compare_variants: {name} sets {', '.join(unknown)}, which the module inference.fleet.engine does not "
                "have. Its options are in ansible-doc inference.fleet.engine; they stand here without engine_."
            )
        found.append(Variant(name, options))
    names = [variant.name for variant in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FleetError(
            f"compare_variants: wanted a name of its own for each variant, found {', '.join(twice)} twice."
        )
    return tuple(found)


def turns(names: Sequence[str], rounds: int, start: int = 0) -> tuple[Turn, ...]:
    """Return all turns in their order. Each round goes the other way through the variants than the one before it.

    So what changes steadily, such as a host that warms up, is the same for all of them. *start* is the place in *names*
    of the variant that begins.

    >>> [turn.variant for turn in turns(("a", "b", "c"), 2)]
    ['a', 'b', 'c', 'c', 'b', 'a']
    """
    if rounds < 1:
        raise FleetError(f"compare_rounds: wanted 1 or more, found {rounds}.")
    first = [*names[start % len(names) :], *names[: start % len(names)]]
    return tuple(
        Turn(name, number + 1) for number in range(rounds) for name in (first if number % 2 == 0 else first[::-1])
    )


def fingerprint(listed: Sequence[Variant], rounds: int, conditions: Mapping[str, Any]) -> str:
    """Return what only equal comparisons have: the variants, the rounds, and the workload and all that goes with it.

    It is a hash, so that no option of a variant can be read from it.
    """
    text = json.dumps([[[one.name, one.options] for one in listed], rounds, conditions], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _told(entry: Any) -> str:
    # Its options may hold a key.
    return repr(entry.get("name")) if isinstance(entry, Mapping) else repr(entry)
