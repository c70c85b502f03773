# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts that serve one model together say to each other is neither encrypted nor authenticated, and on ports that
the kernel gives out: the head's for its members, and any of its ephemeral range. A table of nftables of its own, one a
slot, refuses whoever is no member there.

It refuses, and does not drop: a member by another address than it is known by fails at once, and not after minutes. The
engine's own port is left to what guards an endpoint, and sshd's to its user. nftables forgets at a boot; so does Docker
start no engine of a group then, and the next deployment brings both back, the table first. Where the engine of before
comes back, so does its table.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.containers import plan, state
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.command import NOT_FOUND, RunCommand, run
from ansible_collections.inference.fleet.plugins.module_utils.serving import groups

CLOSE = "close the group's ports to all but its members"
OPEN = "remove the firewall rules of the group's ports"
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHAIN = "input"
# Before the priority of a host's own filters, whose rules hold all the same for what is accepted here.
_HOOK = f"type filter hook {_CHAIN} priority -5; policy accept;"
_RULE = re.compile(" comment ")
_LISTENER = re.compile(r":([0-9]+)\s+\S+\s+users:\(.*\"(?:sshd|systemd)\"")


class Wanted(NamedTuple):
    """Whom to let in: the members' addresses; the head's port for them; the engine's own port."""

    addresses: tuple[str, ...]
    port: int
    own_port: int


def rules(wanted: Wanted, ephemeral: tuple[int, int], spared: Iterable[int] = ()) -> list[str]:
    """Return the rules of the chain, in their order. Pure.

    *ephemeral* is the range of the ports that the kernel gives out, *spared* are ports of it that stay open.
    """
    known = sorted({ipaddress.ip_address(address.partition("%")[0]) for address in wanted.addresses}, key=str)
    members = [
        f"{family} saddr {{ {', '.join(str(address) for address in known if address.version == version)} }} accept"
        for family, version in (("ip", 4), ("ip6", 6))
        if any(address.version == version for address in known)
    ]
    kept = sorted({wanted.own_port, *(port for port in spared if ephemeral[0] <= port <= ephemeral[1])})
    first, last = ephemeral
    closed = f"{first}-{last}" if first <= wanted.port <= last else f"{wanted.port}, {first}-{last}"
    return [
        'iifname "lo" accept',
        "ct state established,related accept",
        *members,
        f"tcp dport {{ {', '.join(map(str, kept))} }} accept",
        f"tcp dport {{ {closed} }} reject with tcp reset",
    ]


def table(slot: str) -> str:
    """Return the name of a slot's table, of letters that nftables takes.

    >>> table("8000")
    'inference_fleet_8000'
    """
    plain = re.sub(r"[^A-Za-z0-9]", "_", slot)
    return f"inference_fleet_{plain}" + ("" if plain == slot else f"_{_hash(slot)[:8]}")


def ruleset(slot: str, listed: Sequence[str]) -> str:
    """Return what nft reads to have these rules and no other in a slot's table, in one step. Pure.

    Each has a comment that changes with it: who changes a rule by hand leaves it without one.
    """
    lines = [f"    {rule} comment {json.dumps(comment(rule))}" for rule in listed]
    body = "\n".join([f"  chain {_CHAIN} {{", f"    {_HOOK}", *lines, "  }"])
    name = table(slot)
    return f"table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n{body}\n}}\n"


def comment(rule: str) -> str:
    """Return the comment of a rule."""
    return f"inference.fleet {_hash(rule)[:16]}"


def comments(listing: str) -> list[str] | None:
    """Return the comments of the rules that nft -j lists of a table; None where it is no table as it is made here."""
    try:
        objects = json.loads(listing)["nftables"]
    except (ValueError, KeyError, TypeError):
        return None
    chains = [item["chain"] for item in objects if "chain" in item]
    if [(chain.get("hook"), chain.get("policy")) for chain in chains] != [(_CHAIN, "accept")]:
        return None
    return [str(item["rule"].get("comment", "")) for item in objects if "rule" in item]


