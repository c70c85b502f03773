# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Daemons of tests, which end with the tests, however these end."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# The signal comes when the thread that started the daemon is no more, not only its process; this one stays to the end.
_STARTER = ThreadPoolExecutor(1, "daemons")


def start(argv: list[str], signal: str = "TERM", **options: Any) -> subprocess.Popen[bytes]:
    """Start a daemon that gets *signal* when this process ends; *options* are those of Popen.

    ``KILL`` is for what heeds no other signal, such as unshare while its child runs.
    """
    # setpriv is of util-linux.
    return _STARTER.submit(subprocess.Popen, ["setpriv", "--pdeathsig", signal, *argv], **options).result()
