# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments that pass through to a program, beside those that options set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

# A shorter beginning of a flag than this, dashes included, says nothing.
_SHORTEST = 4


def refuse_managed(extra_args: Sequence[str], managed: Mapping[str, str]) -> None:
    """Raise :class:`FleetError` when extra arguments repeat flags that options set.

    *managed* has the option of each flag. Programs take underscores for hyphens, and the beginning of a flag for it.
    """
    clashes = []
    for argument in extra_args:
        flag = argument.split("=", 1)[0]
        if flag.startswith("--"):
            flag = flag.replace("_", "-")
        meant = next((name for name in managed if name == flag), None)
        if meant is None and flag.startswith("--") and len(flag) >= _SHORTEST:
            meant = next((name for name in managed if name.startswith(flag)), None)
        if meant is not None:
            clashes.append(f"{flag} (set by {managed[meant]})")
    if clashes:
        raise FleetError(
            f"extra_args repeats what other options set: {', '.join(clashes)}. "
            "Remove it from extra_args and use the option named."
        )
