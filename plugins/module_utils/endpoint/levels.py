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
    tools,
)
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.checks import Check

# Every check, in the order in which they are made; auth comes last, as what it tells was always told last.
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
LEVELS = ("basic", "tools", "anthropic", "responses", "context", "structured", "security")
# Without a level: what every model passes, random weights too, in a few seconds.
DEFAULT = tuple(checks.CHECKS)


def chosen(levels: Iterable[str] = (), only: Iterable[str] = ()) -> dict[str, Check]:
    """Return the checks of *levels* and those named in *only*; without either, those of :data:`DEFAULT`."""
    levels, only = set(levels), set(only)
    if not levels and not only:
        return {name: CHECKS[name] for name in DEFAULT}
    wanted = set(LEVELS) if "all" in levels else levels | ({"basic"} if levels else set())
    return {name: check for name, check in CHECKS.items() if check.level in wanted or name in only}
