# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out what a container is and what is to do, which changes nothing.

Most runs find that nothing is: what acts is in :mod:`.lifecycle`, which :mod:`.turn` loads where there is something.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.containers import compare, plan, secrets, slots
from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import Change
from ansible_collections.inference.fleet.plugins.module_utils.containers.daemon import Daemon
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import Listed
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import (
    ALWAYS,
    MISSING,
    NEVER,
    Probe,
    Wanted,
)
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

_SERVING = (plan.PRESENT, plan.RESTARTED)


class Look(NamedTuple):
    """What a look at the host found, and what follows from it.

    ``current`` is the container in the slot, or the one that is to be put back there; ``status`` is that of the slot.
    """

    current: Observed | None
    changes: tuple[Change, ...]
    steps: tuple[str, ...]
    ready: bool
    situation: plan.Situation = plan.Situation()
    status: str = "absent"

    @property
    def changed(self) -> bool:
        """Whether the steps change anything."""
        return plan.changed(self.steps)


class Looker:
    """Looks at one slot of one host. ``warnings`` collects what the user should hear."""

    def __init__(self, daemon: Daemon, wanted: Wanted, probe: Probe) -> None:
        self._daemon = daemon
        self._wanted = wanted
        self._probe = probe
        self._slot = wanted.slot
        self._listed: list[Listed] = []
        self._group = slots.NOBODY
        self._groups: list[slots.Group] = []
        self._siblings: frozenset[str] = frozenset()
        # What the endpoint of a container that runs lacks.
        self.missing: str | None = None
        self.warnings: list[str] = []

    def look(self) -> Look:
        """Find out what is there and what to do. Changes nothing."""
        group = self._find()
        self._refuse_taken_name()
        current = self._observed(None if group.kept else group.current)
        kept = self._observed(group.current if group.kept else next(iter(group.previous), None))
        running = bool(current and current.running)
        ready = bool(current and running and self._is_ready(current))
        situation = plan.Situation(
            exists=current is not None,
            running=running,
            ready=ready,
            changes=self._changes(current),
            prepared=tuple(item.name for item in group.prepared),
            previous=tuple(item.name for item in ([group.current] if group.kept and group.current else group.previous)),
            kept_changes=self._changes(kept, kept=True),
        )
        # Whether what is there, or is to be put back, has the image's name already.
        seen = current or kept
        named = self._wanted.state not in _SERVING or seen is None or seen.spec.image == self._wanted.container.image
        steps = self._plan(situation, named)
        status = current.status if current else "absent"
        if plan.PUT_BACK in steps:
            return Look(kept, situation.kept_changes, steps, False, situation, status)
        return Look(current, situation.changes, steps, ready, situation, status)

    def _is_ready(self, container: Observed) -> bool:
        try:
            self.missing = self._probe.ready(container, None)
        except FleetError as error:
            self.missing = str(error)
        return self.missing is None

    def container(self) -> Observed | None:
        """Return the slot's container as it is now."""
        return self._observed(self._find().current)

    def others(self) -> list[Listed]:
        """Return the engines of the host that are in no slot of the task, as they were found."""
        return [group.current for group in slots.others(self._groups, self._listed) if group.current]

    def _find(self) -> slots.Group:
        """Look which of the host's containers are the slot's."""
        self._listed = self._daemon.listed()
        gone = self._wanted.state in (plan.ABSENT, plan.STOPPED)
        places = (self._slot, *self._wanted.siblings)
        groups = slots.assign(places, self._listed, only_named=gone)
        self._group = groups[0]
        self._groups = groups
        self._siblings = frozenset(identity for group in groups[1:] for identity in group.ids)
        if gone and not self._group.members:
            there = slots.assign(places, self._listed)[0].current
            if there:
                self.warnings = [
                    f"slot {self._slot.name} has {there.name}, and not {self._slot.container}: it was left as it is. "
                    f"To mean whatever serves there, set slot to {self._slot.name}."
                ]
        return self._group

    def _refuse_taken_name(self) -> None:
        """Fail where a container that is not the slot's has the name that its container is to have."""
        name = self._slot.container
        other = next((item for item in self._listed if item.name == name and item.id not in self._group.ids), None)
        if other is None:
            return
        if not other.ours:
            raise FleetError(
                f"a container named {name} is there already, and inference.fleet did not make it "
                f"(image {other.image}, {other.state}). It was not touched. "
                f"Choose another container_name, or remove it: docker rm -f {name}"
            )
        # One of the same task goes, or takes another name.
        if self._wanted.state in _SERVING and other.id not in self._siblings:
            slot = slots.slot_of(other.labels, other.name)
            raise FleetError(
                f"a container named {name} is there already: it is the engine of slot {slot}. It was not touched. "
                f"Choose another container_name; or, to change that engine, set slot to {slot}."
            )

    @property
    def _spared(self) -> frozenset[str]:
        """The containers whose GPUs and ports do not count."""
        spared = self._group.ids | (self._siblings if self._wanted.spares_siblings else frozenset())
        return spared | {item.id for item in self.others()} if self._wanted.prune else spared

    def _observed(self, item: Listed | None) -> Observed | None:
        return self._daemon.container(item.id) if item else None

    def _plan(self, situation: plan.Situation, named: bool) -> tuple[str, ...]:
        wanted = self._wanted
        steps = plan.plan(wanted.state, situation, wanted.recreate)
        if plan.starts(steps):
            self._refuse_conflicts()
        if plan.starts(steps) or plan.UPDATE_CONTAINER in steps:
            self._require_networks()
        if plan.needs_image(wanted.state, steps):
            # A container that is to be put back serves first.
            self._require(strict=plan.PUT_BACK not in steps)
            steps = plan.plan(wanted.state, situation._replace(missing=self._missing()), wanted.recreate)
        elif not named and self._may_pull and self._daemon.image(wanted.container.image) is None:
            # The wanted reference is another name of the content that runs: the host only has to learn it.
            steps = plan.plan(wanted.state, situation._replace(missing=(plan.PULL_IMAGE,)), wanted.recreate)
        return tuple(steps)

    def _refuse_conflicts(self) -> None:
        """Fail where the engine would share a GPU or a port with another that runs."""
        from ansible_collections.inference.fleet.plugins.module_utils.containers.conflicts import conflicts

        others = [self._observed(item) for item in self._listed if item.ours and item.id not in self._spared]
        found = conflicts(self._wanted.container, [item for item in others if item], self._wanted.cards)
        if found:
            raise FleetError("\n".join(found))

    def _require_networks(self) -> None:
        """Fail before anything is stopped, where the container is to be attached to a network that is not there."""
        missing = [name for name in compare.networks(self._wanted.container)[1:] if not self._daemon.has_network(name)]
        if missing:
            raise FleetError(
                f"networks: wanted {', '.join(missing)}, which Docker on this host does not have. "
                f"Make it first: docker network create {missing[0]}"
            )

    def _require(self, strict: bool) -> None:
        """Fail before anything is stopped, where the new engine could not serve on this host."""
        self.warnings += [warning for warning in self._wanted.warnings if warning not in self.warnings]
        if self._wanted.preflight is None:
            return
        problems = self._wanted.preflight.problems(
            self._daemon.image(self._wanted.container.image), self._daemon.ours(), self._spared
        )
        if problems and strict and self._wanted.preflight.strict:
            raise FleetError(
                "\n".join(
                    [
                        f"{self._slot.container} could not serve on this host, and no engine was touched.",
                        *problems,
                        "If you know better, set preflight to warn.",
                    ]
                )
            )
        self.warnings += [problem for problem in problems if problem not in self.warnings]

    @property
    def _may_pull(self) -> bool:
        return self._wanted.pull != NEVER and self._wanted.build is None

    def _changes(self, current: Observed | None, kept: bool = False) -> tuple[Change, ...]:
        if current is None or self._wanted.state not in _SERVING:
            return ()
        wanted = self._wanted.container
        if wanted.gpus != current.spec.gpus:
            from ansible_collections.inference.fleet.plugins.module_utils.containers import cards

            # By index, by UUID or all of them: the same cards are no difference.
            if cards.same(wanted.gpus, current.spec.gpus, self._wanted.cards):
                wanted = replace(wanted, gpus=current.spec.gpus)
        # A reference that is the same is the same image, even where its tag has moved on the host.
        image_id = None
        if wanted.image != current.spec.image:
            here = self._daemon.image(wanted.image)
            image_id = here["Id"] if here else self._id_in_registry(current)
        changes = compare.compare(wanted, current, image_id, secrets.read(current.secrets_source))
        if self._wanted.pull == ALWAYS and self._may_pull and not any(c.field == "image" for c in changes):
            changes = self._moved(current) + changes
        return (*changes, *self._identity(current, kept))

    def _identity(self, current: Observed, kept: bool) -> list[Change]:
        """Return how the slot and the container's name change; neither takes a restart."""
        changes = []
        slot = current.spec.labels.get(slots.LABEL_SLOT)
        # One of an earlier version is found by its port or its name, and needs the label for a slot of its own.
        if slot != self._slot.name and (slot or self._slot.named):
            changes.append(Change("slot", slot, self._slot.name, compare.UPDATE))
        name = slots.own_name(next(item for item in self._listed if item.id == current.id)) if kept else current.name
        if name != self._slot.container and not any(item.name == self._slot.container for item in self._listed):
            changes.append(Change("name", name, self._slot.container, compare.UPDATE))
        return changes

    def _id_in_registry(self, current: Observed) -> str | None:
        """Return the running image's id where the registry knows it by the wanted reference."""
        if not self._may_pull:
            return None
        try:
            there = self._registry_digest()
        except FleetError:
            # The pull, which comes next, tells what is wrong with the registry.
            return None
        return current.image_id if there in self._daemon.digests(current.image_id) else None

    def _registry_digest(self) -> str:
        return self._daemon.registry_digest(self._wanted.container.image, self._wanted.timeouts.pull)

    def _moved(self, current: Observed) -> list[Change]:
        """Return the change of a tag that means another content in the registry now."""
        here = self._daemon.digests(current.image_id)
        there = self._registry_digest()
        return [] if there in here else [Change("image", ", ".join(here) or current.image_id, there)]

    def _missing(self) -> tuple[str, ...]:
        """Return the steps that bring what a new container needs to the host."""
        reference, weights = self._wanted.container.image, self._wanted.weights
        here = self._daemon.image(reference)
        steps = []
        if self._wanted.build:
            steps += [plan.BUILD_IMAGE] if here is None else []
        elif here is None and self._wanted.pull == NEVER:
            raise FleetError(
                f"image {reference} is not on the host, and pull is {NEVER}. Load it there, or set pull to {MISSING}."
            )
        elif here is None or (
            self._wanted.pull == ALWAYS and self._registry_digest() not in self._daemon.digests(reference)
        ):
            steps.append(plan.PULL_IMAGE)
        if weights and not weights.here():
            steps.append(plan.FETCH_WEIGHTS)
        return tuple(steps)
