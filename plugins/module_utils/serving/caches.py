# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines leave on a host's disk, and that it goes only where nobody has it any more.

A cache may be shared by hosts that know nothing of each other's containers. So each engine has a lease there on what it
reads, from before it is made until it is removed: see :mod:`..weights.leases`.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL_PREFIX
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec, Mount
from ansible_collections.inference.fleet.plugins.module_utils.engines.common import HF_HOME, HOME
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.weights.leases import Lease, Leases
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights, is_hub_name

# A directory nearer to the root holds more than a cache.
_LEAST_DEPTH = 3
# How a directory is called while it is removed.
_GOING = ".removed-"
_REMOVES = "removes it"
# Seconds that another host's removal is waited for.
_PATIENCE = 900


def hold(name: str, container: ContainerSpec) -> str | None:
    """Have hosts that share the caches see that an engine reads them; return a warning where they cannot be told."""
    model = container.labels.get(f"{LABEL_PREFIX}model", "")
    problems = []
    for leases in _read_by(container):
        try:
            leases.hold(name, f"serves {model} as {name}")
        except FleetError as error:
            problems.append(str(error))
    if not problems:
        return None
    return f"{' '.join(problems)} Hosts that share it cannot see that {name} reads it, and may remove it."


def settle(name: str, known: Iterable[ContainerSpec], now: ContainerSpec | None) -> None:
    """Give back what an engine does not read any more; *known* are the containers that it was, or was to be."""
    kept = {leases.directory for leases in (_read_by(now) if now else ())}
    for container in known:
        for leases in _read_by(container):
            if leases.directory not in kept:
                leases.release(name)


def _read_by(container: ContainerSpec) -> list[Leases]:
    """Return the leases on what a container reads of its host's caches."""
    model, found = container.labels.get(f"{LABEL_PREFIX}model", ""), {}
    for mount in container.mounts:
        if mount.target == HF_HOME and is_hub_name(model):
            found[mount.source] = Leases(mount.source, Weights(model).folder)
        elif _is_compiled(mount):
            compiled = Path(mount.source).parent
            found[str(compiled)] = _compiled(compiled)
    return list(found.values())


def _is_compiled(mount: Mount) -> bool:
    """Tell whether a mount is a part of a compile cache: named as in the container, and in one that may go whole."""
    target, source = Path(mount.target), Path(mount.source)
    inside = target.parent in (Path(HOME), Path(HOME, ".cache"))
    return inside and source.name == target.name.lstrip(".") and len(source.parent.parts) > _LEAST_DEPTH


def _compiled(path: Path) -> Leases:
    """Return the leases on a compile cache: beside it, because it goes whole."""
    return Leases(path.parent, f"compiled-{path.name}")


def _leases(path: Path) -> Leases:
    return Leases(path.parents[1], path.name) if path.name.startswith("models--") else _compiled(path)


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
    # A removal that was cut off left what it had begun with.
    begun = [each for path in wanted for each in sorted(path.parent.glob(f"{_GOING}{path.name}-*"))]
    return [path for path in (*wanted, *begun) if path.is_dir()]


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


def refuse_leased(paths: Iterable[Path], ended: Collection[str]) -> None:
    """Raise FleetError where another host, or another process, has a path; *ended* names hosts that are gone."""
    for path in paths:
        if not path.name.startswith(_GOING):
            _refuse(path, [lease for lease in _leases(path).others(ended) if lease.what != _REMOVES])


def _refuse(path: Path, others: Sequence[Lease]) -> None:
    if others:
        raise FleetError(
            f"{path} was not removed: it is used by {', '.join(map(str, others))}. Run teardown.yml there first. Where "
            "a host is gone for good, name it in ended_hosts (-e teardown_ended_hosts=NAME)."
        )


def remove(path: Path, ended: Collection[str] = ()) -> None:
    """Remove a directory with all that is in it, unless another host has come to use it.

    Other hosts see it whole or not at all. One that removes it at the same time is waited for.
    """
    if path.name.startswith(_GOING):
        _remove(path)
        return
    leases, deadline = _leases(path), time.monotonic() + _PATIENCE

    def wait(lease: Lease) -> None:
        if lease.what != _REMOVES or time.monotonic() > deadline:
            _refuse(path, [lease])

    with leases.work(_REMOVES, wait):
        going = path.with_name(f"{_GOING}{path.name}-{uuid.uuid4().hex[:8]}")
        try:
            path.rename(going)
        except FileNotFoundError:
            # Another host was first.
            return
        except OSError as error:
            raise FleetError(f"{path} could not be removed: {error.strerror}. It stays as it was.") from error
        try:
            # Who took a lease before the directory went may have seen it.
            _refuse(path, leases.others(ended))
        except FleetError:
            with suppress(OSError):
                going.rename(path)
            raise
        _remove(going)
        leases.forget(ended)


def _remove(path: Path) -> None:
    try:
        while path.exists():
            # What is not there any more was removed by another host, which goes on with the same directory.
            with suppress(FileNotFoundError):
                shutil.rmtree(path)
    except OSError as error:
        raise FleetError(
            f"{path} could not be removed: {error.strerror} ({error.filename}). What was not removed stays, and the "
            "next run goes on with it."
        ) from error
