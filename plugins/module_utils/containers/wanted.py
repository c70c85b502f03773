# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user wants of a container: the state, what it takes to get there, and how to see that it serves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import Slot
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec

if TYPE_CHECKING:
    from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.log import Log

MISSING, ALWAYS, NEVER = "missing", "always", "never"
PULL_POLICIES = (MISSING, ALWAYS, NEVER)
# What a preflight's problem is.
FAIL, WARN, SKIP = "fail", "warn", "skip"
DOCKER_HOST = "unix:///var/run/docker.sock"
# A label on images that are made on the host.
IMAGE_LABEL = "inference.fleet.image"


# What tells the host's GPUs, as :mod:`.gpus` of the room host does.
Cards = Callable[[], Sequence[Mapping[str, Any]]]


def unknown() -> Sequence[Mapping[str, Any]]:
    """Tell of no cards: then requests are compared as they are written."""
    return ()


class Build(NamedTuple):
    """How to make the image on the host: see :class:`engines.spec.ImageBuild`."""

    entrypoint: tuple[str, ...]
    write: Callable[[BinaryIO], None]
    label: str


class Weights(NamedTuple):
    """What the engine would else download while nothing serves.

    ``here`` tells whether the host has it. ``fetch`` downloads it, gives up when the event is set,
    and returns a warning where it leaves the download to the engine.
    """

    here: Callable[[], bool]
    fetch: Callable[[Callable[[str], None], threading.Event], str | None]


# How long an engine may take to be ready where nothing is said of it, in seconds.
READY = 1800


class Timeouts(NamedTuple):
    """Limits in seconds."""

    pull: int = 3600
    weights: int = 7200
    start: int = 120
    ready: int = READY
    stop: int = 30

    @property
    def back(self) -> int:
        """The time for an engine that is put back: a limit that was too short for the new one tells nothing of it."""
        return max(self.ready, READY)

    @property
    def longest(self) -> int:
        """The time that a run may take: to fetch, to start the new engine, and to go back to the old one."""
        return max(self.pull, self.weights) + 2 * (self.stop + self.start) + self.ready + self.back


class Preflight(NamedTuple):
    """What a host has to have before a container is made, or its image and weights are brought.

    ``problems`` gets what Docker knows of the image, ``None`` where it is not there, the collection's containers, and
    the ids of those whose GPUs and ports do not count; it returns sentences. They fail the run where it is
    ``strict``, and are warnings otherwise.
    """

    problems: Callable[[Mapping[str, Any] | None, Sequence[Observed], frozenset[str]], list[str]]
    strict: bool = True


class Wanted(NamedTuple):
    """What the user asked for."""

    state: str
    slot: Slot
    container: ContainerSpec
    pull: str = MISSING
    build: Build | None = None
    weights: Weights | None = None
    recreate: bool = False
    timeouts: Timeouts = Timeouts()
    preflight: Preflight | None = None
    # What its user should know of a new container.
    warnings: tuple[str, ...] = ()
    # The other slots of the same task. What they have now does not count while all are only looked at.
    siblings: tuple[Slot, ...] = ()
    spares_siblings: bool = False
    # Whether engines in no slot of the task make room: they are removed once all that it wants serves.
    prune: bool = False
    # The ids of containers that ran when the task began.
    ran: frozenset[str] = frozenset()
    cards: Cards = unknown


class Probe(NamedTuple):
    """How to tell whether the endpoint of a container serves.

    ``ready`` returns ``None`` when it does, else what is missing; with a number of seconds it asks for a first answer
    too, and waits no longer for it, which a look at a busy engine does not; it raises :class:`FleetError` where waiting
    helps nobody. ``log`` returns how to read the engine's log. ``warm_up`` has the engine do its first work, within
    seconds, before anybody waits for it.
    """

    ready: Callable[[Observed, float | None], str | None]
    log: Callable[[], Log]
    warm_up: Callable[[Observed, float], None] | None = None
