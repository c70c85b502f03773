# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secret files on the host: a directory for each container, which goes when the container goes."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

STATE_DIR = Path("/var/lib/inference.fleet/engines")


def directory(name: str) -> Path:
    """Return the host directory with what belongs to one engine."""
    return STATE_DIR / name


def write_new(name: str, files: Mapping[str, str]) -> str | None:
    """Write secret files into a new directory and return it, or ``None`` where there are none."""
    if not files:
        return None
    parent = directory(name)
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = parent / f"secrets-{secrets.token_hex(6)}"
    target.mkdir(mode=0o700)
    rewrite(str(target), files)
    return str(target)


def rewrite(source: str, files: Mapping[str, str]) -> None:
    """Write files into an existing directory, each at once and with mode 0600."""
    for name, content in files.items():
        path = Path(source) / name
        temporary = path.with_name(f".{name}.new")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)


def read(source: str | None) -> dict[str, str]:
    """Return the files of a directory; an absent directory has none."""
    if not source or not Path(source).is_dir():
        return {}
    return {path.name: path.read_text() for path in Path(source).iterdir() if not path.name.startswith(".")}


def remove(source: str | None) -> None:
    """Remove a container's directory, and the engine's own where nothing is left in it."""
    if not source:
        return
    path = Path(source)
    # The path comes from a label: touch nothing outside the place where such directories are made.
    if STATE_DIR not in path.parents or ".." in path.parts:
        return
    shutil.rmtree(path, ignore_errors=True)
