# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How weights of the Hugging Face hub are named, and in which of their forms an engine loads them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

# The forms of one model's weights that a repository may have side by side, as download.wanted() knows them. AUTO is
# Mistral's own where there is one, and else the hub's.
AUTO, HUB, MISTRAL, PT, BIN, NONE = "auto", "hub", "mistral", "pt", "bin", "none"
COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
# What git allows of a branch, a tag or refs/pr/1, and no way out of a directory.
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@=-]*(/[A-Za-z0-9_][A-Za-z0-9._+@=-]*)*")


class Weights(NamedTuple):
    """A model on the hub; a revision of ``None`` is the hub's default. ``form`` is that which the engine loads."""

    model: str
    revision: str | None = None
    form: str = HUB

    @property
    def folder(self) -> str:
        """The name of its folder in a cache."""
        return f"models--{self.model.replace('/', '--')}"

    def __str__(self) -> str:
        return f"{self.model} at revision {self.revision}" if self.revision else self.model


def is_hub_name(model: str) -> bool:
    """Tell whether a model is named as on the hub, and not by a directory."""
    return bool(_NAME.fullmatch(model)) and ".." not in model and "--" not in model


def is_revision(text: str) -> bool:
    """Tell whether a revision may be one: it becomes a file's name in the cache.

    >>> is_revision("main"), is_revision("refs/pr/1"), is_revision("../../etc/cron.d"), is_revision("/etc")
    (True, True, False, False)
    """
    return bool(_REVISION.fullmatch(text)) and ".." not in text


def checked(model: str, revision: str | None) -> Weights:
    """Return weights that are named as on the hub; FleetError for others, as their names become paths."""
    weights = Weights(model, revision or None)
    if not is_hub_name(weights.model) or not is_revision(weights.revision or "main"):
        raise FleetError(f"wanted a model and a revision as on the hub, found {weights}.")
    return weights
