# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients of a gateway as its host keeps them: the inventory's, and those that were made there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.gateway.spec import Client, unique

FILE = "clients.json"
INVENTORY, HOST = "inventory", "host"


@dataclass(frozen=True)
class Clients:
    """All clients, and the hashes of keys that were revoked, with the names that they had."""

    known: tuple[Client, ...] = ()
    revoked: Mapping[str, str] = field(default_factory=dict)

    def named(self, name: str) -> Client | None:
        """Return a client by its name."""
        return next((client for client in self.known if client.name == name), None)

    def with_inventory(self, wanted: Sequence[Client]) -> tuple[Clients, list[str]]:
        """Return them with the inventory's clients in place of those it had, and what there is to warn of.

        A key that was revoked here stays revoked, whatever the inventory still says.
        """
        kept = [client for client in self.known if client.source == HOST]
        named = {client.name for client in kept}
        both = [client.name for client in wanted if client.name in named]
        if both:
            raise FleetError(
                f"gateway_clients names {', '.join(both)}, and gateway_key made a client of that name on this host. "
                "Call the inventory's otherwise, or revoke the other by gateway_key with state: absent."
            )
        refused = [client.name for client in wanted if client.key_sha256 in self.revoked]
        warnings = [
            f"gateway client {name}: its key was revoked on this host, and stays so. Give it another, or take it "
            "out of gateway_clients."
            for name in refused
        ]
        known = unique([*kept, *(client for client in wanted if client.name not in refused)])
        return Clients(tuple(known), self.revoked), warnings

    def having(self, client: Client) -> Clients:
        """Return them with a client, in place of the one of its name."""
        others = [each for each in self.known if each.name != client.name]
        return Clients(tuple(unique([*others, client])), self.revoked)

    def without(self, name: str) -> Clients:
        """Return them without a client, its key revoked for good."""
        gone = self.named(name)
        revoked = {**self.revoked, **({gone.key_sha256: name} if gone else {})}
        return Clients(tuple(each for each in self.known if each.name != name), revoked)

    def text(self) -> str:
        """Return them as their file has them."""
        known = [asdict(each) for each in sorted(self.known, key=lambda each: each.name)]
        return json.dumps({"clients": known, "revoked": dict(sorted(self.revoked.items()))}, indent=1) + "\n"


def read(directory: Path) -> Clients:
    """Return the clients of a gateway's host. FleetError where their file is no such file."""
    path = directory / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = [Client(**{**each, "models": tuple(each["models"])}) for each in content["clients"]]
        return Clients(tuple(known), content["revoked"])
    except FileNotFoundError:
        return Clients()
    except OSError as error:
        raise FleetError(f"{path} cannot be read: {error.strerror}. The gateway needs root.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FleetError(
            f"{path} is not as gateway_key wrote it ({type(error).__name__}: {error}). Mend it, or move it away: the "
            "clients that gateway_key made are then unknown."
        ) from error


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file whole or not at all, with its mode from the first byte on."""
    temporary = ""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        temporary = ""
    except OSError as error:
        raise FleetError(f"{path} cannot be written: {error.strerror}. The gateway needs root.") from error
    finally:
        if temporary:
            with suppress(OSError):
                os.unlink(temporary)


def shown(client: Client) -> dict[str, Any]:
    """Return a client as results show it: without its key's hash."""
    return {name: value for name, value in asdict(client).items() if name != "key_sha256"}
