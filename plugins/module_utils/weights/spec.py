# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How weights of the Hugging Face hub are named."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")


@dataclass(frozen=True)
class Weights:
    """A model on the hub; a revision of ``None`` is the hub's default."""

    model: str
    revision: str | None = None

    @property
    def folder(self) -> str:
        """The name of its folder in a cache."""
        return f"models--{self.model.replace('/', '--')}"

    def __str__(self) -> str:
        return f"{self.model} at revision {self.revision}" if self.revision else self.model


def is_hub_name(model: str) -> bool:
    """Tell whether a model is named as on the hub, and not by a directory."""
    return bool(_NAME.fullmatch(model)) and ".." not in model and "--" not in model
