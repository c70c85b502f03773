# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports for what a test starts later.

They are below those that the kernel gives out, to listeners and to connections, and in a round: what asked for a port
finds it free when it comes to use it, whatever else runs on the machine.
"""

from __future__ import annotations

import fcntl
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 20000, 28999
# Which comes next, for all tests of all checkouts on this machine.
NEXT = Path(tempfile.gettempdir()) / "inference-fleet-test.ports"


def free_ports(count: int = 1) -> list[int]:
    """Return ports, one after the other, on which nobody listens."""
    with NEXT.open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        begin = int(file.read() or FIRST)
        for _try in range(LAST - FIRST):
            if begin + count - 1 > LAST:
                begin = FIRST
            taken = next((port for port in range(begin, begin + count) if not _free(port)), None)
            if taken is None:
                file.truncate(0)
                file.write(str(begin + count))
                return list(range(begin, begin + count))
            begin = taken + 1
    raise AssertionError(f"no {count} ports in a row are free from {FIRST} to {LAST}")


def _free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True
