# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about one container, from what is there and what is wanted. All pure.

While an engine is replaced, its slot has a prepared container until the old one has stopped, and a previous one until
the new one is ready. A run that is cut off leaves some of them; :func:`plan` starts from whatever is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import (
    RECREATE,
    REWRITE,
    UPDATE,
    Change,
)

PRESENT, STOPPED, RESTARTED, ABSENT, PREFETCHED = "present", "stopped", "restarted", "absent", "prefetched"
STATES = (PRESENT, STOPPED, RESTARTED, PREFETCHED, ABSENT)

# What a member of a group is asked to do, one after another: its engine is stopped, started, awaited; then what was
# there before is removed; or that is put back, and started again.
STOPS, STARTS, AWAITS, KEEPS, GOES_BACK, RESUMES = "stop", "start", "await", "keep", "back", "resume"
STAGES = ("look", "prepare", "stop_head", STOPS, STARTS, AWAITS, "end", KEEPS, GOES_BACK, RESUMES, "await_old", "tell")

# The steps, in the words that a user sees in check mode and in the result.
REMOVE_NEXT = "remove the prepared container of an interrupted run"
PUT_BACK = "put back the container kept by an interrupted run"
REMOVE_PREVIOUS = "remove the container kept by an interrupted run"
PULL_IMAGE = "pull the image"
BUILD_IMAGE = "build the image"
FETCH_WEIGHTS = "download the weights"
REMOVE_OLD = "remove the old container"
CREATE = "create the container and start it"
REPLACE = "replace the container"
UPDATE_CONTAINER = "update the container without a restart"
REWRITE_SECRETS = "rewrite files that the engine reads again"
START = "start the container"
RESTART = "restart the container"
STOP = "stop the container"
REMOVE = "remove the container"
WAIT = "wait until the endpoint is ready"

# A step that changes nothing on the host.
_PASSIVE = frozenset({WAIT})
_RUNS = {"exists": True, "status": "running"}
# What a container is after a step.
_AFTER = {
    CREATE: _RUNS,
    REPLACE: _RUNS,
    START: _RUNS,
    RESTART: _RUNS,
    PUT_BACK: {"exists": True, "status": "exited"},
    STOP: {"status": "exited"},
    REMOVE: {"exists": False, "status": "absent"},
}
# The steps that the old engine serves through.
FETCH = (PULL_IMAGE, BUILD_IMAGE, FETCH_WEIGHTS)


class Situation(NamedTuple):
    """What is on the host.

    ``changes`` is the difference between the wanted container and the current one; ``ready`` tells
    whether the current one serves; ``missing`` are the steps of ``FETCH`` that it takes;
    ``prepared`` and ``previous`` are the names of what an interrupted run left, and ``kept_changes`` is the difference
    to the container that it kept.
    """

    exists: bool = False
    running: bool = False
    ready: bool = False
    changes: tuple[Change, ...] = ()
    prepared: tuple[str, ...] = ()
    previous: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    kept_changes: tuple[Change, ...] = ()


def plan(state: str, situation: Situation, recreate: bool = False) -> list[str]:
    """Return the steps to the wanted state, in order; none where nothing differs."""
    if state == ABSENT:
        return [REMOVE] if situation.exists or situation.prepared or situation.previous else []
    if state == PREFETCHED:
        return list(situation.missing)
    steps = _settle(situation)
    if PUT_BACK in steps:
        kept = Situation(exists=True, changes=situation.kept_changes)
        return [*situation.missing, *steps, *plan(state, kept, recreate)]
    if state == STOPPED:
        if situation.previous:
            steps.append(REMOVE_PREVIOUS)
        return steps + ([STOP] if situation.running else [])
    if not situation.exists:
        return [*situation.missing, *steps, CREATE, WAIT]
    ways = {change.how for change in situation.changes}
    if recreate or RECREATE in ways:
        return [*situation.missing, *steps, REPLACE, WAIT]
    steps = [*situation.missing, *steps]
    if UPDATE in ways:
        steps.append(UPDATE_CONTAINER)
    if REWRITE in ways:
        steps.append(REWRITE_SECRETS)
    if not situation.running:
        steps += [START, WAIT]
    elif state == RESTARTED:
        steps += [RESTART, WAIT]
    elif not situation.ready:
        steps.append(WAIT)
    if situation.previous and REMOVE_PREVIOUS not in steps:
        # The new container is as wanted and only its proof is missing.
        steps += [] if WAIT in steps else [WAIT]
        steps.append(REMOVE_PREVIOUS)
    return steps


def _settle(situation: Situation) -> list[str]:
    """Return the steps that clear away what an interrupted run left."""
    steps = [REMOVE_NEXT] if situation.prepared else []
    if not situation.previous:
        return steps
    if not situation.exists:
        return [*steps, PUT_BACK]
    if any(change.how == RECREATE for change in situation.changes):
        steps.append(REMOVE_PREVIOUS if situation.ready else PUT_BACK)
    return steps


def needs_image(state: str, steps: Sequence[str]) -> bool:
    """Tell whether the image and the weights matter: where a container is made, or only they are wanted."""
    return state == PREFETCHED or CREATE in steps or REPLACE in steps


def starts(steps: Sequence[str]) -> bool:
    """Tell whether a container that does not run is to run then."""
    return any(step in (CREATE, REPLACE, START) for step in steps)


def changed(steps: Sequence[str]) -> bool:
    """Tell whether steps change anything."""
    return any(step not in _PASSIVE for step in steps)


def diff(situation: Situation, steps: Sequence[str], status: str, started_at: str = "") -> dict[str, Any]:
    """Return what steps do to a container and beside it, in the form of Ansible's diff mode.

    *status* is the daemon's word for the slot's container, ``absent`` where there is none.
    The fields that differ are :func:`.compare.diff`'s.
    """
    before: dict[str, Any] = {"exists": situation.exists, "status": status}
    after = dict(before)
    left = [*situation.prepared, *situation.previous]
    gone: set[str] = set()
    for step in steps:
        after |= _AFTER.get(step, {})
        gone |= {
            REMOVE_NEXT: set(situation.prepared),
            REMOVE_PREVIOUS: set(situation.previous),
            PUT_BACK: set(situation.previous),
            REMOVE: set(left),
        }.get(step, set())
    if gone:
        before["left_over"], after["left_over"] = left, [item for item in left if item not in gone]
    if (RESTART in steps or REPLACE in steps) and started_at:
        before["started_at"], after["started_at"] = started_at, "(now)"
    fetched = [step for step in steps if step in FETCH]
    if fetched:
        before["fetched"], after["fetched"] = [], fetched
    return {"before": before, "after": after}
