# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at an engine that is right costs a host, beside the same look of an earlier commit.

Both are the programs that Ansible sends to a host, run by the same Python in turns. The processor's time of the program
is counted, and not time that passes: other work on the machine changes that.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAIRS = 11
_ROOM = "ansible_collections/inference/fleet/"


@dataclass(frozen=True)
class Program:
    """What Ansible sends to a host for one task."""

    path: Path

    def look(self) -> float:
        """Run it; return the seconds of a processor that it took, its children's with it."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = subprocess.run([sys.executable, self.path], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = json.loads(found.stdout)
        if result.get("failed") or result["changed"] or result["steps"]:
            raise RuntimeError(f"{self.path}: wanted a look that finds nothing to do, found {result}")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def sources(self) -> dict[str, int]:
        """Return the sizes of the collection's files in it, in bytes, by name."""
        packed = re.search(rb'"""([A-Za-z0-9+/=\s]{4096,})"""|\'([A-Za-z0-9+/=]{4096,})\'', self.path.read_bytes())
        if packed is None:
            raise RuntimeError(f"{self.path}: no archive in it")
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed[1] or packed[2]))) as archive:
            return {item.filename: item.file_size for item in archive.infolist() if item.filename.startswith(_ROOM)}

    def loaded(self) -> dict[str, int]:
        """Return those of its files that a look compiles."""
        found = subprocess.run([sys.executable, "-v", self.path], capture_output=True, text=True, check=False)
        names = set(re.findall(r"^import '(ansible_collections\.[\w.]+)'", found.stderr, re.MULTILINE))
        paths = {name.replace(".", "/") for name in names}
        return {name: size for name, size in self.sources().items() if name.removesuffix(".py") in paths}


def checkout(root: Path, commit: str, folder: Path) -> Path:
    """Lay out the plugins of a commit as a collection; return the folder of collections."""
    place = folder / commit / _ROOM
    place.mkdir(parents=True)
    files = subprocess.run(
        ["git", "-C", root, "archive", commit, "plugins", "meta", "galaxy.yml"], capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", place], input=files.stdout, check=True)
    return folder / commit


def program(root: Path, collections: Path, folder: Path, name: str, options: dict[str, Any]) -> Program:
    """Have Ansible make an engine as the options say; return the program of the look that finds it right."""
    task = {"inference.fleet.engine": options}
    play = folder / f"{name}.json"
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    temporary = folder / f"{name}-files"
    settings = {
        "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_PIPELINING": "0",
        "ANSIBLE_KEEP_REMOTE_FILES": "1",
        "ANSIBLE_REMOTE_TEMP": str(temporary),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    command = [root / ".venv/bin/ansible-playbook", "-i", "localhost,", "-c", "local", play]
    for _turn in range(2):
        before = set(temporary.glob("*/AnsiballZ_engine.py"))
        subprocess.run(
            command, env={**os.environ, **settings}, stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
    looks = set(temporary.glob("*/AnsiballZ_engine.py")) - before
    if len(looks) != 1:
        raise RuntimeError(f"{name}: wanted one look at what is right already, found {len(looks)}")
    return Program(looks.pop())


def compare(now: Program, before: Program) -> None:
    """Print what a look costs now, beside what it cost before."""
    for each in (now, before):
        each.look()
    turns = [(now.look(), before.look()) if turn % 2 else (before.look(), now.look())[::-1] for turn in range(PAIRS)]
    mine, theirs = zip(*turns, strict=True)
    ratio = statistics.median(one / other for one, other in turns)
    print(
        f"    processor time  {statistics.median(mine):.3f} s, before {statistics.median(theirs):.3f} s; "
        f"least {min(mine):.3f} and {min(theirs):.3f} s; ratio, median of {PAIRS} pairs: {ratio:.3f}"
    )
    for what, sizes in (
        ("sent to the host", [each.path.stat().st_size for each in (now, before)]),
        ("source compiled", [sum(each.loaded().values()) for each in (now, before)]),
    ):
        print(f"    {what:16} {sizes[0] / 1e3:.0f} kB, before {sizes[1] / 1e3:.0f} kB; ratio {sizes[0] / sizes[1]:.3f}")
