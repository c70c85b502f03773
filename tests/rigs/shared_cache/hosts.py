# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that share a cache on which no lock means anything: processes with a name and process numbers of their own.

They see one directory, as hosts see an NFS or a Lustre mount; flock(2) and fcntl(2)'s locks say yes to everybody, by a
library that is loaded before the C library. Neither sees the other's processes. Needs root, unshare and a C compiler.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
COLLECTIONS = ROOT / ".build/collections"
_NAMESPACES = ("unshare", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child")
_NO_LOCKS = r"""
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>
int flock(int descriptor, int operation) { return 0; }
static int answer(int descriptor, int command, long argument) {
    switch (command) {
    case F_SETLK: case F_SETLKW: case F_OFD_SETLK: case F_OFD_SETLKW: return 0;
    }
    return syscall(SYS_fcntl, descriptor, command, argument);
}
int fcntl(int descriptor, int command, ...) {
    va_list rest; va_start(rest, command); long argument = va_arg(rest, long); va_end(rest);
    return answer(descriptor, command, argument);
}
int fcntl64(int descriptor, int command, ...) {
    va_list rest; va_start(rest, command); long argument = va_arg(rest, long); va_end(rest);
    return answer(descriptor, command, argument);
}
"""


def missing() -> str:
    """Return what this machine has not that the rig needs; nothing where it has all."""
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("cc"):
        return "root, unshare and a C compiler"
    done = subprocess.run([*_NAMESPACES, "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "leave to make namespaces"


def without_locks(directory: Path) -> Path:
    """Return a library in a directory that makes every lock succeed."""
    source, library = directory / "no_locks.c", directory / "no_locks.so"
    source.write_text(_NO_LOCKS)
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return library


class Host:
    """A host of the rig. Code runs on it in processes that see what it sees."""

    def __init__(self, name: str, library: Path) -> None:
        self.name = name
        self._library = library

    def start(self, code: str, **facts: Any) -> subprocess.Popen[str]:
        """Run Python on the host; the facts are its global FACTS."""
        before = f"import json, sys, socket; FACTS = json.loads(sys.argv[1]); socket.sethostname({self.name!r})\n"
        return subprocess.Popen(
            [*_NAMESPACES, sys.executable, "-u", "-c", before + code, json.dumps(facts)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS), "LD_PRELOAD": str(self._library)},
        )

    def run(self, code: str, **facts: Any) -> str:
        """Run Python on the host to its end; return what it printed. Raises where it fails."""
        process = self.start(code, **facts)
        output, _nothing = process.communicate(timeout=120)
        assert process.returncode == 0, output
        return output


def kill(process: subprocess.Popen[str]) -> None:
    """End a host's process, and what it started, at once: as when the host loses its power."""
    process.send_signal(signal.SIGKILL)
    process.wait()
