# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run is kept on its host until the control host has it: what is measured once is not lost on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.results import store

# In the benchmark's directory on the host.
FOLDER = "finished"


def keep(
    document: dict[str, Any],
    gates: Sequence[dict[str, Any]],
    baselines: Sequence[str],
    recorded_hosts: Sequence[str],
    work_dir: Path,
) -> tuple[str | None, str | None]:
    """Keep a document on this host, with what the control host is to add; return the file, or why there is none."""
    path = work_dir / FOLDER / f"{document['run_id']}.json"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        added = {"gates": list(gates), "baselines": list(baselines), "recorded_hosts": list(recorded_hosts)}
        store.write_new(path, {"document": document, **added}, mode=0o600)
    except OSError as error:
        return None, f"the result could not be kept on the host in {path.parent}: {error.strerror}"
    return str(path), None
