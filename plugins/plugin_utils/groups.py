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
# Where what is known of the group is in a host's result.
STATE = "group_state"
# Steps after which a host's part of the engine is another process: the whole engine has to start with it.
_ANEW = frozenset({plan.CREATE, plan.REPLACE, plan.START, plan.RESTART, plan.PUT_BACK})

Result = Mapping[str, Any]


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
    """What all hosts of a group know of its deployment, after the stage that it names.

    ``failed`` says what went wrong, a sentence a host. ``anew`` has the reasons for which all of its hosts start anew,
    and ``differs`` tells whether there is anything to do. What an interrupted run made is ``unfinished`` where it
    serves and only is not kept yet. An engine may have been stopped or made once it is ``touched``. The head is
    ``ready`` where it serves. Where something ``ran`` before, the hosts that went ``back`` start it again; ``lost``
    says why that failed, and ``again`` whether it serves.
    """

    stage: str = ""
    failed: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()
    differs: bool = False
    unfinished: bool = False
    touched: bool = False
    ready: bool = False
    ran: bool = False
    back: bool = False
    lost: tuple[str, ...] = ()
    again: bool = False


def state(names: Sequence[str], results: Mapping[str, Result], batch: Collection[str]) -> State:
    """Return what is known of a group from the last result of each host that has one, *batch* being those in the play.

    A look is a result without a state: it is the first stage.
    """
    found = {name: results.get(name) or {} for name in names}
    carried = [State(**result[STATE]) for result in found.values() if result.get(STATE)]
    before = carried[0] if carried else State(LOOK)
    each = list(found.values())
    wrong = tuple(f"{name}: {why}" for name, result in found.items() for why in [_why(result, name in batch)] if why)
    ready = all(result.get("ready") for result in each)
    if before.stage in (RESUME, AWAIT_OLD) or (before.stage == END and before.back):
        # What an interrupted run wrote down may have run before it.
        ran = before.ran or (before.stage == END and any(result.get("ready") for result in each))
        lost = tuple(before.lost) or wrong
        serves = before.stage == AWAIT_OLD and not lost and bool(found[names[0]].get("ready"))
        return before._replace(ran=ran, lost=lost, again=before.again or serves)
    failed = tuple(before.failed) or wrong
    if before.stage == LOOK:
        anew = tuple(f"{name}: {reason}" for name, result in found.items() for reason in _reasons(result))
        unfinished = ready and any(result.get("interrupted") for result in each)
        return before._replace(
            failed=failed,
            anew=anew,
            differs=bool(anew or wrong or unfinished) or any(result.get("steps") for result in each),
            unfinished=unfinished,
            ran=any((result.get("engine") or {}).get("state") == "running" for result in each),
        )
    return before._replace(failed=failed, ready=ready if before.stage == AWAIT else before.ready)


def begun(before: State, stage: str) -> State:
    """Return what is known of a group while it is in a stage."""
    touched = before.touched or bool(stage in (STOP_HEAD, STOP, START) and not before.failed and before.differs)
    return before._replace(
        stage=stage, touched=touched, back=before.back or bool(stage == END and before.failed and touched)
    )


def orders(now: State, rank: int) -> list[str]:
    """Return what a host is to do in the stage that its group is in: stages of the module, or that it fetches."""
    if now.stage == PREPARE and not now.failed:
        # Else what serves now would not be what a deployment that fails goes back to.
        return [plan.KEEPS] * now.unfinished + [plan.PREFETCHED] * bool(now.anew)
    found = order(now, rank)
    return [found] if found else []


def order(now: State, rank: int) -> str | None:
    """Return the one stage of the module that a host is to do, in any other stage than PREPARE."""
    going = now.differs and not now.failed
    return {
        STOP_HEAD: plan.STOPS if going and now.anew and rank == 0 else None,
        STOP: plan.STOPS if going and now.anew and rank else None,
        START: plan.STARTS if going else None,
        AWAIT: plan.AWAITS if going and not now.ready else None,
        END: plan.GOES_BACK if now.back else plan.KEEPS if going else None,
        RESUME: plan.RESUMES if now.back and now.ran else None,
        AWAIT_OLD: plan.AWAITS if now.back and now.ran and not now.lost and not now.again and rank == 0 else None,
    }.get(now.stage)


def awaits(now: State) -> bool:
    """Tell whether the stage that a group is in has to be gone through again: its head may yet serve."""
    return now.stage in (AWAIT, AWAIT_OLD) and order(now, 0) is not None


def told(names: Sequence[str], now: State) -> str:
    """Return how a deployment of a group failed, and what is there now; nothing where it did not."""
    if not now.failed:
        return ""
    text = f"the engine of the group {', '.join(names)} was not deployed. " + " ".join(now.failed)
    if not now.touched:
        return f"{text}\nNo engine was touched."
    if not now.ran:
        return f"{text}\nIts hosts have what they had before; nothing ran there."
    if now.lost or not now.again:
        return (
            f"{text}\nIts hosts went back to what they had before, which does not serve: "
            f"{' '.join(now.lost) or 'it was not awaited to the end.'} Run again: the next run takes up what was left."
        )
    return f"{text}\nAll of its hosts went back to what they had before, which serves again."


def _reasons(result: Result) -> list[str]:
    steps = [step for step in result.get("steps") or () if step in _ANEW]
    return [*steps, *filter(None, [result.get("unwell")])]


def _why(result: Result, in_play: bool) -> str:
    """Return why a host's part of a stage failed; nothing where it did not."""
    if not in_play:
        return (
            "it is not in this run: it failed, does not answer, or -l or deploy_serial leaves it out. A group is "
            "deployed as a whole."
        )
    if not result:
        return "nothing is known of it: the stage before did not come to it."
    failed = result.get("failed") or result.get("unreachable")
    return str(result.get("error") or (result.get("msg") or "it failed without a word" if failed else ""))
