# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses on which a host publishes an endpoint."""

from __future__ import annotations

LOOPBACK = "127.0.0.1"
ALL_INTERFACES = "0.0.0.0"
# What a port may be bound to where that means every address of the host.
EVERY = (ALL_INTERFACES, "", "::")


def url(bind_address: str, port: int) -> str:
    """Return where the host itself reaches an endpoint.

    >>> url("0.0.0.0", 8000), url("fd00::5", 8000)
    ('http://127.0.0.1:8000', 'http://[fd00::5]:8000')
    """
    address = LOOPBACK if bind_address in EVERY else bind_address
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
