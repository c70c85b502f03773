# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines of one host: one look for all, before one is touched. What is then done is in :mod:`.rollout`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan, state
from ansible_collections.inference.fleet.plugins.module_utils.containers.slots import STAND_IN
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import run as serving
from ansible_collections.inference.fleet.plugins.module_utils.serving.entries import name_of, serves, siblings, slot

Result = dict[str, Any]


def run(instances: Sequence[dict[str, Any]], check_mode: bool) -> Result:
    """Do for every engine of a host what the module engine was asked for; return the module's result.

    All are looked at before one is touched. FleetError names every engine that has a reason to fail.
    """
    if len(instances) == 1:
        result = {**serving.run(instances[0], check_mode), "name": name_of(instances[0])}
        return _pruned(instances[0], result, result.pop("others"), check_mode)
    results = looks = _look(instances)
    if not check_mode and any(look["steps"] for look in looks):
        from ansible_collections.inference.fleet.plugins.module_utils.serving import rollout

        results = rollout.run(instances, looks)
    others = [result.pop("others") for result in results][-1]
    return _pruned(instances[0], _merged(instances, results), others, check_mode)


def _pruned(one: dict[str, Any], result: Result, others: Sequence[Mapping[str, Any]], check_mode: bool) -> Result:
    """Remove the engines of the host that the task does not name, or tell of them."""
    # One that something else stands in for is to have its place again; and what stands in is told of no neighbour.
    paused = state.paused_slots() if others else frozenset()
    others = [other for other in others if other["slot"] not in paused]
    if not others or slot(one).name.startswith(STAND_IN):
        return result
    if not one["prune"]:
        listed = ", ".join(f"{other['name']} (slot {other['slot']}, {other['state']})" for other in others)
        told = f"engines that are not among those wanted are on the host: {listed}. To remove them, set prune."
        return {**result, "warnings": [*result["warnings"], told]}
    for other in others if not check_mode else ():
        # By its name, which no other container has; its slot may have a successor.
        named = {"slot": None, "container_name": other["name"]}
        serving.run({**one, **named, "state": plan.ABSENT, "remove_images": False}, check_mode=False)
    steps = [f"remove {other['name']}, which is not wanted any more" for other in others]
    return {**result, "changed": True, "steps": [*result["steps"], *steps]}


def _look(instances: Sequence[dict[str, Any]]) -> list[Result]:
    wanted = []
    if serves(instances[0]):
        from ansible_collections.inference.fleet.plugins.module_utils.containers.conflicts import between

        wanted = [serving.wanted_container(one) for one in instances]
        found = between(wanted, serving.cards(instances[0]))
        if found:
            raise FleetError("\n".join(found))
    looks, problems = [], []
    for one in instances:
        try:
            looks.append(serving.run(one, check_mode=True, siblings=siblings(instances, one)))
        except FleetError as error:
            problems.append(f"{name_of(one)}: {error}")
    if problems:
        raise FleetError("\n".join(problems))
    return looks


def _merged(instances: Iterable[dict[str, Any]], results: Sequence[Result]) -> Result:
    named = list(zip(map(name_of, instances), results, strict=True))
    return {
        "changed": any(result["changed"] for result in results),
        "warnings": [f"{name}: {warning}" for name, result in named for warning in result["warnings"]],
        "steps": [f"{name}: {step}" for name, result in named for step in result["steps"]],
        "ready": all(result["ready"] for result in results),
        "engine": results[0]["engine"],
        "diff": [
            {"before_header": name, "after_header": name, **result["diff"]}
            for name, result in named
            if result["changed"]
        ],
        "instances": [
            {**{key: value for key, value in result.items() if key != "warnings"}, "name": name}
            for name, result in named
        ],
    }
