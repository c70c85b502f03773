# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the pull of an image is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import size


def pull_progress(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Turn the daemon's events of a pull into lines; raise :class:`FleetError` on its error event.

    A line comes for each layer that is complete and for each tenth of the bytes known so far.
    """
    sizes: dict[str, tuple[int, int]] = {}
    done: set[str] = set()
    layers: set[str] = set()
    shown = (-1, -1)
    for event in events:
        if event.get("error"):
            raise FleetError(str(event["error"]))
        layer, status = event.get("id"), event.get("status")
        if layer and status in (
            "Pulling fs layer",
            "Already exists",
            "Downloading",
            "Download complete",
            "Pull complete",
        ):
            layers.add(layer)
        detail = event.get("progressDetail") or {}
        if layer and status == "Downloading" and detail.get("total"):
            sizes[layer] = (detail.get("current", 0), detail["total"])
        elif layer and status in ("Download complete", "Pull complete") and layer in sizes:
            sizes[layer] = (sizes[layer][1], sizes[layer][1])
        if layer and status in ("Already exists", "Pull complete"):
            done.add(layer)
        current, total = (sum(column) for column in zip(*sizes.values(), strict=True)) if sizes else (0, 0)
        now = (len(done), current * 10 // total if total else 0)
        if layers and now != shown:
            shown = now
            yield f"pulling: {len(done)} of {len(layers)} layers, {size(current)} of {size(total)} downloaded"