def listeners(output: str) -> set[int]:
    """Return the ports at which sshd listens, or systemd for it, of what ss -Hltnp prints.

    >>> sorted(listeners('LISTEN 0 128 0.0.0.0:40022 0.0.0.0:* users:(("sshd",pid=7,fd=3))'))
    [40022]
    """
    return {int(found[1]) for found in map(_LISTENER.search, output.splitlines()) if found}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Firewall:
    """The table of one slot of this host. *wanted* is None where there is to be none."""

    def __init__(self, slot: str, wanted: Wanted | None, command: RunCommand = run) -> None:
        self._slot, self._command = slot, command
        # What was put: so that of a host that never had a table nothing is asked.
        self._file = state.firewall(slot)
        self.rules = self._wanted_rules(wanted) if wanted else None

    def _wanted_rules(self, wanted: Wanted) -> list[str]:
        first, last = map(int, EPHEMERAL.read_text(encoding="utf-8").split())
        return rules(wanted, (first, last), listeners(self._command(["ss", "-Hltnp"])[1]))

    @property
    def differs(self) -> bool:
        """Whether the host has another table, none, or one too many."""
        if self.rules is None:
            return self._file.is_file()
        code, output, error = self._command(["nft", "-j", "list", "table", "inet", table(self._slot)])
        if code == NOT_FOUND:
            raise FleetError(
                "group: wanted nft, which closes the group's ports to others (engine_group_firewall), found none on "
                "this host. Install the package nftables, or set engine_group_firewall to false where something else "
                "keeps others out."
            )
        if code and "No such file" not in error:
            raise FleetError(f"group: nft does not tell the firewall's rules: {error.strip() or code}.")
        return bool(code) or comments(output) != [comment(rule) for rule in self.rules]

    def diff(self) -> dict[str, list[str]]:
        """Return the rules that the host has, as nft prints them, and those that are wanted: none where it has none."""
        code, output, _error = self._command(["nft", "list", "table", "inet", table(self._slot)])
        before = [] if code else [line.strip() for line in output.splitlines() if _RULE.search(line)]
        return {"before": before, "after": self.rules or []}

    @property
    def step(self) -> str:
        """What is to be done where it differs, in words."""
        return OPEN if self.rules is None else CLOSE

    def put(self) -> None:
        """Have the table as it is wanted. FleetError where it could not be: nobody is to be let in by mistake."""
        self._load(self._text)
        self._before.unlink(missing_ok=True)

    def put_until_settled(self) -> None:
        """Do so, and keep the table of before for :meth:`settle`; what a run that was cut off kept stays."""
        if not self._before.is_file():
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            state.write(self._before, self._file.read_text(encoding="utf-8") if self._file.is_file() else "")
        self._load(self._text)

    def settle(self, back: bool) -> None:
        """Have the table of before again, or forget it; nothing where none was kept."""
        if back and self._before.is_file():
            self._load(self._before.read_text(encoding="utf-8"))
        self._before.unlink(missing_ok=True)

    @property
    def _text(self) -> str:
        return "" if self.rules is None else ruleset(self._slot, self.rules)

    @property
    def _before(self) -> Path:
        return self._file.with_suffix(".nft.before")

    def _load(self, text: str) -> None:
        """Have the table that nft reads from *text*; none where it is empty."""
        name = table(self._slot)
        temporary = self._file.with_suffix(".nft.new")
        temporary.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(text or f"table inet {name}\ndelete table inet {name}\n", encoding="utf-8")
        code, _output, error = self._command(["nft", "-f", str(temporary)])
        # Without nft there is no table any more that it could remove.
        if code and (text or code != NOT_FOUND):
            raise FleetError(
                f"group: the firewall's rules in {temporary} could not be loaded: {error.strip() or code}."
            )
        if text:
            temporary.replace(self._file)
        else:
            temporary.unlink()
            self._file.unlink(missing_ok=True)


def other(params: Mapping[str, Any], slot: str) -> Firewall | None:
    """Return the firewall that the options of the module engine ask for, where the host has another one.

    Of hosts that start an engine together each has its own before that: this is none of the other stages' business.
    """
    group, serves = params.get("group") or {}, params["state"] in (plan.PRESENT, plan.RESTARTED)
    if params.get("stage") not in (None, plan.STARTS) or not (serves or params["state"] == plan.ABSENT):
        return None
    wanted = None
    if serves and group.get("firewall"):
        wanted = Wanted(tuple(map(groups.resolve, group["addresses"])), group["port"], params["port"])
    found = Firewall(slot, wanted)
    return found if found.differs else None
