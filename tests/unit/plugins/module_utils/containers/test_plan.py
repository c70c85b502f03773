# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of transitions: what is there, what is wanted, what is done."""

from __future__ import annotations

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


# What is shown of a step: field -> (before, after). Fields that differ are shown beside it, by compare.diff().
MADE = {"exists": (False, True), "status": ("absent", "running")}
GONE = {"exists": (True, False), "status": ("running", "absent")}
RUNS = {"status": ("exited", "running")}
ENDS = {"status": ("running", "exited")}
ANEW = {"started_at": ("then", "(now)")}
NEXT_GOES = {"left_over": (["e-next"], [])}
PREVIOUS_GOES = {"left_over": (["e-previous"], [])}
FETCHED = {"fetched": ([], list(FETCH))}

TABLE = [
    # state, what is there, steps, changed, diff
    ("present", NOTHING, [plan.CREATE, plan.WAIT], True, MADE),
    ("present", SERVES, [], False, {}),
    ("present", LOADS, [plan.WAIT], False, {}),
    ("present", STOPPED, [plan.START, plan.WAIT], True, RUNS),
    ("present", differing(RECREATE), [plan.REPLACE, plan.WAIT], True, ANEW),
    (
        "present",
        differing(RECREATE, running=False, ready=False),
        [plan.REPLACE, plan.WAIT],
        True,
        {**RUNS, **ANEW},
    ),
    ("present", differing(UPDATE), [plan.UPDATE_CONTAINER], True, {}),
    (
        "present",
        differing(UPDATE, running=False, ready=False),
        [plan.UPDATE_CONTAINER, plan.START, plan.WAIT],
        True,
        RUNS,
    ),
    ("present", differing(REWRITE), [plan.REWRITE_SECRETS], True, {}),
    ("restarted", NOTHING, [plan.CREATE, plan.WAIT], True, MADE),
    ("restarted", SERVES, [plan.RESTART, plan.WAIT], True, ANEW),
    ("restarted", STOPPED, [plan.START, plan.WAIT], True, RUNS),
    ("restarted", differing(RECREATE), [plan.REPLACE, plan.WAIT], True, ANEW),
    ("stopped", NOTHING, [], False, {}),
    ("stopped", SERVES, [plan.STOP], True, ENDS),
    ("stopped", STOPPED, [], False, {}),
    ("absent", NOTHING, [], False, {}),
    ("absent", SERVES, [plan.REMOVE], True, GONE),
    ("absent", Situation(previous=("e-previous",)), [plan.REMOVE], True, PREVIOUS_GOES),
    ("absent", Situation(prepared=("e-next",)), [plan.REMOVE], True, NEXT_GOES),
    # Cut off before the swap: the old one serves, the new one was only prepared.
    ("present", SERVES._replace(prepared=("e-next",)), [plan.REMOVE_NEXT], True, NEXT_GOES),
    ("stopped", Situation(prepared=("e-next",)), [plan.REMOVE_NEXT], True, NEXT_GOES),
    # Cut off between the two renames: only the kept container is there.
    (
        "present",
        Situation(previous=("e-previous",)),
        [plan.PUT_BACK, plan.START, plan.WAIT],
        True,
        {**MADE, **PREVIOUS_GOES},
    ),
    (
        "present",
        Situation(prepared=("e-next",), previous=("e-previous",), kept_changes=(Change("x", 1, 2, RECREATE),)),
        [plan.REMOVE_NEXT, plan.PUT_BACK, plan.REPLACE, plan.WAIT],
        True,
        {**MADE, **ANEW, "left_over": (["e-next", "e-previous"], [])},
    ),
    (
        "stopped",
        Situation(previous=("e-previous",)),
        [plan.PUT_BACK],
        True,
        {"exists": (False, True), "status": ("absent", "exited"), **PREVIOUS_GOES},
    ),
    # Cut off while the new container was loading.
    ("present", LOADS._replace(previous=("e-previous",)), [plan.WAIT, plan.REMOVE_PREVIOUS], True, PREVIOUS_GOES),
    (
        "present",
        STOPPED._replace(previous=("e-previous",)),
        [plan.START, plan.WAIT, plan.REMOVE_PREVIOUS],
        True,
        {**RUNS, **PREVIOUS_GOES},
    ),
    # Cut off when the new container served and the old one was not removed yet.
    ("present", SERVES._replace(previous=("e-previous",)), [plan.WAIT, plan.REMOVE_PREVIOUS], True, PREVIOUS_GOES),
    # Cut off, and now something else is wanted: what serves is the way back.
    (
        "present",
        differing(RECREATE, previous=("e-previous",)),
        [plan.REMOVE_PREVIOUS, plan.REPLACE, plan.WAIT],
        True,
        {**ANEW, **PREVIOUS_GOES},
    ),
    (
        "present",
        differing(RECREATE, ready=False, previous=("e-previous",)),
        [plan.PUT_BACK, plan.START, plan.WAIT],
        True,
        PREVIOUS_GOES,
    ),
    # What a new container needs comes first: the old one serves meanwhile.
    ("present", Situation(missing=FETCH), [*FETCH, plan.CREATE, plan.WAIT], True, {**MADE, **FETCHED}),
    ("present", differing(RECREATE, missing=FETCH), [*FETCH, plan.REPLACE, plan.WAIT], True, {**ANEW, **FETCHED}),
    (
        "present",
        differing(RECREATE, prepared=("e-next",), missing=FETCH),
        [*FETCH, plan.REMOVE_NEXT, plan.REPLACE, plan.WAIT],
        True,
        {**ANEW, **FETCHED, **NEXT_GOES},
    ),
    # Another name of the image that runs.
    (
        "present",
        SERVES._replace(missing=(plan.PULL_IMAGE,)),
        [plan.PULL_IMAGE],
        True,
        {"fetched": ([], [plan.PULL_IMAGE])},
    ),
    # No container is made or touched.
    ("prefetched", Situation(missing=FETCH), [*FETCH], True, FETCHED),
    ("prefetched", differing(RECREATE, missing=FETCH), [*FETCH], True, FETCHED),
    ("prefetched", differing(RECREATE), [], False, {}),
]


@pytest.mark.parametrize(("state", "situation", "steps", "changed", "shown"), TABLE)
def test_transition(
    state: str, situation: Situation, steps: list[str], changed: bool, shown: dict[str, tuple[Any, Any]]
) -> None:
    result = plan.plan(state, situation)
    status = ("running" if situation.running else "exited") if situation.exists else "absent"
    diff = plan.diff(situation, result, status, "then")

    assert result == steps
    assert plan.changed(result) is changed
    both = {key: (value, diff["after"][key]) for key, value in diff["before"].items()}
    assert {key: pair for key, pair in both.items() if pair[0] != pair[1]} == shown
    assert diff["before"].keys() == diff["after"].keys()


def test_recreate_replaces_where_nothing_differs() -> None:
    steps = plan.plan("present", SERVES, recreate=True)

    assert steps == [plan.REPLACE, plan.WAIT]
    assert plan.diff(SERVES, steps, "running", "then")["after"]["started_at"] == "(now)"
