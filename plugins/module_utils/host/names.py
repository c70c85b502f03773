# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host knows of names on its networks."""

from __future__ import annotations

import socket


def addresses(name: str) -> list[str]:
    """Return the addresses of a name, IPv4 before IPv6, each once. OSError where the host knows none.

    >>> addresses("10.0.0.5")
    ['10.0.0.5']
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return sorted(dict.fromkeys(str(entry[4][0]) for entry in found), key=lambda address: ":" in address)
