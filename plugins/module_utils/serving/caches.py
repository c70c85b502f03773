# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines leave on a host's disk, and that it goes only where nobody has it any more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights, is_hub_name

# A directory nearer to the root holds more than a cache.
_LEAST_DEPTH = 3


def found(cache_dir: str, models: Sequence[str], compile_cache_dir: str | None) -> list[Path]:
    """Return what is there of the models' weights and of what engines compiled. Of the hub's cache no more than that.

    Raises :class:`FleetError` where a directory cannot be meant.
    """
    unknown = [model for model in models if not is_hub_name(model)]
    if unknown:
        raise FleetError(f"models: wanted names as on the hub, found {', '.join(unknown)}: a directory is not a cache.")
    wanted = [Path(cache_dir) / "hub" / Weights(model).folder for model in models]
    if compile_cache_dir:
        _refuse_large(Path(compile_cache_dir))
        wanted.append(Path(compile_cache_dir))
    return [path for path in wanted if path.is_dir()]


def _refuse_large(path: Path) -> None:
    real = path.resolve()
    if len(real.parts) <= _LEAST_DEPTH or os.path.ismount(real) or real == Path.home().resolve():
        raise FleetError(
            f"compile_cache_dir {path} would be removed whole, and is a mount point, a home or right below the root. "
            "Remove it by hand, if it is meant."
        )


def refuse_used(paths: Iterable[Path], mounts: Mapping[str, Sequence[str]]) -> None:
    """Raise FleetError where a container mounts a path, what is in it, or what it is in.

    *mounts* are the host's directories that each container mounts, by the container's name.
    """
    for path in map(Path.resolve, paths):
        users = [
            name
            for name, sources in sorted(mounts.items())
            if any(_nested(path, Path(source).resolve()) for source in sources)
        ]
        if users:
            raise FleetError(f"{path} was not removed: {', '.join(users)} uses it. Remove that engine first.")


def _nested(one: Path, other: Path) -> bool:
    return one == other or one in other.parents or other in one.parents


def size(path: Path) -> int:
    """Return the bytes of all files below a directory; a file with several names counts once."""
    total, seen = 0, set()
    for folder, _folders, files in os.walk(path):
        for name in files:
            status = os.lstat(os.path.join(folder, name))
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def remove(path: Path) -> None:
    """Remove a directory with all that is in it."""
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise FleetError(
            f"{path} could not be removed: {error.strerror} ({error.filename}). What was not removed stays."
        ) from error
