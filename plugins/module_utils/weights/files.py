# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model's own files tell of it before it is loaded: their size and its config.json, of the host or the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.weights import cache, listing
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import HUB, Weights


@dataclass(frozen=True)
class Files:
    """The files of a model: the directory that has all of them, or else what the hub says that they are."""

    weights: Weights | None
    here: Path | None
    listed: listing.Listing | None
    token: str | None
    environment: Mapping[str, str]

    @property
    def gib(self) -> float | None:
        """The size of the weights; ``None`` where nobody tells."""
        form = self.weights.form if self.weights else HUB
        if self.listed:
            return self.listed.weights_gib(form)
        return cache.size_gib(self.here, form) if self.here else None

    def config(self) -> Mapping[str, Any] | None:
        """Return the model's config.json; ``None`` where nobody has one that can be read."""
        if self.here is None:
            if not (self.listed and self.weights):
                return None
            return self.listed.config(self.weights, self.token, self.environment)
        try:
            found = json.loads((self.here / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # The engine tells what is wrong with it.
            return None
        return found if isinstance(found, dict) else None


def of_hub(cache_dir: str, weights: Weights, token: str | None, environment: Mapping[str, str]) -> Files:
    """Return the files of a model of the hub. The hub is asked only where the cache has not all of them."""
    here = cache.snapshot(cache_dir, weights)
    return Files(weights, here, None if here else listing.listing(weights, token, environment), token, environment)


def of_directory(directory: Path) -> Files:
    """Return the files of a model in a directory of the host."""
    return Files(None, directory, None, None, {})
