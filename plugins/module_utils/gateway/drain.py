# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that are taken out of a gateway for a while, and who took them out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway import config, sockets, spec, store
from ansible_collections.inference.fleet.plugins.module_utils.gateway.sockets import ServerState
from ansible_collections.inference.fleet.plugins.module_utils.gateway.spec import Server

# An engine that is out and not in it was taken out by a person.
FILE = "owners.json"
_NOBODY_IS_OUT = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n"
STATES = {"drain": True, "ready": False}


@dataclass(frozen=True)
class Engines:
    """The engines of *hosts* (none named: all) behind the gateway that has these directories."""

    directory: Path
    run_directory: Path
    hosts: tuple[str, ...] = ()

    def there(self) -> bool:
        """Tell whether a gateway runs here."""
        return sockets.answers(self.run_directory / config.ADMIN_SOCKET)

    def now(self) -> list[ServerState]:
        """Return them as HAProxy sees them."""
        prefixes = tuple(spec.server_name(name, "") for name in self.hosts)
        found = sockets.servers(self.run_directory)
        return [each for each in found if not prefixes or each.name.startswith(prefixes)]

    def owners(self) -> dict[str, str]:
        """Return who took out which engine of the gateway, by the engine's name."""
        path = self.directory / FILE
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise FleetError(
                f"{path} cannot be read: {error}. Move it away: what is out stays out till then."
            ) from error

    def bring(self, state: str, owner: str, *, check_mode: bool) -> list[ServerState]:
        """Take them out, or bring them back; return those that this changes.

        What somebody else took out stays so: a play neither brings back nor makes its own what a person took out. A
        person, whose *owner* is empty, may do both.
        """
        before = self.owners()
        meant = [each for each in self.now() if may(each, before, owner)]
        changing = [each for each in meant if each.drained != STATES[state]]
        after = {name: who for name, who in before.items() if name not in {each.name for each in meant}}
        if owner and state == "drain":
            after.update({each.name: owner for each in meant})
        if not check_mode:
            # First whose they are: a run that is killed in between leaves nothing that nobody brings back.
            if after != before:
                store.write(self.directory / FILE, json.dumps(after, indent=1, sort_keys=True) + "\n")
            if changing:
                sockets.set_state(self.run_directory, changing, state)
                kept = sockets.drained_state(self.run_directory / config.ADMIN_SOCKET)
                store.write(self.directory / config.STATE_FILE, kept)
        return changing

    def waiting(self, state: str, owner: str) -> list[ServerState]:
        """Return those that are not yet what *state* waits for: without a request, or healthy."""
        owners = self.owners()
        if state == "drain":
            return [each for each in self.now() if each.sessions]
        return [each for each in self.now() if may(each, owners, owner) and not each.status.startswith("UP")]

    def taken_out_by(self, owner: str, now: Sequence[ServerState]) -> list[str]:
        """Return those of the hosts that have an engine which *owner* took out."""
        owners = self.owners()
        names = [each.name for each in now if each.drained and owners.get(each.name, "") == owner]
        return [host for host in self.hosts if any(name.startswith(spec.server_name(host, "")) for name in names)]


def fitting(kept: str, wanted: Iterable[Server]) -> str:
    """Return what a reload has to know of servers that are out, for another configuration of them.

    HAProxy takes port and TLS from there, too, and would go on to ask an engine in the clear.
    """
    if not kept:
        return _NOBODY_IS_OUT
    servers = {server.name: server for server in wanted}
    version, head, *lines = kept.splitlines()
    columns = head.strip("# ").split()
    rows = []
    for line in lines:
        fields = dict(zip(columns, line.split(), strict=False))
        server = servers.get(fields["srv_name"])
        if server:
            fields.update(srv_port=str(server.port), srv_use_ssl=str(int(bool(server.tls_name))))
        rows.append(" ".join(fields.values()))
    return "\n".join([version, head, *rows]) + "\n"


def may(each: ServerState, owners: Mapping[str, str], owner: str) -> bool:
    """Tell whether *owner* takes an engine out or brings it back: it is in, or was taken out by the same."""
    return not owner or not each.drained or owners.get(each.name) == owner


def told(waiting: Sequence[ServerState], state: str, seconds: int) -> str:
    """Return in words what did not come in time."""
    if state == "drain":
        each = ", ".join(f"{one.name} ({one.sessions})" for one in waiting)
        return f"requests are still under way after {seconds} s, and end with their engine: {each}."
    each = ", ".join(f"{one.name} ({one.status})" for one in waiting)
    return (
        f"the gateway does not see these engines healthy within {seconds} s: {each}. See that it reaches them: "
        "doctor.yml tells why it does not, and gateway.yml sets up what takes TLS on their hosts."
    )
