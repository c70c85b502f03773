# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate that a running HAProxy shows. It is the one that it has read, whatever its file has since."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import certificates, service, sockets
from ansible_collections.inference.fleet.plugins.module_utils.host.command import run


def serial(told: str) -> int | None:
    """Return the number of a certificate that openssl tells, or HAProxy.

    >>> serial("serial=0A1B"), serial("Status: Used\\nSerial: 0A1B\\n"), serial("Not found")
    (2587, 2587, None)
    """
    found = re.search(r"^serial[=:] ?([0-9A-F]+)$", told, re.M | re.I)
    return int(found[1], 16) if found else None


def asked(run_directory: str, path: Path) -> tuple[int | None, datetime | None]:
    """Return number and end of the certificate that HAProxy has read of a file, None where none is or runs."""
    try:
        told = sockets.ask(service.admin_socket(run_directory), f"show ssl cert {path}")
    except FleetError:
        return None, None
    return serial(told), certificates.ends(told)


def is_old(run_directory: str, path: Path) -> bool:
    """Tell whether HAProxy shows another certificate than its file has, as it does until it is reloaded."""
    number, _end = asked(run_directory, path)
    code, told, _error = run(["openssl", "x509", "-noout", "-serial", "-in", str(path)])
    return number is not None and code == 0 and serial(told) != number
