# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Launch, restart, rename and end instances of Lambda Cloud, from the control host."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud import (
    ending,
    launches,
    machines,
    offers,
    waiting,
)
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.api import Api
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.launches import Launcher, Limits, Wanted
from ansible_collections.inference.fleet.plugins.module_utils.lambda_cloud.machines import Machine
from ansible_collections.inference.fleet.plugins.plugin_utils import lambda_wanted
from ansible_collections.inference.fleet.plugins.plugin_utils.lambda_task import LambdaAction, now

PRESENT, ABSENT, RESTARTED, EXTENDED = "present", "absent", "restarted", "extended"
# Seconds in which a restart is to be seen, by SSH that goes away.
_RESTART_SEEN = 120.0


class ActionModule(LambdaAction):
    """Brings a name, or a count of them, to a state."""

    OWN: ClassVar = {
        "name": {"type": "str"},
        "state": {"type": "str", "default": PRESENT, "choices": [PRESENT, ABSENT, RESTARTED, EXTENDED]},
        "exact_count": {"type": "int"},
        "id": {"type": "str"},
        "not_ours": {"type": "str"},
        "new_name": {"type": "str"},
        "instance_types": {"type": "list", "elements": "str", "default": [], "aliases": ["instance_type"]},
        "regions": {"type": "list", "elements": "str", "default": [], "aliases": ["region"]},
        "choose_by": {"type": "str", "default": offers.IN_ORDER, "choices": [offers.IN_ORDER, offers.BY_PRICE]},
        "ssh_key_name": {"type": "str"},
        "image_family": {"type": "str", "default": "gpu-base-24-04"},
        "image_id": {"type": "str"},
        "lease": {"type": "str"},
        "tags": {"type": "dict", "default": {}},
        "user_data": {"type": "str", "no_log": True},
        "file_systems": {"type": "list", "elements": "str", "default": []},
        "firewall_rulesets": {"type": "list", "elements": "str", "default": []},
        "max_hourly_usd": {"type": "float"},
        "max_instances": {"type": "int"},
        "wait_for_capacity": {"type": "int", "default": 0},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": int(waiting.TIMEOUT)},
        "connect_by": {"type": "str", "default": "public", "choices": ["public", "private"]},
        "ssh_port": {"type": "int", "default": 22},
    }

    def act_on(self, account: Api, options: dict[str, Any]) -> dict[str, Any]:
        check(options)
        launcher = Launcher(
            account, Limits(options["max_hourly_usd"], options["max_instances"]), options["wait_for_capacity"]
        )
        task = _Task(account, launcher, options, self._task.check_mode)
        if options["name"] is not None and not task.check_mode and options["state"] == PRESENT:
            with launcher.alone(options["name"]):
                result = task.run()
        else:
            result = task.run()
        account.say(result["msg"])
        return result


def check(options: dict[str, Any]) -> None:
    """Refuse options that contradict each other, or that the API would not take."""
    state, name = options["state"], options["name"]
    if (name is None) == (options["id"] is None):
        raise FleetError("Wanted either name or id: name for what is ours, id for one instance by Lambda's id.")
    if options["id"] and state not in (ABSENT, RESTARTED):
        raise FleetError(f"id goes with state absent or restarted, found {state}.")
    if name is not None and state == PRESENT:
        machines.check_name(name if options["exact_count"] is None else f"{name}-{options['exact_count']}")
    if options["new_name"] is not None:
        machines.check_name(options["new_name"])
        if state != PRESENT or options["exact_count"] is not None:
            raise FleetError("new_name goes with state present of one instance.")
    if state == EXTENDED and not options["lease"]:
        raise FleetError("state extended wants lease: how long from now, such as 4h.")
    if options["exact_count"] is not None and (state != PRESENT or options["exact_count"] < 0):
        raise FleetError("exact_count goes with state present, and is 0 or more.")
    if options["lease"]:
        machines.duration(options["lease"])
    machines.check_tags(options["tags"])


