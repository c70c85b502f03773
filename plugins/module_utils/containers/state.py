# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host keeps beside an engine's container: a directory of its own, the lock, labels that changed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed

STATE_DIR = Path("/var/lib/inference.fleet/engines")
# Labels that a container was given after it was made, by its id; an earlier version kept one file a name.
_LABELS = ".labels"
_OLD_LABELS = "labels.json"
# What to go back to where an engine of several hosts fails, by the slot.
_WAYS_BACK = ".ways_back"
# Which container had a slot when something else took its place for a while, by the slot.
_PAUSED = ".paused"
_KEPT_LOGS = 10


def directory(slot: str) -> Path:
    """Return the host directory with what belongs to the engine of a slot, made where it is missing."""
    path = STATE_DIR / slot
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def firewall(slot: str) -> Path:
    """Return the file with the firewall's rules of a slot's ports; there is none where it never had any."""
    return STATE_DIR / f"{slot}.nft"


def lock_path(slot: str) -> Path:
    """Return the file that a run holds locked while it works on the engine of a slot."""
    STATE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    return STATE_DIR / f"{slot}.lock"


@contextmanager
def host_lock() -> Iterator[None]:
    """Let one run at a time start a new engine on this host: for seconds, whatever the engine then takes to load."""
    with lock_path("").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def keep_log(slot: str, text: str) -> Path:
    """Keep a failed container's log, readable to root alone, and of older ones the last few; return its path."""
    folder = directory(slot)
    path = folder / f"failed-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}.log"
    write(path, text)
    for old in sorted(folder.glob("failed-*.log"))[:-_KEPT_LOGS]:
        old.unlink(missing_ok=True)
    return path


def labels(container_id: str, name: str) -> dict[str, str]:
    """Return the labels that a container was given after it was made.

    The daemon cannot change a label; a restart for the sake of a description would cost an outage.
    """
    for path in (_labels_path(container_id), STATE_DIR / name / _OLD_LABELS):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(kept, dict) and kept.get("container") == container_id:
            return kept["labels"]
    return {}


def relabelled(container: Observed) -> Observed:
    """Return a container with the labels that it was given after it was made."""
    given = labels(container.id, container.name)
    return container._replace(spec=replace(container.spec, labels={**container.spec.labels, **given}))


def relabel(container: Observed, given: Mapping[str, str]) -> None:
    """Give a container labels, without a restart, beside those that it was given before."""
    kept = {**labels(container.id, container.name), **given}
    path = _labels_path(container.id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(path, json.dumps({"container": container.id, "labels": kept}, indent=2, sort_keys=True))


def _labels_path(container_id: str) -> Path:
    return STATE_DIR / _LABELS / f"{container_id}.json"


def paused(slot: str) -> dict[str, str] | None:
    """Return what is known of the container that is to have a slot again: its C(id), its C(name), C(since) when."""
    found = _noted(_PAUSED, slot)
    return found if found.get("id") else None


def paused_slots() -> frozenset[str]:
    """Return the slots whose container is to have it again."""
    return frozenset(path.stem for path in (STATE_DIR / _PAUSED).glob("*.json"))


def set_paused(slot: str, container: Observed) -> None:
    """Remember, before it is stopped, that a container is to have its slot again."""
    since = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    _note(_PAUSED, slot, {"id": container.id, "name": container.name, "since": since})


def forget_paused(slot: str) -> None:
    """Forget it."""
    _note_path(_PAUSED, slot).unlink(missing_ok=True)


def way_back(slot: str) -> dict[str, Any] | None:
    """Return what a slot had before an engine of several hosts was begun: C(id), C(name), whether it C(ran).

    C(aside) has the ids of other engines that made room, where there are any.
    """
    found = _noted(_WAYS_BACK, slot)
    return found if {"id", "name", "ran"} <= set(found) else None


def set_way_back(slot: str, before: Mapping[str, Any]) -> None:
    """Write down what a slot has, before it is touched."""
    _note(_WAYS_BACK, slot, before)


def forget_way_back(slot: str) -> None:
    """Forget it."""
    _note_path(_WAYS_BACK, slot).unlink(missing_ok=True)


def _note_path(kind: str, slot: str) -> Path:
    return STATE_DIR / kind / f"{slot}.json"


def _noted(kind: str, slot: str) -> dict[str, Any]:
    """Return what was noted of a slot; nothing where nothing was, or what cannot be read."""
    try:
        found = json.loads(_note_path(kind, slot).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note(kind: str, slot: str, content: Mapping[str, Any]) -> None:
    path = _note_path(kind, slot)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(path, json.dumps(content))


def write(path: Path, content: str) -> None:
    """Write a file at once, with mode 0600 and, where it replaces one, with that one's owner."""
    temporary = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    with suppress(FileNotFoundError):
        before = path.stat()
        os.chown(temporary, before.st_uid, before.st_gid)
    temporary.replace(path)


def forget(container_id: str, name: str) -> None:
    """Remove what only a container gave a meaning."""
    for path in (_labels_path(container_id), STATE_DIR / name / _OLD_LABELS):
        with suppress(OSError):
            path.unlink()
    forget_slot(name)


def forget_slot(slot: str) -> None:
    """Remove an engine's directory; logs of failed starts stay."""
    with suppress(OSError):
        (STATE_DIR / slot).rmdir()
