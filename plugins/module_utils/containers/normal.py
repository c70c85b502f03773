# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One spelling of each value that the daemon takes in several. All pure.

:mod:`.spec` brings every value to it, whether a user wrote it or the daemon gave it back: some versions of the daemon
give back what they were given, others (API 1.52 and newer) a form of their own. What is no such value is left as it is.
"""

from __future__ import annotations

import ipaddress
import json
import posixpath
import re
from collections.abc import Iterable
from contextlib import suppress

from ansible_collections.inference.fleet.plugins.module_utils import addresses

_HUB = ("docker.io/", "index.docker.io/")
_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")
_CPUS = re.compile(r"(\d+)(?:-(\d+))?")
_ROOT = frozenset({"", "0", "root", "0:0", "0:root", "root:0", "root:root"})
PERMISSIONS = "rwm"


def path(text: str) -> str:
    """Return a path as the daemon cleans it.

    >>> path("/data//hf/"), path("//x/y/../z")
    ('/data/hf', '/x/z')
    """
    if not text.startswith("/"):
        return text
    # Two slashes at the beginning mean something to POSIX, and nothing to the daemon.
    return posixpath.normpath("/" + text.lstrip("/"))


def address(text: str) -> str:
    """Return an address of the host in figures; nothing is every address, and IPv4 stays it where IPv6 carries it.

    >>> address(""), address("0:0::1"), address("::ffff:127.0.0.1"), address("localhost")
    ('0.0.0.0', '::1', '127.0.0.1', '127.0.0.1')
    """
    found = addresses.normal(text)
    if found.lower() == "localhost":
        return addresses.LOOPBACK
    try:
        mapped = ipaddress.IPv6Address(found).ipv4_mapped
    except ValueError:
        return found or addresses.ALL_INTERFACES
    return str(mapped or found)


def image(reference: str) -> str:
    """Return an image's reference in its familiar form.

    >>> image("docker.io/vllm/vllm-openai"), image("docker.io/library/python:3")
    ('vllm/vllm-openai:latest', 'python:3')
    """
    if not reference or _ID.fullmatch(reference):
        return reference
    name, at, digest = reference.partition("@")
    hub = next((prefix for prefix in _HUB if name.startswith(prefix)), "")
    name = name.removeprefix(hub)
    if name.startswith("library/") and name.count("/") == 1:
        name = name.removeprefix("library/")
    if not at and ":" not in name.rpartition("/")[2]:
        name += ":latest"
    return f"{name}{at}{digest}"


def cpus(text: str) -> str:
    """Return a set of CPUs, or of NUMA nodes, in ascending ranges.

    >>> cpus("3,0-1, 2,8")
    '0-3,8'
    """
    found: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _CPUS.fullmatch(part)
        if match is None:
            return text
        found |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    ranges: list[list[int]] = []
    for number in sorted(found):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def capability(text: str) -> str:
    """Return a capability as the daemon's documentation lists it.

    >>> capability("cap_ipc_lock")
    'IPC_LOCK'
    """
    return text.strip().upper().removeprefix("CAP_")


def security_options(options: Iterable[str], ipc_mode: str) -> tuple[str, ...]:
    """Return security options, without what the daemon adds where it is not asked.

    >>> security_options(["seccomp:unconfined", "no-new-privileges", "label=disable"], "host")
    ('no-new-privileges=true', 'seccomp=unconfined')
    """
    found = set(map(_security_option, options))
    if ipc_mode == "host":
        found.discard("label=disable")
    return tuple(sorted(found))


def _security_option(text: str) -> str:
    if text == "no-new-privileges":
        return "no-new-privileges=true"
    name, sign, value = text.partition("=" if "=" in text else ":")
    if value.lstrip().startswith("{"):
        # A seccomp profile travels as its content.
        with suppress(ValueError):
            value = json.dumps(json.loads(value), separators=(",", ":"), sort_keys=True)
    return f"{name}={value}" if sign else text


def permissions(text: str) -> str:
    """Return what a container may do with a device, in the daemon's order; all where nothing is said.

    >>> permissions("mr"), permissions("")
    ('rm', 'rwm')
    """
    return "".join(letter for letter in PERMISSIONS if letter in text) or PERMISSIONS


def user(text: str) -> str:
    """Return the user of a container's process, and its group where that is said; root however it is spelt.

    >>> user("0:0"), user(""), user("1000")
    ('0', '0', '1000')
    """
    text = text.strip()
    return "0" if text in _ROOT else text
