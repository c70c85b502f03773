# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Launching a machine once, within the user's limits of money, where there is capacity.

A launch cannot be made idempotent by the API, so each carries an id in its tags, written to a file of this machine
before it is sent: after an answer that was lost, and in the run after one that was killed, it is looked for by that id
before anything is launched again.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import ending, offers, pace
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import CAPACITY, Api, ApiError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import (
    LAUNCH,
    Machine,
    grouped,
    launch_tags,
    machine,
    named,
    oldest_first,
)

# Seconds between two looks at what is free.
_CAPACITY_POLL = 30.0


@dataclass(frozen=True)
class Wanted:
    """What to launch. ``types`` and ``regions`` are tried in their order; no region means any."""

    types: tuple[str, ...]
    ssh_key_name: str
    regions: tuple[str, ...] = ()
    order: str = offers.IN_ORDER
    image: Mapping[str, str] | None = None
    lease: timedelta | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    user_data: str | None = None
    file_system_names: tuple[str, ...] = ()
    firewall_rulesets: tuple[str, ...] = ()

    def body(self, name: str, group: str | None, kind: str, region: str, launch_id: str, now: datetime) -> dict:
        """Return the request of one launch."""
        optional = {
            "image": self.image,
            "user_data": self.user_data,
            "file_system_names": list(self.file_system_names),
            "firewall_rulesets": [{"id": each} for each in self.firewall_rulesets],
        }
        return {
            "name": name,
            "instance_type_name": kind,
            "region_name": region,
            "ssh_key_names": [self.ssh_key_name],
            "tags": launch_tags(launch_id, now, self.lease, group, self.tags),
            **{key: value for key, value in optional.items() if value},
        }


@dataclass(frozen=True)
class Limits:
    """What all that is ours may come to, the new machine included. None is no limit."""

    max_hourly_usd: float | None = None
    max_instances: int | None = None

    def check(self, found: Sequence[Machine], offer: offers.Offer, more: int = 1) -> None:
        """Refuse a launch that would go over a limit."""
        ours = [each for each in found if each.ours and each.live]
        hourly = sum(each.hourly_usd for each in ours)
        running = (
            f"{len(ours)} of ours run for US$ {hourly:.2f} an hour ({', '.join(each.name for each in ours) or 'none'})"
        )
        if self.max_instances is not None and len(ours) + more > self.max_instances:
            raise FleetError(
                f"max_instances is {self.max_instances}: {more} more would be {len(ours) + more}. {running}. "
                "End one, or raise the limit."
            )
        if self.max_hourly_usd is not None and hourly + more * offer.hourly_usd > self.max_hourly_usd + 1e-9:
            raise FleetError(
                f"max_hourly_usd is {self.max_hourly_usd:.2f}: {more} {offer.name} at US$ {offer.hourly_usd:.2f} an "
                f"hour would make it {hourly + more * offer.hourly_usd:.2f}. {running}. End one, or raise the limit."
            )


