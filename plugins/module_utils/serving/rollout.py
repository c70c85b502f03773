# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several engines of one host, brought to where they should be. A look, which most runs are, does not load it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.containers.conflicts import conflicts
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import run as serving
from ansible_collections.inference.fleet.plugins.module_utils.serving.entries import name_of, serves, siblings, slot

# Steps during which an engine that served does not: taken by one engine of a host at a time.
_OUTAGE = frozenset({plan.REPLACE, plan.RESTART})

Result = dict[str, Any]


def run(instances: Sequence[dict[str, Any]], looks: Sequence[Result]) -> list[Result]:
    """Replace engines one after another, so that the others serve meanwhile; then start the new ones side by side."""
    results = list(looks)
    ran = frozenset(look["engine"]["container"]["id"] for look in looks if look["engine"].get("state") == "running")

    def act(index: int) -> Result:
        one = instances[index]
        return serving.run(_speaking(one), check_mode=False, siblings=siblings(instances, one), ran=ran)

    busy = [index for index, look in enumerate(looks) if look["steps"]]
    one_by_one = [index for index in busy if _OUTAGE & set(looks[index]["steps"]) or not serves(instances[index])]
    one_by_one = _in_order(instances, looks, one_by_one)
    fetched = _fetch([instances[index] for index in busy], [looks[index] for index in busy])
    for place, index in enumerate(one_by_one):
        try:
            results[index] = act(index)
        except FleetError as error:
            left = [name_of(instances[other]) for other in busy if other not in one_by_one[: place + 1]]
            untouched = f"\nNot touched any more: {', '.join(left)}." if left else ""
            raise FleetError(f"{name_of(instances[index])}: {error}{untouched}", **error.details) from error
    side_by_side = [index for index in busy if index not in one_by_one]
    problems = []
    with ThreadPoolExecutor(max_workers=len(side_by_side) or 1) as pool:
        futures = {index: pool.submit(act, index) for index in side_by_side}
        for index, future in futures.items():
            try:
                results[index] = future.result()
            except FleetError as error:
                problems.append(f"{name_of(instances[index])}: {error}")
    if problems:
        raise FleetError("\n".join(problems))
    for index, steps in zip(busy, fetched, strict=True):
        results[index] = {
            **results[index],
            "changed": results[index]["changed"] or bool(steps),
            "steps": [*steps, *(step for step in results[index]["steps"] if step not in steps)],
        }
    for index in one_by_one:
        engine = results[index]["engine"]
        # Another engine of the task had its name until just now.
        if engine and engine["name"] != name_of(instances[index]):
            results[index] = {**results[index], "engine": act(index)["engine"]}
    return results


def _in_order(instances: Sequence[dict[str, Any]], looks: Sequence[Result], indices: Sequence[int]) -> list[int]:
    """Order engines to be replaced so that each finds its GPUs and ports left by those before it.

    Raises :class:`FleetError` where two want each other's: neither could be put back.
    """
    if not indices or not serves(instances[0]):
        return list(indices)
    current = serving.containers(instances[0], [slot(one) for one in instances])
    wanted = {index: serving.wanted_container(instances[index]) for index in indices}
    ordered, left = [], list(indices)
    while left:
        for index in left:
            others = [current[other] for other in range(len(instances)) if other != index and other not in ordered]
            found = conflicts(wanted[index], [item for item in others if item], serving.cards(instances[0]))
            if not found:
                ordered.append(index)
                left.remove(index)
                break
        else:
            names = " and ".join(name_of(instances[index]) for index in left)
            raise FleetError(
                f"{names} would have what the other has now, and no engine was touched: {' '.join(found)} "
                "Deploy one of them with state stopped first."
            )
    return ordered


def _fetch(instances: Sequence[dict[str, Any]], looks: Sequence[Result]) -> list[list[str]]:
    """Bring images and weights, which engines may have in common, before one is stopped; return each one's steps."""
    done = []
    for one, look in zip(instances, looks, strict=True):
        wanted = serves(one) and set(look["steps"]) & set(plan.FETCH)
        done.append(
            serving.run({**_speaking(one), "state": plan.PREFETCHED}, check_mode=False)["steps"] if wanted else []
        )
    return done


def _speaking(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "progress_name": name_of(one)}
