# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The levels in which an endpoint is verified: each has the checks of basic, and its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import (
    anthropic,
    checks,
    context,
    responses,
    security,
    structured,
    tasks,
    tools,
)
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.check import Check
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.generation import CHAT
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

# Every check of a model that chats, in the order in which they are made: of the first ones auth was always last.
CHECKS: Mapping[str, Check] = {
    **{name: check for name, check in checks.CHECKS.items() if name != "auth"},
    **tools.CHECKS,
    **anthropic.CHECKS,
    **responses.CHECKS,
    **structured.CHECKS,
    **context.CHECKS,
    "auth": checks.CHECKS["auth"],
    **security.CHECKS,
}
# What users may name: those of a model that is for something else come last.
NAMES = (*CHECKS, *(name for each in tasks.CHECKS.values() for name in each))
LEVELS = ("basic", "tools", "anthropic", "responses", "context", "structured", "security")
# Without a level: what every model passes, random weights too, in a few seconds.
DEFAULT = tuple(checks.CHECKS)


def chosen(levels: Iterable[str] = (), only: Iterable[str] = (), task: str = CHAT) -> dict[str, Check]:
    """Return the checks of *levels* and those named in *only*; without either, those that every model of a task passes.

    A model that does not chat has levels basic and security alone. Raises :class:`FleetError` for others, and for
    checks of another task.
    """
    levels, only = set(levels), set(only)
    known, has = (CHECKS, LEVELS) if task == CHAT else (_of_task(task), ("basic", "security"))
    odd = sorted((levels - {"all", *has}) | (only - set(known)))
    if odd:
        raise FleetError(
            f"{', '.join(odd)}: no level or check of a model that is for {task}, which has levels {', '.join(has)} and "
            f"checks {', '.join(known)}. Choose among these, or say with task what the model is for."
        )
    if not levels and not only:
        return {name: check for name, check in known.items() if name in DEFAULT or name in tasks.CHECKS.get(task, ())}
    wanted = set(has) if "all" in levels else levels | ({"basic"} if levels else set())
    return {name: check for name, check in known.items() if check.level in wanted or name in only}


def _of_task(task: str) -> Mapping[str, Check]:
    basic = {name: CHECKS[name] for name in ("health", "model")}
    return {**basic, **tasks.CHECKS[task], "auth": CHECKS["auth"], **security.CHECKS}
