# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of a folder of documents before, so that reading it again takes no minutes.

A document of 512 requests that AIPerf measured has 5 MB, nearly all of it the client's own record of each request,
which nobody compares. The index keeps the rest. It lies in the user's cache folder, and anything that is wrong with it
makes it empty: it can always be made again from the documents.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

# Less than this, in bytes, is read as fast without an index.
WORTHWHILE = 4 << 20


class Index:
    """What is known of the files of one folder, each by its name, size, time and inode.

    *form* is the form of what is kept: an index in another form is empty.
    """

    def __init__(self, folder: Path, form: str) -> None:
        self._path = _place(folder)
        self._form = form
        self._known = self._read()
        self._seen: dict[str, list[Any]] = {}
        self._bytes_read = 0

    def find(self, name: str, stat: os.stat_result) -> Any:
        """Return what is known of a file as it is now; None where nothing is."""
        entry = self._known.get(name)
        if not entry or entry[:-1] != _identity(stat):
            return None
        self._seen[name] = entry
        return entry[-1]

    def keep(self, name: str, stat: os.stat_result, value: Any) -> None:
        """Remember *value*, which JSON has, of a file as it was before it was read."""
        self._seen[name] = [*_identity(stat), value]
        self._bytes_read += stat.st_size

    def save(self) -> None:
        """Write the index for the next time, where that is worth it. One that cannot be written is done without."""
        if self._bytes_read < WORTHWHILE:
            return
        body = json.dumps(self._seen, separators=(",", ":")).encode()
        head = json.dumps({"form": self._form, "crc": zlib.crc32(body)}).encode()
        temporary = None
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(head + b"\n" + body)
            os.replace(temporary, self._path)
        except OSError:
            if temporary:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)

    def _read(self) -> dict[str, list[Any]]:
        try:
            head, _end, body = self._path.read_bytes().partition(b"\n")
            said = json.loads(head)
            if said != {"form": self._form, "crc": zlib.crc32(body)}:
                return {}
            return json.loads(body)
        except (OSError, ValueError):
            return {}


def _identity(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _place(folder: Path) -> Path:
    # As the specification has it, a relative path is none.
    cache = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(cache) if os.path.isabs(cache) else Path(os.path.expanduser("~")) / ".cache"
    name = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]
    return home / "inference.fleet" / "history" / f"{name}.json"
