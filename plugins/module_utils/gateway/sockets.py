# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's sockets: what it is asked and told while it runs."""

from __future__ import annotations

import csv
import re
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import config

_SECONDS = 10


@dataclass(frozen=True)
class ServerState:
    """An engine as HAProxy sees it. *sessions* are the requests that it answers now, old processes' streams with them.

    *drained*: it was taken out by a person or a play, whatever its health is.
    """

    pool: str
    name: str
    status: str
    sessions: int
    drained: bool


def ask(path: Path, command: str) -> str:
    """Return what a socket of HAProxy's answers. FleetError where nobody does."""
    parts = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(f"{command}\n".encode())
            # The master hangs up only then.
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                parts.append(part)
    except OSError as error:
        raise FleetError(
            f"wanted the gateway's HAProxy to answer at {path}, found: {error.strerror or error}. Run gateway.yml, or "
            f"look at 'systemctl status {config.NAME}'."
        ) from error
    return b"".join(parts).decode("utf-8", "replace").strip()


def answers(path: Path) -> bool:
    """Tell whether HAProxy is there."""
    try:
        return bool(ask(path, "show version" if path.name == config.ADMIN_SOCKET else "show proc"))
    except FleetError:
        return False


def tell(path: Path, commands: Iterable[str]) -> None:
    """Have HAProxy do what says nothing where it is done. FleetError where it says something."""
    for command in commands:
        said = ask(path, command)
        if said:
            raise FleetError(f"HAProxy did not do as it was told ({' '.join(command.split()[:4])}): {said}")


def workers(path: Path, which: str = "workers") -> set[int]:
    """Return the processes that take new connections, as the master tells them; "old workers" end their streams."""
    found: set[int] = set()
    section = ""
    for line in ask(path, "show proc").splitlines():
        if line.startswith("#"):
            section = line.strip("# ")
        elif section == which and line.split()[:1]:
            found.add(int(line.split()[0]))
    return found


def ask_old(run_directory: Path, command: str) -> list[str]:
    """Return what the processes answer that a reload replaced, each of which ends with its last stream."""
    master = run_directory / config.MASTER_SOCKET
    # Around a reload the master is deaf for a moment. One that stays so is told of by what is asked next.
    wait_until(lambda: answers(master), _SECONDS)
    found = []
    for process in sorted(workers(master, "old workers")):
        # It may have ended since.
        with suppress(FleetError):
            found.append(ask(master, f"@!{process} {command}"))
    return found


def failures(path: Path) -> int:
    """Return how often the master could not begin with a configuration since it last could."""
    found = re.search(r"\[failed: (\d+)\]", ask(path, "show proc"))
    return int(found[1]) if found else 0


def reload(path: Path, patience: float = 30) -> bool:
    """Have the master read its configuration again; tell whether new workers took over. The old ones end their streams.

    Where it cannot, the old ones go on.
    """
    before, failed = workers(path), failures(path)
    # The master starts anew, and with it its socket.
    with suppress(FleetError):
        ask(path, "reload")
    end = time.monotonic() + patience
    while time.monotonic() < end:
        time.sleep(0.1)
        try:
            now = workers(path)
            if failures(path) > failed:
                return False
        except FleetError:
            continue
        if now and not now & before:
            return True
    return False


def servers(run_directory: Path) -> list[ServerState]:
    """Return every engine as HAProxy sees it."""
    path = run_directory / config.ADMIN_SOCKET
    out = {(fields["be_name"], fields["srv_name"]) for fields in _states(path) if _is_out(fields)}
    before = [row for answer in ask_old(run_directory, "show stat") for row in _rows(answer)]
    return [
        ServerState(
            *(row["pxname"], row["svname"], row["status"]),
            sessions=sum(
                int(each["scur"] or 0)
                for each in (row, *before)
                if (each["pxname"], each["svname"]) == (row["pxname"], row["svname"])
            ),
            drained=(row["pxname"], row["svname"]) in out,
        )
        for row in _rows(ask(path, "show stat"))
    ]


def _rows(answer: str) -> list[dict[str, str]]:
    """Return the engines of HAProxy's table."""
    rows = csv.DictReader(answer.removeprefix("# ").splitlines())
    return [row for row in rows if row["pxname"].startswith("model.") and row["svname"] not in ("BACKEND", "FRONTEND")]


def set_state(run_directory: Path, found: Iterable[ServerState], state: str) -> None:
    """Take engines out (drain), or bring them back (ready)."""
    for each in found:
        command = f"set server {each.pool}/{each.name} state {state}"
        tell(run_directory / config.ADMIN_SOCKET, [command])
        # A connection that began before a reload may bring an old process one more request.
        ask_old(run_directory, command)


def wait_until(done: Callable[[], bool], patience: float) -> bool:
    """Look twice a second until it is done; tell whether it is."""
    end = time.monotonic() + patience
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(0.5)
    return True


def drained_state(path: Path) -> str:
    """Return what a reload has to know: the servers that were taken out, and nothing of anybody's health."""
    kept = [{**fields, "srv_op_state": "2"} for fields in _states(path) if _is_out(fields)]
    head = ask(path, "show servers state").splitlines()[:2]
    return "\n".join([*head, *(" ".join(fields.values()) for fields in kept)]) + "\n"


def _states(path: Path) -> list[dict[str, str]]:
    """Return what HAProxy keeps of its servers, by the names of the columns."""
    lines = ask(path, "show servers state").splitlines()
    columns = lines[1].strip("# ").split()
    return [dict(zip(columns, line.split(), strict=False)) for line in lines[2:] if line.strip()]


def _is_out(fields: dict[str, str]) -> bool:
    """Tell whether a command took a server out: the bits of forced maintenance and forced drain."""
    return bool(int(fields["srv_admin_state"]) & (0x01 | 0x08))
