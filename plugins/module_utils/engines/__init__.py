# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines. Add one: write its file here (see :mod:`.spec`) and name it in ``ENGINES``.

The list is written out, because Ansible sends a host only what a module imports by name.
"""

from __future__ import annotations

from types import ModuleType

from ansible_collections.inference.fleet.plugins.module_utils.engines import sglang, simulator, vllm
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

ENGINES: dict[str, ModuleType] = {module.NAME: module for module in (vllm, sglang, simulator)}


def engine(name: str) -> ModuleType:
    """Return an engine's file by its name."""
    try:
        return ENGINES[name]
    except KeyError:
        raise FleetError(f"{name!r} is not an engine. Known: {', '.join(sorted(ENGINES))}.") from None
