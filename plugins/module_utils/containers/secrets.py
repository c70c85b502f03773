# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secret files on the host: a directory for each container, which goes when the container goes."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.containers import state


def write_new(slot: str, files: Mapping[str, str]) -> str | None:
    """Write secret files into a new directory and return it, or ``None`` where there are none."""
    if not files:
        return None
    target = state.directory(slot) / f"secrets-{secrets.token_hex(6)}"
    target.mkdir(mode=0o700)
    rewrite(str(target), files)
    return str(target)


def rewrite(source: str, files: Mapping[str, str]) -> None:
    """Write files into an existing directory, each at once and with mode 0600."""
    for name, content in files.items():
        state.write(Path(source) / name, content)


def give(paths: Iterable[Path], user: int, group: int) -> None:
    """Let the container's user have directories and the files right in them, and nobody else more than before."""
    for path in paths:
        for item in (*path.iterdir(), path):
            os.chown(item, user, group)


def read(source: str | None) -> dict[str, str]:
    """Return the files of a directory; an absent directory has none."""
    if not source or not Path(source).is_dir():
        return {}
    return {path.name: path.read_text() for path in Path(source).iterdir() if not path.name.startswith(".")}


def sweep(slot: str, used: Collection[str | None]) -> None:
    """Remove the directories of a slot that no container uses."""
    for path in (state.STATE_DIR / slot).glob("secrets-*"):
        if str(path) not in used:
            shutil.rmtree(path, ignore_errors=True)


def remove(source: str | None) -> None:
    """Remove a container's directory."""
    if not source:
        return
    path = Path(source)
    # The path comes from a label: touch nothing outside the place where such directories are made.
    if state.STATE_DIR not in path.parents or ".." in path.parts:
        return
    shutil.rmtree(path, ignore_errors=True)
