# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of Debian's packages, without installing them: that would start services."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class NotToBeHadError(Exception):
    """A program is not on this machine, and cannot be fetched."""


def unpacked(name: str, *packages: str) -> Path:
    """Return a folder with the files of Debian's packages: installing them would start services."""
    folder = ROOT / ".build" / name
    folder.parent.mkdir(exist_ok=True)
    # Another process of the tests may want them too.
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _unpack(folder, packages)
    return folder


def _unpack(folder: Path, packages: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        fetch = ["apt-get", "download", "-qq", *packages]
        try:
            if subprocess.run(fetch, cwd=temporary, capture_output=True, check=False).returncode:
                subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
                subprocess.run(fetch, cwd=temporary, capture_output=True, check=True, text=True)
            for archive in Path(temporary).glob("*.deb"):
                unpack = ["dpkg-deb", "-x", str(archive), f"{temporary}/files"]
                subprocess.run(unpack, capture_output=True, check=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = (getattr(error, "stderr", "") or str(error)).strip()
            raise NotToBeHadError(f"Debian's {' and '.join(packages)} cannot be had: {reason}") from error
        Path(temporary, "files").rename(folder)
