# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts about a model that a deployment needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Model:
    """One model on the hub.

    ``gpus`` gives, for each GPU family that was tried, how many GPUs hold the model; ``weights_gib`` the size of its
    weights, ``None`` where that is not known. ``trust_remote_code`` is for one whose page asks for it.
    """

    id: str
    tool_call_parser: str | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)
    weights_gib: float | None = None
    trust_remote_code: bool = False
