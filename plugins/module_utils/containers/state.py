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

from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed

STATE_DIR = Path("/var/lib/inference.fleet/engines")
_LABELS = "labels.json"
_KEPT_LOGS = 10


def directory(name: str) -> Path:
    """Return the host directory with what belongs to one engine, made where it is missing."""
    path = STATE_DIR / name
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def lock_path(name: str) -> Path:
    """Return the file that a run holds locked while it works on one engine."""
    STATE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    return STATE_DIR / f"{name}.lock"


@contextmanager
def host_lock() -> Iterator[None]:
    """Let one run at a time start a new engine on this host: for seconds, whatever the engine then takes to load."""
    with lock_path("").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def keep_log(name: str, text: str) -> Path:
    """Keep a failed container's log, readable to root alone, and of older ones the last few; return its path."""
    folder = directory(name)
    path = folder / f"failed-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}.log"
    write(path, text)
    for old in sorted(folder.glob("failed-*.log"))[:-_KEPT_LOGS]:
        old.unlink(missing_ok=True)
    return path


def relabelled(container: Observed) -> Observed:
    """Return a container with the labels that it was given after it was made.

    The daemon cannot change a label; a restart for the sake of a description would cost an outage.
    """
    try:
        kept = json.loads((STATE_DIR / container.name / _LABELS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return container
    if not isinstance(kept, dict) or kept.get("container") != container.id:
        return container
    return replace(container, spec=replace(container.spec, labels={**container.spec.labels, **kept["labels"]}))


def relabel(container: Observed, labels: Mapping[str, str]) -> None:
    """Give a container labels, without a restart."""
    text = json.dumps({"container": container.id, "labels": dict(labels)}, indent=2, sort_keys=True)
    write(directory(container.name) / _LABELS, text)


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


def forget(name: str) -> None:
    """Remove what only a container gave a meaning; logs of failed ones stay."""
    path = STATE_DIR / name
    (path / _LABELS).unlink(missing_ok=True)
    with suppress(OSError):
        path.rmdir()
