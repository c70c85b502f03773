# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending machines, seen in the API and not believed before, and what goes on billing after that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import MISSING, Api, ApiError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import Machine, machine

TIMEOUT = 900.0
_POLL = 5.0
# A terminating one may still bill.
_GONE = ("terminated", "preempted")


def end(api: Api, ending: Sequence[Machine], timeout: float = TIMEOUT, wait: bool = True) -> None:
    """End machines, and return when the API lists none of them as anything but terminated.

    FleetError where one still bills after *timeout* seconds.
    """
    ids = [each.id for each in ending]
    left = ids
    while left:
        try:
            api.repeatable("POST", "instance-operations/terminate", {"instance_ids": left})
            break
        except ApiError as error:
            still = [each.id for each in _listed(api, left) if each.live]
            # One that is gone already makes Lambda refuse them all.
            if error.code not in MISSING or still == left:
                raise
            left = still
    if not wait:
        return
    deadline = api.clock.now() + timeout
    while True:
        shown = [each for each in _listed(api, ids) if each.status not in _GONE]
        if not shown:
            return
        if api.clock.now() >= deadline:
            what = ", ".join(f"{each.name} ({each.id}) is {each.status}" for each in shown)
            hourly = sum(each.hourly_usd for each in shown)
            raise FleetError(
                f"Lambda was told to end {len(ids)} and after {timeout:.0f} s {what}. They may cost US$ {hourly:.2f} "
                "an hour until they are gone: run this again, and look at Lambda's console."
            )
        api.clock.sleep(_POLL)


def in_words(ended: Sequence[Machine], now: datetime, left_over: dict[str, Any], would: bool = False) -> str:
    """Return what was ended, or would be, what that has cost since its launch, and what bills after it."""
    names = ", ".join(each.name or each.id for each in ended) or "nothing"
    costs = [each.cost_usd(now) for each in ended]
    cost = "" if None in costs or not costs else f", US$ {sum(filter(None, costs)):.2f} since its launch"
    return f"{'Would end' if would else 'Ended'} {names}{cost}. {left_in_words(left_over)}"


def left(api: Api, found: Sequence[Machine]) -> dict[str, Any]:
    """Return what bills in the account after all: instances, ours and others, and file systems."""
    live = [each for each in found if each.live]
    return {
        "hourly_usd": round(sum(each.hourly_usd for each in live), 2),
        "instances": [
            {"id": each.id, "name": each.name, "ours": each.ours, "hourly_usd": each.hourly_usd} for each in live
        ],
        "file_systems": [
            {"name": each["name"], "region": each["region"]["name"], "gib": round(each.get("bytes_used", 0) / 2**30, 1)}
            for each in api.get("file-systems")
        ],
    }


def left_in_words(found: dict[str, Any]) -> str:
    """Return what bills as a sentence."""
    ours = [each["name"] or each["id"] for each in found["instances"] if each["ours"]]
    others = len(found["instances"]) - len(ours)
    parts = []
    if ours:
        parts.append(f"{len(ours)} of ours ({', '.join(ours)})")
    if others:
        parts.append(f"{others} that {'is' if others == 1 else 'are'} not ours")
    words = f"Still billing: {' and '.join(parts) or 'no instance'}, US$ {found['hourly_usd']:.2f} an hour"
    if found["file_systems"]:
        each = ", ".join(f"{item['name']} in {item['region']}, {item['gib']} GiB" for item in found["file_systems"])
        words += f"; and until it is deleted, by what it holds, each file system: {each}"
    return f"{words}."


def _listed(api: Api, ids: Sequence[str]) -> list[Machine]:
    return [each for each in map(machine, api.get("instances")) if each.id in ids]