class _Task:
    """One run of the module."""

    def __init__(self, account: Api, launcher: Launcher, options: dict[str, Any], check_mode: bool) -> None:
        self.account, self.launcher, self.options, self.check_mode = account, launcher, options, check_mode

    def run(self) -> dict[str, Any]:
        name, state = self.options["name"], self.options["state"]
        found = self.launcher.all()
        if self.options["id"]:
            chosen = [self._by_id(found)]
        elif self.options["exact_count"] is not None:
            return self._count(found, name)
        else:
            # A group's name stands for all of it, but where one is to be launched.
            chosen = machines.named(found, name) or (machines.grouped(found, name) if state != PRESENT else [])
        if state == ABSENT:
            return self._end(chosen, found)
        if state == PRESENT:
            return self._present(name, chosen, found)
        if not chosen:
            raise FleetError(
                f"No instance of ours is called {name}. Ours: {', '.join(e.name for e in found if e.ours) or 'none'}."
            )
        return self._restart(chosen) if state == RESTARTED else self._extend(chosen)

    def _by_id(self, found: Sequence[Machine]) -> Machine:
        """Return the instance of an id. One that is not ours has to be named twice."""
        wanted = self.options["id"]
        same = [each for each in found if each.id == wanted]
        if not same:
            if self.options["state"] == ABSENT:
                return Machine(wanted, wanted, wanted, "terminated", "unknown", "unknown", 0.0, 0, "")
            raise FleetError(f"The account has no instance {wanted}.")
        if not same[0].ours and self.options["not_ours"] != wanted:
            raise FleetError(
                f"The instance {wanted} ({same[0].name or 'without a name'}) was not launched by this collection. "
                f"To have it {self.options['state']} all the same, say it a second time with not_ours: {wanted}"
            )
        return same[0]

    def _present(self, name: str, have: list[Machine], found: list[Machine]) -> dict[str, Any]:
        new_name = self.options["new_name"]
        if new_name is not None and not have:
            have, name = machines.named(found, new_name), new_name
            if not have:
                raise FleetError(f"No instance of ours is called {self.options['name']}, so it cannot be renamed.")
        elif new_name is not None and machines.named(found, new_name):
            raise FleetError(f"There are instances of ours called both {name} and {new_name}.")
        if len(have) > 1:
            raise FleetError(
                f"{len(have)} instances of ours are called {name} and bill: {', '.join(e.id for e in have)}. "
                "End all but one (state: absent with id)."
            )
        if have:
            return self._kept(name, have[0])
        have = [] if self.check_mode else self.launcher.unseen(name)
        if have:
            return self._told(True, self._ready(have), {"before": {}, "after": {name: _shape(have[0])}})
        wanted = lambda_wanted.wanted(self.account, self.options)
        if self.check_mode:
            return self._would_launch([name], wanted, found)
        self.launcher.launch(name, None, wanted)
        ready = self._ready(self.launcher.surplus_ended(name, self.options["wait_timeout"])[:1])
        if self.options["wait"]:
            # Another control host's launch may have shown meanwhile.
            ready = self._ready(self.launcher.surplus_ended(name, self.options["wait_timeout"])[:1])
        return self._told(True, ready, {"before": {}, "after": {name: _shape(ready[0])}})

    def _kept(self, name: str, machine: Machine) -> dict[str, Any]:
        """Keep what runs, under its new name where it gets one. What cannot be changed is said."""
        types, regions = self.options["instance_types"], self.options["regions"]
        wrong = [
            f"{what} is {found}, wanted {' or '.join(wanted)}"
            for what, found, wanted in (("type", machine.type, types), ("region", machine.region, regions))
            if wanted and found not in wanted
        ]
        if wrong:
            raise FleetError(
                f"{name} runs ({machine.id}) and its {'; its '.join(wrong)}. That cannot be changed: end it first, or "
                "take another name."
            )
        new_name = self.options["new_name"]
        renames = new_name is not None and machine.name != new_name
        if renames and not self.check_mode:
            self._rename(machine, machines.renamed(str(new_name), machine))
        ready = [machine] if self.check_mode else self._ready([machine])
        diff = {"before": {"name": machine.name}, "after": {"name": new_name if renames else machine.name}}
        return self._told(renames, ready, diff if renames else None)

    def _count(self, found: list[Machine], group: str) -> dict[str, Any]:
        count = self.options["exact_count"]
        if not self.check_mode:
            self.launcher.unseen(group)
            found = self.launcher.all()
        names, extra = launches.counted(found, group, count)
        have = machines.grouped(found, group)
        diff = {
            "before": {group: [each.name for each in have]},
            "after": {group: [each.name for each in have if each not in extra] + names},
        }
        if extra:
            if not self.check_mode:
                self.account.say(f"{group}: ending the oldest, {', '.join(each.name for each in extra)}")
                ending.end(self.account, extra, self.options["wait_timeout"])
            return self._told(True, [each for each in have if each not in extra], diff, extra)
        if not names:
            return self._told(False, have if self.check_mode else self._ready(have), None)
        wanted = lambda_wanted.wanted(self.account, self.options)
        if self.check_mode:
            return self._would_launch(names, wanted, found)
        launched: list[Machine] = []
        for name in names:
            try:
                launched.append(self.launcher.launch(name, group, wanted))
            except FleetError as error:
                runs = ", ".join(each.name for each in have + launched)
                hourly = sum(each.hourly_usd for each in have + launched)
                raise FleetError(
                    f"{error} Of {count} {group}, {len(have + launched)} run and bill, US$ {hourly:.2f} an hour"
                    f"{f': {runs}' if runs else ''}.",
                    instances=[each.told(now(self.account)) for each in have + launched],
                ) from error
        return self._told(True, self._ready(have + launched), diff)

    def _would_launch(self, names: list[str], wanted: Wanted, found: list[Machine]) -> dict[str, Any]:
        known = offers.offers(self.account)
        types = offers.known(known, wanted.types)
        free = offers.places(types, wanted.regions, wanted.order)
        offer, region = free[0] if free else (types[0], None)
        self.launcher.limits.check(found, offer, len(names))
        shape = {"instance_type": offer.name, "region": region, "hourly_usd": offer.hourly_usd}
        words = f"US$ {offer.hourly_usd * len(names):.2f} an hour"
        where = f"in {region}" if region else "as soon as one is free: none is now"
        return {
            "changed": True,
            "instances": [],
            "msg": f"Would launch {', '.join(names)}: {offer.name} {where}, {words}.",
            "would_launch": [{"name": name, **shape} for name in names],
            "diff": {"before": {}, "after": {name: shape for name in names}},
        }

    def _ready(self, chosen: list[Machine]) -> list[Machine]:
        if not self.options["wait"] or not chosen:
            return chosen
        return waiting.until_ready(
            self.account,
            [each.id for each in chosen],
            self.options["wait_timeout"],
            self.options["connect_by"],
            self.options["ssh_port"],
        )

    def _end(self, chosen: list[Machine], found: list[Machine]) -> dict[str, Any]:
        live = [each for each in chosen if each.status != "terminated"]
        if not self.check_mode and live:
            names = ", ".join(each.name for each in live)
            self.account.say(f"{names}: ending, US$ {sum(e.hourly_usd for e in live):.2f} an hour")
            ending.end(self.account, live, self.options["wait_timeout"], self.options["wait"])
            found = self.launcher.all()
        else:
            found = [each for each in found if each not in live]
        left = ending.left(self.account, found)
        diff = {"before": {each.name: _shape(each) for each in live}, "after": {}}
        return {
            **self._told(bool(live), [], diff if live else None, live),
            "left": left,
            "msg": ending.in_words(live, now(self.account), left, self.check_mode),
        }

    def _restart(self, chosen: list[Machine]) -> dict[str, Any]:
        if not self.check_mode:
            self.account.send("POST", "instance-operations/restart", {"instance_ids": [each.id for each in chosen]})
            if self.options["wait"]:
                deadline = self.account.clock.now() + _RESTART_SEEN
                while self.account.clock.now() < deadline and all(self._answers(each) for each in chosen):
                    self.account.clock.sleep(2.0)
        return self._told(True, chosen if self.check_mode else self._ready(chosen), None)

    def _answers(self, machine: Machine) -> bool:
        address = machine.ip if self.options["connect_by"] == "public" else machine.private_ip
        return bool(address) and waiting.speaks_ssh(str(address), self.options["ssh_port"])

    def _extend(self, chosen: list[Machine]) -> dict[str, Any]:
        until = now(self.account) + machines.duration(self.options["lease"])
        late = [each for each in chosen if each.until is None or each.until < until]
        if not self.check_mode:
            for each in late:
                self._rename(each, machines.extended_name(each.name, until))
        ids = [each.id for each in chosen]
        shown = chosen if self.check_mode else [each for each in self.launcher.all() if each.id in ids]
        end = until.strftime("%Y-%m-%dT%H:%M:%SZ")
        diff = {
            "before": {each.name: {"lease_until": each.told(until)["lease_until"]} for each in late},
            "after": {each.name: {"lease_until": end} for each in late},
        }
        result = self._told(bool(late), shown, diff if late else None)
        ends = ", ".join(f"{each.name} until {each.told(until)['lease_until']}" for each in shown)
        return {**result, "msg": f"{ends}: US$ {result['hourly_usd']:.2f} an hour."}

    def _rename(self, machine: Machine, api_name: str) -> None:
        self.account.repeatable("POST", f"instances/{machine.id}", {"name": api_name})

    def _told(
        self,
        changed: bool,
        chosen: Sequence[Machine],
        diff: dict[str, Any] | None,
        ended: Sequence[Machine] = (),
    ) -> dict[str, Any]:
        moment = now(self.account)
        hourly = round(sum(each.hourly_usd for each in chosen), 2)
        costs = [each.cost_usd(moment) for each in chosen]
        result: dict[str, Any] = {
            "changed": changed,
            "instances": [each.told(moment) for each in chosen],
            "ended": [each.told(moment) for each in ended],
            "hourly_usd": hourly,
            "cost_usd": round(sum(cost or 0.0 for cost in costs), 2),
            "msg": f"{_names(chosen)}: US$ {hourly:.2f} an hour, {sum(cost or 0.0 for cost in costs):.2f} so far.",
        }
        overdue = [each.name for each in self._overdue(chosen)]
        if overdue:
            result["warnings"] = [f"Past the end of its lease, and billing: {', '.join(overdue)}. reap.yml ends it."]
        if diff is not None:
            result["diff"] = diff
        return result

    def _overdue(self, chosen: Sequence[Machine]) -> list[Machine]:
        with suppress(FleetError):
            return [each for each in self.launcher.all() if each.overdue(now(self.account))]
        return [each for each in chosen if each.overdue(now(self.account))]


def _shape(machine: Machine) -> dict[str, Any]:
    return {"instance_type": machine.type, "region": machine.region, "hourly_usd": machine.hourly_usd}


def _names(chosen: Sequence[Machine]) -> str:
    return ", ".join(each.name or each.id for each in chosen) or "nothing"
