# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who serves a model together, and what a deployment of them does next, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.plugin_utils import groups

PAIR = ["a", "b"]
RUNNING = {"state": "running"}
NOTHING_TO_DO = {"steps": [], "unwell": "", "engine": RUNNING, "ready": True}
REPLACE = {"steps": [plan.REPLACE, plan.WAIT], "engine": RUNNING}
CREATE = {"steps": [plan.CREATE, plan.WAIT], "engine": {}}


# How many hosts take their turn at once: Ansible's forks. One after another, each sees what those before it did.
TURNS = [PAIR, ["a"], ["b"]]


class Hosts:
    """Two hosts that go through the stages of a deployment, as the action has them; *fails* names what goes wrong."""

    # Those that take the first turn; the other one, if any, comes when they are through the stage.
    first = PAIR

    def __init__(self, *looks: Mapping[str, Any], fails: Mapping[tuple[str, str], str] | None = None, ran: bool = True):
        self.histories = {name: groups.history(look) for name, look in zip(PAIR, looks, strict=True)}
        self.batch = list(PAIR)
        self.fails = dict(fails or {})
        self.ran = ran
        self.rounds = 2
        self.orders: list[tuple[str, str]] = []

    @property
    def known(self) -> groups.State:
        return groups.now(PAIR, self.histories, self.batch)[1]

    def go(self, stage: str) -> None:
        """Go through a stage on all hosts."""
        done = []
        for turn in (self.first, [name for name in PAIR if name not in self.first]):
            found = {}
            for name in turn:
                known = groups.before(stage, PAIR, self.histories, self.batch)
                rank = PAIR.index(name)
                last = list(self.histories[name].values())[-1:]
                result: dict[str, Any] = {"ready": any(outcome["ready"] for outcome in last)}
                for order in groups.orders(stage, known, rank):
                    done.append((name, order))
                    result = self._done(name, rank, stage, order)
                found[name] = {**self.histories[name], stage: groups.outcome(result)}
            self.histories |= found
        self.orders += sorted(done)

    def _done(self, name: str, rank: int, stage: str, order: str) -> dict[str, Any]:
        if (name, stage) in self.fails:
            return {"error": self.fails[name, stage]}
        if order == plan.AWAITS:
            if rank:
                return {"ready": True}
            self.rounds -= 1
            return {"ready": self.rounds <= 0}
        return {"ready": self.ran if order == plan.GOES_BACK else False}

    def deploy(self) -> str:
        """Go through all stages; return what is told in the end."""
        for stage in (groups.PREPARE, groups.STOP_HEAD, groups.STOP, groups.START):
            self.go(stage)
        self._await(groups.AWAIT)
        self.go(groups.END)
        if self.known.back:
            self.go(groups.RESUME)
            self.rounds = 2
            self._await(groups.AWAIT_OLD)
        return groups.told(PAIR, groups.before(groups.TELL, PAIR, self.histories, self.batch))

    def _await(self, stage: str) -> None:
        for _round in range(20):
            self.go(stage)
            if not groups.awaits(*groups.now(PAIR, self.histories, self.batch)):
                return
        raise AssertionError("it waits for ever")


@pytest.fixture(autouse=True, params=TURNS, ids=["at once", "head first", "member first"])
def turns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hosts, "first", request.param)


def test_a_group_that_is_right_is_left_alone() -> None:
    hosts = Hosts(NOTHING_TO_DO, NOTHING_TO_DO)
    assert not hosts.known.differs
    assert hosts.deploy() == ""
    assert hosts.orders == []


def test_one_host_s_difference_starts_all_anew_the_head_stopped_first() -> None:
    hosts = Hosts(NOTHING_TO_DO, REPLACE)
    assert hosts.deploy() == ""
    assert [order for order in hosts.orders if order[1] != plan.AWAITS] == [
        *(("a", plan.PREFETCHED), ("b", plan.PREFETCHED)),
        *(("a", plan.STOPS), ("b", plan.STOPS)),
        *(("a", plan.STARTS), ("b", plan.STARTS)),
        *(("a", plan.KEEPS), ("b", plan.KEEPS)),
    ]
    awaited = [name for name, order in hosts.orders if order == plan.AWAITS]
    assert awaited.count("a") == 2
    assert "b" in awaited


def test_a_head_that_does_not_answer_starts_all_anew() -> None:
    hosts = Hosts({**NOTHING_TO_DO, "unwell": "it hangs"}, NOTHING_TO_DO)
    assert hosts.known.anew == ("a: it hangs",)
    assert hosts.deploy() == ""
    assert ("b", plan.STOPS) in hosts.orders


def test_what_an_interrupted_run_made_and_what_serves_is_kept_before_anything_else() -> None:
    hosts = Hosts({**NOTHING_TO_DO, "interrupted": True}, NOTHING_TO_DO)
    assert hosts.deploy() == ""
    assert hosts.orders[:2] == [("a", plan.KEEPS), ("b", plan.KEEPS)]
    assert plan.STOPS not in {order for _name, order in hosts.orders}
    upgraded = Hosts({**REPLACE, "interrupted": True, "ready": True}, {**REPLACE, "ready": True})
    assert upgraded.deploy() == ""
    assert upgraded.orders[:2] == [("a", plan.KEEPS), ("a", plan.PREFETCHED)]
    # What does not serve is no way back.
    broken = Hosts({**REPLACE, "interrupted": True}, REPLACE)
    assert broken.deploy() == ""
    assert ("a", plan.KEEPS) not in broken.orders[:2]


