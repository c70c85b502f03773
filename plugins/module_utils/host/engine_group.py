# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an engine that several hosts serve is well, by what each of them tells. Pure.

A group without one of its members looks well until its head is asked for something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NAME = "engine_group"
RUNNING = "running"


def check(names: Sequence[str], parts: Mapping[str, Mapping[str, Any]], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the check of a group, as :mod:`.checks` has them, for each of its hosts alike.

    *names* are its hosts, the head first; *parts* what engine_info gave there, by host, or Ansible instead; *answer*
    what endpoint_check gave at the head, or nothing. A group that nobody deployed yet is ready for it.
    """
    states = {name: _state(parts.get(name) or {}) for name in names}
    known = {name: state for name, state in states.items() if state is not None}
    unknown = [name for name in names if name not in known]
    causes = [f"{name} {_ails(state)}" for name, state in known.items() if state != RUNNING]
    if not any(known.values()):
        causes = []
    elif states[names[0]] == RUNNING and answer.get("ok") is False:
        causes.append(f"the head {names[0]} does not serve: {answer.get('summary') or answer.get('msg')}")
    found = "; ".join(causes) or ("its engine serves" if answer.get("ok") else "nothing that is wrong")
    if known and not any(known.values()):
        found = "not deployed"
    if unknown:
        found += f"; nothing is known of {', '.join(unknown)}"
    return {
        "name": NAME,
        "ok": not causes,
        "required": True,
        "found": found,
        "wanted": f"an engine that runs on each of {', '.join(names)}, and answers at {names[0]}",
        "remedy": f"Run deploy.yml with -l {','.join(names)}: it starts the whole group anew." if causes else None,
    }


def _state(result: Mapping[str, Any]) -> str | None:
    """Return the state of a host's container, empty where it has none; None where that is not known."""
    engines = result.get("engines")
    if engines is None:
        return None
    return str(engines[0].get("state")) if engines else ""


def _ails(state: str) -> str:
    return f"has a container that is {state}" if state else "has no container of it"
