# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances as the API lists them, and what of them is ours. All pure.

Ours is what has our tag **and** the name. Tags are written at the launch and cannot be changed later, so an extended
lease stands at the end of the name: ``h100-1--until-20261126T1600Z``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

# Our tags. The API takes no underscore in a key.
OURS = "inference-fleet"
GROUP, LAUNCH, LAUNCHED, UNTIL = (f"{OURS}:{name}" for name in ("group", "launch", "launched", "until"))
# What bills, and what does no longer.
LIVE = ("booting", "active", "unhealthy")
OVER = ("terminating", "terminated", "preempted")
STATUSES = (*LIVE, *OVER)
_MOMENT = "%Y%m%dT%H%M%SZ"
_EXTENDED = re.compile(r"(?P<name>.*)--until-(?P<until>\d{8}T\d{6}Z)")
_NAME_LIMIT = 64
# What is left of it for a name beside an extended lease.
NAME_LENGTH = _NAME_LIMIT - len("--until-20261126T160000Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Machine:
    """An instance. Times are in UTC; what the API has not told yet is None. No secret of the API's is in it."""

    id: str
    name: str
    api_name: str
    status: str
    type: str
    region: str
    hourly_usd: float
    gpus: int
    gpu_description: str
    ip: str | None = None
    private_ip: str | None = None
    hostname: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    ssh_key_names: tuple[str, ...] = ()
    file_system_names: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        """Whether it has our tag."""
        return OURS in self.tags

    @property
    def live(self) -> bool:
        """Whether it bills."""
        return self.status not in OVER

    @property
    def group(self) -> str | None:
        """The name that instances of one count share."""
        return self.tags.get(GROUP)

    @property
    def launched_at(self) -> datetime | None:
        """When its launch was asked for."""
        return _moment(self.tags.get(LAUNCHED))

    @property
    def until(self) -> datetime | None:
        """When its lease ends; None where it has none."""
        extended = _EXTENDED.fullmatch(self.api_name)
        return _moment(extended["until"] if extended else self.tags.get(UNTIL))

    def overdue(self, now: datetime) -> bool:
        """Whether it bills and its lease is over."""
        return self.ours and self.live and self.until is not None and self.until <= now

    def cost_usd(self, now: datetime) -> float | None:
        """Return what it has cost since its launch; None where that is not known."""
        if self.launched_at is None:
            return None
        return max(0.0, (now - self.launched_at).total_seconds()) / 3600 * self.hourly_usd

    @property
    def family(self) -> str:
        """The kind of its GPUs as it stands in a profile: h100, a100-40gb, b200; cpu where it has none."""
        if not self.gpus:
            return profiles.CPU
        name, _bracket, rest = self.gpu_description.partition("(")
        size = re.search(r"(\d+)\s*GB", rest)
        return profiles.family(name.strip() or self.type, int(size[1]) * 1024 if size else 0)

    @property
    def profile(self) -> str:
        """Its hardware shape, such as h100x4."""
        return f"{self.family}x{self.gpus}" if self.gpus else profiles.CPU

    def told(self, now: datetime) -> dict[str, Any]:
        """Return it as a module's result."""
        cost = self.cost_usd(now)
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "instance_type": self.type,
            "region": self.region,
            "profile": self.profile,
            "gpus": self.gpus,
            "gpu_description": self.gpu_description,
            "hourly_usd": self.hourly_usd,
            "cost_usd": None if cost is None else round(cost, 2),
            "launched_at": _iso(self.launched_at),
            "lease_until": _iso(self.until),
            "overdue": self.overdue(now),
            "ours": self.ours,
            "ip": self.ip,
            "private_ip": self.private_ip,
            "hostname": self.hostname,
            "tags": dict(self.tags),
            "ssh_key_names": list(self.ssh_key_names),
            "file_system_names": list(self.file_system_names),
        }


