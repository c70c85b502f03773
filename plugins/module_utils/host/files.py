# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of a host."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError


def make_directory(path: Path) -> bool:
    """Make a directory and its parents, each with the owner of what it stands in; tell whether it was missing.

    A directory under a user's home stays the user's, though root makes it; on a file system that squashes root it is
    whose the file system says.
    """
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    try:
        owner = path.stat()
        for item in reversed(missing):
            item.mkdir(mode=0o755, exist_ok=True)
            with suppress(PermissionError):
                os.chown(item, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise FleetError(
            f"could not make the directory {[*missing, path][0]}: {error.strerror} ({error.filename})."
        ) from error
    return bool(missing)
