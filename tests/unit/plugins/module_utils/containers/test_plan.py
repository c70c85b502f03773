# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of transitions: what is there, what is wanted, what is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.containers.compare import (
    RECREATE,
    REWRITE,
    UPDATE,
    Change,
)
from ansible_collections.inference.fleet.plugins.module_utils.containers.plan import Situation

FETCH = (plan.PULL_IMAGE, plan.FETCH_WEIGHTS)
NOTHING = Situation()
SERVES = Situation(exists=True, running=True, ready=True)
LOADS = Situation(exists=True, running=True)
STOPPED = Situation(exists=True)


def differing(how: str, *, running: bool = True, ready: bool = True, **more: Any) -> Situation:
    return Situation(exists=True, running=running, ready=ready, changes=(Change("x", 1, 2, how),), **more)


TABLE = [
    # state, what is there, steps, changed
    ("present", NOTHING, [plan.CREATE, plan.WAIT], True),
    ("present", SERVES, [], False),
    ("present", LOADS, [plan.WAIT], False),
    ("present", STOPPED, [plan.START, plan.WAIT], True),
    ("present", differing(RECREATE), [plan.REPLACE, plan.WAIT], True),
    ("present", differing(RECREATE, running=False, ready=False), [plan.REPLACE, plan.WAIT], True),
    ("present", differing(UPDATE), [plan.UPDATE_CONTAINER], True),
    ("present", differing(UPDATE, running=False, ready=False), [plan.UPDATE_CONTAINER, plan.START, plan.WAIT], True),
    ("present", differing(REWRITE), [plan.REWRITE_SECRETS], True),
    ("restarted", NOTHING, [plan.CREATE, plan.WAIT], True),
    ("restarted", SERVES, [plan.RESTART, plan.WAIT], True),
    ("restarted", STOPPED, [plan.START, plan.WAIT], True),
    ("restarted", differing(RECREATE), [plan.REPLACE, plan.WAIT], True),
    ("stopped", NOTHING, [], False),
    ("stopped", SERVES, [plan.STOP], True),
    ("stopped", STOPPED, [], False),
    ("absent", NOTHING, [], False),
    ("absent", SERVES, [plan.REMOVE], True),
    ("absent", Situation(has_previous=True), [plan.REMOVE], True),
    ("absent", Situation(has_next=True), [plan.REMOVE], True),
    # Cut off before the swap: the old one serves, the new one was only prepared.
    ("present", Situation(exists=True, running=True, ready=True, has_next=True), [plan.REMOVE_NEXT], True),
    # Cut off between the two renames: only the kept container is there.
    ("present", Situation(has_previous=True), [plan.PUT_BACK, plan.START, plan.WAIT], True),
    (
        "present",
        Situation(has_next=True, has_previous=True, kept_changes=(Change("x", 1, 2, RECREATE),)),
        [plan.REMOVE_NEXT, plan.PUT_BACK, plan.REPLACE, plan.WAIT],
        True,
    ),
    ("stopped", Situation(has_previous=True), [plan.PUT_BACK], True),
    # Cut off while the new container was loading.
    (
        "present",
        Situation(exists=True, running=True, has_previous=True),
        [plan.WAIT, plan.REMOVE_PREVIOUS],
        True,
    ),
    (
        "present",
        Situation(exists=True, has_previous=True),
        [plan.START, plan.WAIT, plan.REMOVE_PREVIOUS],
        True,
    ),
    # Cut off when the new container served and the old one was not removed yet.
    (
        "present",
        Situation(exists=True, running=True, ready=True, has_previous=True),
        [plan.WAIT, plan.REMOVE_PREVIOUS],
        True,
    ),
    # Cut off, and now something else is wanted: what serves is the way back.
    ("present", differing(RECREATE, has_previous=True), [plan.REMOVE_PREVIOUS, plan.REPLACE, plan.WAIT], True),
    ("present", differing(RECREATE, ready=False, has_previous=True), [plan.PUT_BACK, plan.START, plan.WAIT], True),
    # What a new container needs comes first: the old one serves meanwhile.
    ("present", Situation(missing=FETCH), [*FETCH, plan.CREATE, plan.WAIT], True),
    ("present", differing(RECREATE, missing=FETCH), [*FETCH, plan.REPLACE, plan.WAIT], True),
    (
        "present",
        differing(RECREATE, has_next=True, missing=FETCH),
        [*FETCH, plan.REMOVE_NEXT, plan.REPLACE, plan.WAIT],
        True,
    ),
    # Another name of the image that runs.
    ("present", replace(SERVES, missing=(plan.PULL_IMAGE,)), [plan.PULL_IMAGE], True),
    ("prefetched", Situation(missing=FETCH), [*FETCH], True),
    ("prefetched", differing(RECREATE, missing=FETCH), [*FETCH], True),
    ("prefetched", differing(RECREATE), [], False),
]


@pytest.mark.parametrize(("state", "situation", "steps", "changed"), TABLE)
def test_transition(state: str, situation: Situation, steps: list[str], changed: bool) -> None:
    result = plan.plan(state, situation)

    assert result == steps
    assert plan.changed(result) is changed


def test_recreate_replaces_where_nothing_differs() -> None:
    assert plan.plan("present", SERVES, recreate=True) == [plan.REPLACE, plan.WAIT]