def machine(raw: Mapping[str, Any]) -> Machine:
    """Read an instance of the API's. Only what its description requires is taken for granted."""
    kind = raw.get("instance_type") or {}
    api_name = raw.get("name") or ""
    extended = _EXTENDED.fullmatch(api_name)
    return Machine(
        id=raw["id"],
        name=extended["name"] if extended else api_name,
        api_name=api_name,
        status=raw["status"],
        type=kind.get("name", "unknown"),
        region=(raw.get("region") or {}).get("name", "unknown"),
        hourly_usd=kind.get("price_cents_per_hour", 0) / 100,
        gpus=(kind.get("specs") or {}).get("gpus", 0),
        gpu_description=kind.get("gpu_description", ""),
        ip=raw.get("ip") or None,
        private_ip=raw.get("private_ip") or None,
        hostname=raw.get("hostname") or None,
        tags={tag["key"]: tag["value"] for tag in raw.get("tags") or ()},
        ssh_key_names=tuple(raw.get("ssh_key_names") or ()),
        file_system_names=tuple(raw.get("file_system_names") or ()),
    )


def named(found: Iterable[Machine], name: str) -> list[Machine]:
    """Return what bills of ours under a name, the oldest first."""
    return oldest_first(each for each in found if each.ours and each.live and each.name == name)


def grouped(found: Iterable[Machine], group: str) -> list[Machine]:
    """Return what bills of ours in a group, the oldest first."""
    return oldest_first(each for each in found if each.ours and each.live and each.group == group)


def oldest_first(found: Iterable[Machine]) -> list[Machine]:
    """Return them by the time of their launch, in an order on which every control host agrees."""
    return sorted(found, key=lambda each: (each.tags.get(LAUNCHED, ""), each.tags.get(LAUNCH, ""), each.id))


def launch_tags(
    launch_id: str, now: datetime, lease: timedelta | None, group: str | None, more: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return the tags of a launch, as the API takes them."""
    tags = {**more, OURS: "managed", LAUNCH: launch_id, LAUNCHED: now.strftime(_MOMENT)}
    if group is not None:
        tags[GROUP] = group
    if lease is not None:
        tags[UNTIL] = (now + lease).strftime(_MOMENT)
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]


def extended_name(name: str, until: datetime) -> str:
    """Return the name that carries a lease."""
    return f"{name}--until-{until.astimezone(timezone.utc).strftime(_MOMENT)}"


def renamed(name: str, current: Machine) -> str:
    """Return the API's name for a new name of ours, with the extended lease that the old one carries."""
    extended = _EXTENDED.fullmatch(current.api_name)
    return f"{name}--until-{extended['until']}" if extended else name


def duration(text: str) -> timedelta:
    """Read a duration.

    >>> duration("4h"), duration("1h30m")
    (datetime.timedelta(seconds=14400), datetime.timedelta(seconds=5400))
    """
    parts = re.findall(r"(\d+)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise FleetError(f"{text!r} is no duration: wanted such as 4h, 90m, 1h30m or 2d")
    found = timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))
    if not found:
        raise FleetError(f"{text!r} is no duration: wanted more than nothing, such as 4h")
    return found


def check_name(name: str) -> None:
    """Refuse a name that the API would not take, or that could not carry a lease."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name) or len(name) > NAME_LENGTH or "--" in name:
        raise FleetError(
            f"{name!r} is no name for an instance: wanted letters, digits, dots and single hyphens, at most "
            f"{NAME_LENGTH} of them, as the end of its lease may have to stand behind it"
        )


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that the API would not take, or that are ours."""
    for key, value in tags.items():
        if not re.fullmatch(r"[a-z][a-z0-9:-]+", key) or len(key) > 55:
            raise FleetError(
                f"tags: {key!r} is no key: wanted a small letter, then small letters, digits, colons and hyphens, "
                "55 at most"
            )
        if key.partition(":")[0] == OURS:
            raise FleetError(f"tags: keys that begin with {OURS} are the collection's own, found {key!r}")
        if len(value) > 128:
            raise FleetError(f"tags: the value of {key!r} has {len(value)} characters, at most 128 are taken")


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", _MOMENT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