class Launcher:
    """Launches machines of an account. *capacity_seconds* is how long to wait until one is free."""

    def __init__(self, api: Api, limits: Limits, capacity_seconds: float = 0.0) -> None:
        self._api = api
        self.limits = limits
        self._capacity_seconds = capacity_seconds
        self._intents = api.folder / "launches"
        # What this run has launched, by launch id.
        self.launched: list[str] = []

    def all(self) -> list[Machine]:
        """Return every instance of the account."""
        return [machine(raw) for raw in self._api.get("instances")]

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Be the only process of this machine that decides about a name."""
        with pace.locked(self._api.folder / "names" / name):
            yield

    def unseen(self, name: str) -> list[Machine]:
        """Return what an earlier run of this machine launched under a name, was killed, and shows only now.

        Waits no longer than the API may take to show a launch.
        """
        found = []
        for path in sorted(self._intents.glob("*.json")):
            intent = _read(path)
            if intent is None or intent.get("name") != name:
                continue
            until = float(intent["at"]) + self._api.settle
            if self._api.clock.now() < until:
                self._api.say(f"{name}: an earlier run may have launched it; looking for its launch {path.stem}.")
            shown = self._api.look_for(lambda launch=path.stem: self._by_launch(launch), until=until)
            if shown is not None:
                found.append(shown)
            path.unlink(missing_ok=True)
        return found

    def launch(self, name: str, group: str | None, wanted: Wanted) -> Machine:
        """Launch one machine and return it as the API shows it.

        FleetError where a limit forbids it, or nothing is free in time.
        """
        deadline = self._api.clock.now() + self._capacity_seconds
        told = False
        while True:
            found = offers.offers(self._api)
            types = offers.known(found, wanted.types)
            refused = []
            for offer, region in offers.places(types, wanted.regions, wanted.order):
                self.limits.check(self.all(), offer)
                try:
                    return self._launch_at(name, group, wanted, offer, region)
                except ApiError as error:
                    if error.code != CAPACITY:
                        raise
                    self._api.say(f"{name}: {offer.name} in {region} was taken meanwhile.")
                    refused.append(f"{offer.name} in {region}")
            where = " or ".join(wanted.regions) or "any region"
            free = "; ".join(f"{each.name} is free in {', '.join(each.regions)}" for each in types if each.regions)
            nothing = f"{name}: no {' or '.join(wanted.types)} is free in {where}" + (
                f" ({free})" if free and not refused else ""
            )
            left = deadline - self._api.clock.now()
            if left <= 0:
                raise FleetError(
                    f"{nothing}. Nothing was launched. Name other types or regions, or wait for capacity with "
                    "wait_for_capacity."
                )
            if not told:
                self._api.say(f"{nothing}; waiting for it for up to {left / 60:.0f} min.")
                told = True
            self._api.clock.sleep(min(_CAPACITY_POLL, left))

    def surplus_ended(self, name: str, timeout: float) -> list[Machine]:
        """End what this run launched although another control host launched the same; return what is left.

        Every control host orders them alike and the younger ends its own. Where that does not happen, its machine was
        handed over before this one showed: then this one, which nobody uses yet, goes.
        """

        def both() -> tuple[list[Machine], list[Machine]]:
            found = named(self.all(), name)
            return found, [each for each in found if each.tags.get(LAUNCH) in self.launched]

        found, mine = both()
        if len(found) > 1 and mine and found[0] in mine:
            self._api.say(f"{name}: another control host launched it too.")
            self._api.look_for(lambda: True if both()[0] == both()[1] else None)
            found, mine = both()
        extra = mine if len(mine) < len(found) else mine[1:]
        if extra:
            self._api.say(f"{name}: launched twice; ending {', '.join(each.id for each in extra)}.")
            ending.end(self._api, extra, timeout)
        return [each for each in found if each not in extra]

    def _launch_at(self, name: str, group: str | None, wanted: Wanted, offer: offers.Offer, region: str) -> Machine:
        self._api.book_launch()
        launch_id = secrets.token_hex(8)
        now = datetime.fromtimestamp(self._api.clock.now(), timezone.utc)
        body = wanted.body(name, group, offer.name, region, launch_id, now)
        intent = self._intents / f"{launch_id}.json"
        intent.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        intent.write_text(json.dumps({"name": group or name, "at": self._api.clock.now()}), encoding="utf-8")
        self.launched.append(launch_id)
        cost = f"US$ {offer.hourly_usd:.2f} an hour"
        self._api.say(f"{name}: launching {offer.name} in {region}, {cost}.")
        tries = 0

        def ask() -> str:
            nonlocal tries
            if tries:
                self._api.book_launch()
            tries += 1
            return self._api.send("POST", "instance-operations/launch", body)["instance_ids"][0]

        def find() -> str | None:
            shown = self._by_launch(launch_id)
            return shown.id if shown else None

        try:
            instance_id = self._api.once(ask, find, f"{name}: the launch {launch_id}")
        except ApiError:
            # It was refused: nothing runs.
            intent.unlink(missing_ok=True)
            self.launched.remove(launch_id)
            raise
        except FleetError as error:
            raise FleetError(
                f"{error} Whether it runs is not known. Run this again: it looks for the launch {launch_id} first; "
                f"it would cost {cost}."
            ) from error
        shown = self._api.look_for(lambda: self._by_launch(launch_id, tries > 1))
        intent.unlink(missing_ok=True)
        if shown is None:
            raise FleetError(
                f"{name}: Lambda said that it launched {instance_id} and does not list it after "
                f"{self._api.settle:.0f} s. It may run and cost {cost}: look at Lambda's console."
            )
        return shown

    def _by_launch(self, launch_id: str, repeated: bool = False) -> Machine | None:
        """Return what a launch made. Of one that was sent again, and made two after all, one is ended."""
        shown = oldest_first(
            each for each in self.all() if each.ours and each.live and each.tags.get(LAUNCH) == launch_id
        )
        if len(shown) > 1 and repeated:
            self._api.say(f"the launch {launch_id} made {len(shown)}; ending {', '.join(e.id for e in shown[1:])}.")
            ending.end(self._api, shown[1:], timeout=self._api.settle, wait=False)
        return shown[0] if shown else None


def counted(found: Sequence[Machine], group: str, count: int) -> tuple[list[str], list[Machine]]:
    """Return the names to launch and the machines to end, the oldest, so that a group has its count."""
    have = grouped(found, group)
    if len(have) >= count:
        return [], have[: len(have) - count]
    taken = {each.name for each in found if each.live}
    free = (f"{group}-{number}" for number in range(1, len(found) + count + 1))
    return [name for name in free if name not in taken][: count - len(have)], []


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
