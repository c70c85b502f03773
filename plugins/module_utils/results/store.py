# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history: a folder of result documents to which documents are only ever added.

A document is written beside its place, brought to the disk, and then linked to its name, which fails where that name is
taken. So a reader sees a document whole or not at all, two writers cannot lose one another's, and a crash or a full
disk leaves nothing but a file with a dot in front, which no reader looks at.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# What a file system without hard links answers.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class ExistsError(FleetError):
    """The history has a document of that name."""


def prepare(folder: Path) -> None:
    """Make the folder for documents. FleetError where it cannot be, before a benchmark is run for nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FleetError(f"results_dir {folder} on the control host cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FleetError(f"results_dir {folder} on the control host cannot be written to by this user")


def add(document: dict[str, Any], folder: Path) -> Path:
    """Add a document, whole or not at all, and return its path.

    ExistsError where there is a document of that name, FleetError where it could not be written.
    """
    # It comes from the host, which must not choose where the control host writes.
    if not _RUN_ID.fullmatch(document["run_id"]):
        raise FleetError(f"the result has no run id that can name a file: {document['run_id']!r}")
    path = folder / f"{document['run_id']}.json"
    try:
        write_new(path, document)
    except FileExistsError as error:
        raise ExistsError(f"there is a result {path} already; results are never written over") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FleetError(f"the result could not be written to {path} on the control host: {reason}") from error
    return path


def write_new(path: Path, document: dict[str, Any], mode: int = 0o644) -> None:
    """Write a document to a path that is free. FileExistsError where it is not."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    # A dot in front: readers leave such files alone.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1, allow_nan=False)
            stream.write("\n")
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in _NO_LINKS or path.exists():
                raise
            # Run ids end in a random number: between that look and this step nobody takes the name by chance.
            os.rename(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; some file systems cannot, and need not be told twice."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
