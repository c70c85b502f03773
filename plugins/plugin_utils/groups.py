# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several hosts that serve one model together: who they are, and what a deployment of them does next. All pure.

A deployment of a group goes through stages, each on all of its hosts before the next begins. What a stage found on each
host is in that host's result; from these, and from nothing else, every host comes to the same decision.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

GROUP = "engine_group"
# The stages, in their order. Those of :mod:`.plan` are the module's own.
LOOK, PREPARE, STOP_HEAD, STOP, START, AWAIT, END, RESUME, AWAIT_OLD, TELL = STAGES = (
    "look",
    "prepare",
    "stop_head",
    "stop",
    "start",
    "await",
    "end",
    "resume",
    "await_old",
    "tell",
)
# Where a host's result has what came of each stage.
HISTORY = "group_history"
# Steps after which a host's part of the engine is another process: the whole engine has to start with it.
_ANEW = frozenset({plan.CREATE, plan.REPLACE, plan.START, plan.RESTART, plan.PUT_BACK})

Result = Mapping[str, Any]
# By host, what came of each stage.
Histories = Mapping[str, Mapping[str, Result]]


def member(host: str, variables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the option group of the module engine for a host; nothing where it serves alone.

    *variables* are those of each host. FleetError where they contradict each other.
    """
    names = members(host, variables[host])
    if not names:
        return {}
    unknown = [name for name in names if name not in variables]
    if unknown:
        raise FleetError(f"{host}: engine_group: no host of the inventory is called {', '.join(unknown)}.")
    for name in names:
        other = members(name, variables[name])
        if other != names:
            raise FleetError(
                f"{host}: engine_group is {', '.join(names)}, and that of {name} is {', '.join(other) or 'empty'}. "
                "Set it alike for all of its hosts, for instance in the variables of an inventory group."
            )
    head = variables[names[0]]
    return {
        "rank": names.index(host),
        "names": names,
        "addresses": [_address(name, variables[name]) for name in names],
        "interface": _text(variables[host], "engine_group_interface"),
        "port": int(head.get("engine_group_port") or 29501),
        # As they are given: the module knows a word from a truth.
        "public": variables[host].get("engine_group_public") or False,
        "firewall": variables[host].get("engine_group_firewall") or False,
    }


def members(host: str, variables: Mapping[str, Any]) -> list[str]:
    """Return the hosts of a host's group, the head first; none where it serves alone."""
    given = variables.get(GROUP) or []
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise FleetError(f"{host}: engine_group: wanted a list of hosts of the inventory, found {given!r}.")
    names = [str(name) for name in given]
    if not names:
        return []
    if len(names) < 2 or len(set(names)) < len(names) or host not in names:
        raise FleetError(
            f"{host}: engine_group: wanted two hosts or more, each once and {host} among them, found "
            f"{', '.join(names)}."
        )
    return names


def _address(name: str, variables: Mapping[str, Any]) -> str:
    return _text(variables, "engine_group_address") or _text(variables, "ansible_host") or name


def _text(variables: Mapping[str, Any], name: str) -> str:
    return str(variables.get(name) or "")


class State(NamedTuple):
    """What is known of a group's deployment.

    ``failed`` says what went wrong, a sentence a host. ``anew`` has the reasons for which all of its hosts start anew,
    and ``differs`` tells whether there is anything to do. What an interrupted run made is ``unfinished`` where it
    serves and only is not kept yet. An engine may have been stopped or made once it is ``touched``. The head is
    ``ready`` where it serves. Where something ``ran`` before, the hosts that go back start it again, ``again`` where it
    serves. ``lost`` says what went wrong in the end: in going back, or in removing what was there before.
    """

    failed: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()
    differs: bool = False
    unfinished: bool = False
    touched: bool = False
    ready: bool = False
    ran: bool = False
    lost: tuple[str, ...] = ()
    again: bool = False

    @property
    def going(self) -> bool:
        """Whether there is something to do, and nothing failed yet."""
        return self.differs and not self.failed

    @property
    def back(self) -> bool:
        """Whether its hosts have to go back to what they had."""
        return bool(self.failed) and self.touched


def history(result: Result) -> dict[str, Result]:
    """Return what came of each stage on a host, from its last result. A look alone is the first stage."""
    return dict(result.get(HISTORY) or ({LOOK: outcome(result)} if result else {}))


def outcome(result: Result) -> Result:
    """Return what other hosts have to know of what came of a stage on a host."""
    failed = result.get("failed") or result.get("unreachable")
    return {
        "error": str(result.get("error") or (result.get("msg") or "it failed without a word" if failed else "")),
        "running": (result.get("engine") or {}).get("state") == "running",
        **{key: result.get(key) for key in ("ready", "steps", "unwell", "interrupted")},
    }


def before(stage: str, names: Sequence[str], histories: Histories, batch: Collection[str]) -> State:
    """Return what is known when a stage begins, from what came of those before it on each host, *batch* being in play.

    A host that is through the stage already, as with few forks, changes nothing. A stage that is gone through in rounds
    comes after its own.
    """
    rounds = stage in (AWAIT, AWAIT_OLD) and any(stage in histories.get(name, {}) for name in names)
    known = State()
    for past in STAGES[: STAGES.index(stage) + rounds]:
        found = {name: histories.get(name, {}).get(past) for name in names}
        # Where nothing went wrong, nobody comes to the stages of going back.
        if past == LOOK or any(found.values()):
            known = _after(past, known, found, batch, due=past != stage)
    return known


def now(names: Sequence[str], histories: Histories, batch: Collection[str]) -> tuple[str, State]:
    """Return the last stage that any host is through, and what is known after it."""
    through = [STAGES.index(stage) for name in names for stage in histories.get(name, {})]
    last = max(through, default=0)
    return STAGES[last], before(STAGES[min(last + 1, len(STAGES) - 1)], names, histories, batch)


def _after(stage: str, known: State, found: Mapping[str, Result | None], batch: Collection[str], due: bool) -> State:
    """Return what is known after a stage; *due* tells whether every host has to be through it."""
    each = [result or {} for result in found.values()]
    why = {name: _why(result, name in batch, due) for name, result in found.items()}
    wrong = tuple(f"{name}: {reason}" for name, reason in why.items() if reason)
    if stage in (END, RESUME, AWAIT_OLD):
        # What an interrupted run wrote down may have run before it.
        ran = known.ran or (stage == END and known.back and any(result.get("ready") for result in each))
        lost = known.lost or wrong
        serves = stage == AWAIT_OLD and not lost and bool(each[0].get("ready"))
        return known._replace(ran=ran, lost=lost, again=known.again or serves)
    failed = known.failed or wrong
    ready = all(result.get("ready") for result in each)
    if stage == LOOK:
        anew = tuple(f"{name}: {reason}" for name, result in found.items() for reason in _reasons(result or {}))
        unfinished = ready and any(result.get("interrupted") for result in each)
        return State(
            failed=failed,
            anew=anew,
            differs=bool(anew or wrong or unfinished) or any(result.get("steps") for result in each),
            unfinished=unfinished,
            ran=any(result.get("running") for result in each),
        )
    if stage == AWAIT:
        return known._replace(failed=failed, ready=ready)
    return known._replace(failed=failed, touched=known.touched or (stage != PREPARE and known.going))


def orders(stage: str, known: State, rank: int) -> list[str]:
    """Return what a host is to do in a stage: stages of the module, or that it fetches."""
    if stage == PREPARE and known.going:
        # Else what serves now would not be what a deployment that fails goes back to.
        return [plan.KEEPS] * known.unfinished + [plan.PREFETCHED] * bool(known.anew)
    stops = known.going and known.anew
    order = {
        STOP_HEAD: plan.STOPS if stops and rank == 0 else None,
        STOP: plan.STOPS if stops and rank else None,
        START: plan.STARTS if known.going else None,
        AWAIT: plan.AWAITS if known.going and not known.ready else None,
        END: plan.GOES_BACK if known.back else plan.KEEPS if known.going else None,
        RESUME: plan.RESUMES if known.back and known.ran else None,
        AWAIT_OLD: plan.AWAITS if known.back and known.ran and not (known.lost or known.again or rank) else None,
    }.get(stage)
    return [order] if order else []


def awaits(stage: str, known: State) -> bool:
    """Tell whether a stage has to be gone through again: the head may yet serve."""
    return stage in (AWAIT, AWAIT_OLD) and bool(orders(stage, known, 0))


def told(names: Sequence[str], known: State) -> str:
    """Return how a deployment of a group failed, and what is there now; nothing where it did not."""
    group = f"the engine of the group {', '.join(names)}"
    if not known.failed:
        left = " ".join(known.lost)
        again = "Run again: the next run removes it."
        return f"{group} serves, and of what was there before something is left. {left} {again}" if left else ""
    text = f"{group} was not deployed. " + " ".join(known.failed)
    if not known.touched:
        return f"{text}\nNo engine was touched."
    if not known.ran:
        return f"{text}\nIts hosts have what they had before; nothing ran there."
    if known.again:
        return f"{text}\nAll of its hosts went back to what they had before, which serves again."
    return (
        f"{text}\nIts hosts went back to what they had before, which does not serve: "
        f"{' '.join(known.lost) or 'it was not awaited to the end.'} Run again: the next run takes up what was left."
    )


def _reasons(result: Result) -> list[str]:
    steps = [step for step in result.get("steps") or () if step in _ANEW]
    return [*steps, *filter(None, [result.get("unwell")])]


def _why(result: Result | None, in_play: bool, due: bool) -> str:
    """Return why a host's part of a stage failed; nothing where it did not."""
    if not in_play:
        return (
            "it is not in this run: it failed, does not answer, or -l or deploy_serial leaves it out. A group is "
            "deployed as a whole."
        )
    if result is None:
        return "nothing is known of it: the stage before did not come to it." if due else ""
    return str(result["error"])
