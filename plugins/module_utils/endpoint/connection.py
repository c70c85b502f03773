# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A coding client's settings on this machine: brought about, remembered, and put back.

What is needed for the way back is in ``~/.config/inference.fleet/clients``: copies of the files as they were, what was
set in each, and the key.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.coding_clients import File
from ansible_collections.inference.fleet.plugins.module_utils.endpoint.settings_files import merged, restored
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

PLACE = ".config/inference.fleet/clients"
_PRIVATE = 0o600


class Kept:
    """What is kept of one client below a home directory."""

    def __init__(self, home: Path, client: str) -> None:
        self._home = home
        self._place = home / PLACE
        self._record_file = self._place / f"{client}.json"
        self._copies = self._place / f"{client}.before"
        self.key_file = self._place / f"{client}.key"
        if not home.is_dir():
            raise FleetError(f"{home} is no directory: wanted the home of the client's user.")
        self._record: dict[str, Any] = json.loads(self._read(self._record_file) or "{}")

    def bring_about(self, files: Sequence[File], key: str, check_mode: bool) -> dict[str, Any]:
        """Set what is wanted in each file. Nothing is written before each of them could be read and merged."""
        work = []
        for file in files:
            path = self._home / file.path
            now = self._read(path)
            known = self._record.get(file.path)
            base = restored(file, now, known["changes"]) if known and now is not None else now
            text, changes = merged(file, base, now)
            work.append((file, path, now, text, changes))
        changed = [item for item in work if item[2] != item[3] or self._is_open(item[0], item[1])]
        result = {
            "changed": bool(changed) or self._read(self.key_file) != key + "\n",
            "files": [str(path) for _file, path, *_rest in work],
        }
        if result["changed"] and not check_mode:
            self._write(self.key_file, key + "\n", _PRIVATE)
            for file, path, now, text, changes in work:
                if file.path not in self._record:
                    self._record[file.path] = self._remember(file, path, now)
                known = self._record[file.path]
                # Remembered first: whoever is interrupted here can still go back.
                known.update(format=file.format, changes=changes, written=_digest(text))
                self._write(self._record_file, json.dumps(self._record, indent=2) + "\n", _PRIVATE)
                self._write(path, text, _PRIVATE if file.secret else known["mode"] or _PRIVATE)
        return {**result, "copies": self._told_copies()}

    def remove(self, check_mode: bool) -> dict[str, Any]:
        """Put back what was there. A file that was changed since only loses what was set in it."""
        result: dict[str, Any] = {
            "changed": bool(self._record),
            "files": [str(self._home / name) for name in self._record],
            "copies": self._told_copies(),
        }
        if check_mode:
            return result
        work = []
        for name, known in self._record.items():
            path = self._home / name
            now = self._read(path)
            if now is None:
                continue
            untouched = _digest(now) == known["written"]
            copy = self._read(self._copies / known["copy"]) if known["copy"] else None
            text = copy if untouched else restored(File(name, known["format"], {}), now, known["changes"])
            work.append((path, text, known["mode"] or _PRIVATE))
        for path, text, mode in work:
            if text is None:
                path.unlink()
            else:
                self._write(path, text, mode)
        for path in (self.key_file, self._record_file):
            path.unlink(missing_ok=True)
        return result

    def _remember(self, file: File, path: Path, now: str | None) -> dict[str, Any]:
        """Keep a copy of a file as it is before it is changed for the first time."""
        if now is None:
            return {"copy": None, "mode": None}
        name = file.path.replace("/", "_")
        self._write(self._copies / name, now, _PRIVATE)
        return {"copy": name, "mode": path.stat().st_mode & 0o777}

    def _told_copies(self) -> list[str]:
        return [str(self._copies / known["copy"]) for known in self._record.values() if known["copy"]]

    def _is_open(self, file: File, path: Path) -> bool:
        return file.secret and path.exists() and bool(path.stat().st_mode & 0o077)

    @staticmethod
    def _read(path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise FleetError(f"{path} cannot be read: {error}. It was left as it is.") from error

    def _write(self, path: Path, text: str, mode: int) -> None:
        """Write a file in one step, for the home's owner; what a link leads to is written in its place."""
        owner = self._home.stat()
        real = Path(os.path.realpath(path))
        temporary = None
        try:
            missing = [parent for parent in real.parents if not parent.exists()]
            real.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                os.fchmod(stream.fileno(), mode)
            if os.geteuid() == 0:
                for made in (*missing, Path(temporary)):
                    os.chown(made, owner.st_uid, owner.st_gid)
            os.replace(temporary, real)
        except OSError as error:
            if temporary:
                with suppress(OSError):
                    os.unlink(temporary)
            raise FleetError(f"{path} cannot be written: {error.strerror}.") from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