def test_what_takes_no_restart_is_done_without_one() -> None:
    hosts = Hosts(NOTHING_TO_DO, {**NOTHING_TO_DO, "steps": [plan.UPDATE_CONTAINER]})
    assert hosts.deploy() == ""
    assert {order for _name, order in hosts.orders} == {plan.STARTS, plan.AWAITS, plan.KEEPS}


@pytest.mark.parametrize("stage", [groups.STOP_HEAD, groups.STOP, groups.START, groups.AWAIT])
def test_one_host_s_failure_sends_all_back_to_what_serves_again(stage: str) -> None:
    culprit = "a" if stage == groups.STOP_HEAD else "b"
    hosts = Hosts(REPLACE, REPLACE, fails={(culprit, stage): "out of memory"})
    told = hosts.deploy()
    assert told.startswith(f"the engine of the group a, b was not deployed. {culprit}: out of memory")
    assert told.endswith("All of its hosts went back to what they had before, which serves again.")
    after = hosts.orders[hosts.orders.index(("a", plan.GOES_BACK)) :]
    assert after == [
        *(("a", plan.GOES_BACK), ("b", plan.GOES_BACK)),
        *(("a", plan.RESUMES), ("b", plan.RESUMES)),
        *(("a", plan.AWAITS), ("a", plan.AWAITS)),
    ]


def test_what_cannot_be_removed_is_told_and_sends_nobody_back() -> None:
    hosts = Hosts(REPLACE, REPLACE, fails={("b", groups.END): "Docker is busy", ("a", groups.END): "so it is"})
    told = hosts.deploy()
    assert "a, b serves, and of what was there before something is left. a: so it is b: Docker is busy Run" in told
    assert plan.GOES_BACK not in {order for _name, order in hosts.orders}


def test_what_fails_before_anything_was_stopped_leaves_all_as_it_is() -> None:
    hosts = Hosts(REPLACE, REPLACE, fails={("b", groups.PREPARE): "the disk is full"})
    assert hosts.deploy().endswith("b: the disk is full\nNo engine was touched.")
    assert {order for _name, order in hosts.orders} == {plan.PREFETCHED}


def test_where_nothing_ran_nothing_is_started_again() -> None:
    hosts = Hosts(CREATE, CREATE, fails={("a", groups.AWAIT): "no answer"}, ran=False)
    assert hosts.deploy().endswith("Its hosts have what they had before; nothing ran there.")
    assert ("a", plan.RESUMES) not in hosts.orders


def test_a_way_back_that_fails_is_told() -> None:
    hosts = Hosts(REPLACE, REPLACE, fails={("b", groups.START): "no", ("b", groups.RESUME): "Docker is gone"})
    assert ("a", plan.AWAITS) not in hosts.orders
    assert "went back to what they had before, which does not serve: b: Docker is gone" in hosts.deploy()


@pytest.mark.parametrize("look", [{"error": "no Docker"}, {"failed": True, "msg": "no Docker"}])
def test_a_host_that_could_not_be_looked_at_stops_all_before_anything_is_done(look: dict[str, Any]) -> None:
    hosts = Hosts(REPLACE, look)
    assert hosts.deploy().endswith("b: no Docker\nNo engine was touched.")
    assert hosts.orders == []


def test_a_group_is_deployed_whole_or_not_at_all() -> None:
    hosts = Hosts(REPLACE, {})
    hosts.batch = ["a"]
    assert hosts.known.differs
    told = hosts.deploy()
    assert "b: it is not in this run" in told
    assert hosts.orders == []


def variables(**more: Any) -> dict[str, dict[str, Any]]:
    shared = {"engine_group": PAIR, "ansible_host": "10.0.0.9"}
    return {"a": {**shared, "ansible_host": "10.0.0.1"}, "b": {**shared, **more}, "c": {}}


def test_a_host_s_place() -> None:
    assert groups.member("c", variables()) == {}
    assert groups.member("b", variables(engine_group_address="10.1.0.2", engine_group_interface="ib0")) == {
        "rank": 1,
        "names": PAIR,
        "addresses": ["10.0.0.1", "10.1.0.2"],
        "interface": "ib0",
        "port": 29501,
        "public": False,
        "firewall": False,
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"engine_group": "b"}, "wanted a list of hosts of the inventory, found 'b'"),
        ({"engine_group": ["b"]}, "wanted two hosts or more"),
        ({"engine_group": ["a", "c"]}, "b among them"),
        ({"engine_group": ["b", "b"]}, "each once"),
        ({"engine_group": ["b", "d"]}, "no host of the inventory is called d"),
        ({"engine_group": ["b", "a"]}, "engine_group is b, a, and that of b is b, a|that of a is a, b"),
        ({"engine_group": ["b", "c"]}, "that of c is empty"),
    ],
)
def test_what_is_no_group_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FleetError, match=said):
        groups.member("b", variables(**given))


def test_the_module_s_option_has_every_stage() -> None:
    own = {plan.STOPS, plan.STARTS, plan.AWAITS, plan.KEEPS, plan.GOES_BACK, plan.RESUMES}
    assert set(plan.STAGES) == {*groups.STAGES, *own}
