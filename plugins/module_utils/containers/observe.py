# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the daemon reports to the normal form of :mod:`.spec`. All pure."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.containers import normal
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import (
    DEFAULT_CPU_SHARES,
    DEFAULT_NETWORK,
    LABEL_ULIMITS,
    ContainerSpec,
    Device,
    Gpus,
    Log,
    Mount,
    Port,
    RestartPolicy,
    Ulimit,
)

# The label that makes a container ours; its value is the engine's name.
LABEL = "inference.fleet.engine"
# The host directory with the container's secret files.
LABEL_SECRETS = "inference.fleet.secrets"
# The networks that an option declares, beside that of the container's mode.
LABEL_NETWORKS = "inference.fleet.networks"
LABEL_PREFIX = "inference.fleet."

# The fewest characters by which the daemon shows an id.
SHORT_ID = 12
HIDDEN = "(hidden)"
_SECRET_NAME = re.compile(r"(TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)


class HostSize(NamedTuple):
    """What the whole host has. A limit that reaches it is none.

    ``memory_nodes`` are its NUMA nodes, as a set; ``None`` where they are not known. ``limits_swap`` tells whether its
    kernel can limit swap: where it cannot, the daemon notes every container as one that swaps without end.
    """

    memory_bytes: int
    cpus: int
    memory_nodes: str | None = None
    limits_swap: bool = True

    @property
    def nano_cpus(self) -> int:
        """The CPUs in the unit of a limit."""
        return self.cpus * 10**9

    @property
    def cpuset_cpus(self) -> str:
        """Every CPU, as a set."""
        return normal.cpus(f"0-{self.cpus - 1}")


class Observed(NamedTuple):
    """A container as found."""

    id: str
    name: str
    image_id: str
    spec: ContainerSpec
    status: str
    exit_code: int
    oom_killed: bool
    restart_count: int
    error: str
    started_at: str
    created_at: str
    finished_at: str = ""
    networks: tuple[str, ...] = (DEFAULT_NETWORK,)
    network_ids: frozenset[str] = frozenset()
    host: HostSize | None = None
    image_environment: frozenset[str] = frozenset()
    image_entrypoint: tuple[str, ...] | None = None
    image_user: str = ""
    image_labels: Mapping[str, str] = {}
    image_digests: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether its process runs now."""
        return self.status == "running"

    @property
    def was_started(self) -> bool:
        """Whether its process ever ran."""
        return bool(self.started_at) and not self.started_at.startswith("0001-")

    def stopped_after(self, other: Observed) -> bool:
        """Whether it ended after another container was made, and does not run again."""
        return not self.running and _instant(self.finished_at) > _instant(other.created_at)

    def runs_for(self, now: float) -> float:
        """Return how long it has run, in seconds; *now* is the host's time, in seconds since the epoch."""
        if not (self.running and self.was_started):
            return 0
        started = calendar.timegm(time.strptime(self.started_at[:19], "%Y-%m-%dT%H:%M:%S"))
        return max(0.0, now - started)

    def attached(self, network: str) -> bool:
        """Whether it is attached to a network, given by its name or by its id."""
        return network in self.networks or (
            len(network) >= SHORT_ID and any(found.startswith(network) for found in self.network_ids)
        )

    @property
    def ours(self) -> bool:
        """Whether the collection made it."""
        return LABEL in self.spec.labels

    @property
    def secrets_source(self) -> str | None:
        """The host directory of its secret files."""
        return self.spec.labels.get(LABEL_SECRETS)


def _instant(text: str) -> tuple[str, str]:
    """Return one of the daemon's times in a form that sorts: it leaves out zeros at the end."""
    whole, _point, fraction = text.rstrip("Z").partition(".")
    return whole, fraction.ljust(9, "0")


def is_limited(inspect: Mapping[str, Any]) -> bool:
    """Tell whether a container has any limit, which only the host's size gives a meaning."""
    return any(inspect["HostConfig"].get(key) for key in ("Memory", "NanoCpus", "CpuQuota", "CpusetCpus", "CpusetMems"))


def observe(inspect: Mapping[str, Any], image: Mapping[str, Any] | None, host: HostSize | None = None) -> Observed:
    """Return a container in normal form, without what its image and the daemon filled in.

    *inspect* and *image* are the daemon's answers; *image* is ``None`` when the image is gone.
    *host* is needed only for a container with limits.
    """
    state = inspect["State"]
    image_config = (image or {}).get("Config") or {}
    image_entrypoint = image_config.get("Entrypoint")
    networks = (inspect.get("NetworkSettings") or {}).get("Networks") or {}
    return Observed(
        id=inspect["Id"],
        name=inspect["Name"].lstrip("/"),
        image_id=inspect["Image"],
        spec=without_void_limits(_spec(inspect, image_config), host),
        status=state["Status"],
        exit_code=state.get("ExitCode") or 0,
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=inspect.get("RestartCount") or 0,
        error=state.get("Error") or "",
        started_at=state.get("StartedAt") or "",
        created_at=inspect.get("Created") or "",
        finished_at=state.get("FinishedAt") or "",
        host=host,
        networks=tuple(sorted(networks)),
        network_ids=frozenset(filter(None, ((network or {}).get("NetworkID") for network in networks.values()))),
        image_environment=frozenset(image_config.get("Env") or ()),
        image_entrypoint=tuple(image_entrypoint) if image_entrypoint else None,
        image_user=image_config.get("User") or "",
        image_labels=image_config.get("Labels") or {},
        image_digests=tuple((image or {}).get("RepoDigests") or ()),
    )


def _spec(inspect: Mapping[str, Any], image: Mapping[str, Any]) -> ContainerSpec:
    config, host = inspect["Config"], inspect["HostConfig"]
    entrypoint = config.get("Entrypoint")
    image_labels = image.get("Labels") or {}
    labels = {key: value for key, value in (config.get("Labels") or {}).items() if image_labels.get(key) != value}
    secrets_source = labels.get(LABEL_SECRETS)
    user = config.get("User") or ""
    # An earlier release did not note them.
    asked = labels.pop(LABEL_ULIMITS, None)
    return ContainerSpec(
        name=inspect["Name"].lstrip("/"),
        image=config["Image"],
        command=tuple(config.get("Cmd") or ()),
        entrypoint=None if entrypoint == image.get("Entrypoint") else tuple(entrypoint or ()),
        environment=environment_beside(config.get("Env"), image.get("Env")),
        mounts=_mounts(inspect.get("Mounts") or (), image.get("Volumes") or {}, secrets_source),
        ports=_ports(host.get("PortBindings") or {}),
        gpus=_gpus(host.get("DeviceRequests") or ()),
        ipc_mode=host.get("IpcMode") or "",
        shm_bytes=host.get("ShmSize") or 0,
        ulimits=_ulimits(host.get("Ulimits") or (), asked),
        network=host.get("NetworkMode") or "",
        devices=_devices(host.get("Devices") or ()),
        cap_add=tuple(host.get("CapAdd") or ()),
        security_opt=tuple(host.get("SecurityOpt") or ()),
        user=None if normal.user(user) == normal.user(image.get("User") or "") else user,
        log=_log(host.get("LogConfig") or {}),
        restart_policy=_restart_policy(host.get("RestartPolicy") or {}),
        labels=labels,
        memory_bytes=host.get("Memory") or 0,
        nano_cpus=_nano_cpus(host),
        cpuset_cpus=host.get("CpusetCpus") or "",
        swap_bytes=_swap(host),
        pids_limit=max(host.get("PidsLimit") or 0, 0),
        cpu_shares=0 if host.get("CpuShares") in (None, DEFAULT_CPU_SHARES) else host["CpuShares"],
        cpuset_mems=host.get("CpusetMems") or "",
    )


def _nano_cpus(host: Mapping[str, Any]) -> int:
    quota, period = host.get("CpuQuota") or 0, host.get("CpuPeriod") or 100_000
    return host.get("NanoCpus") or (quota * 10**9 // period if quota > 0 else 0)


def _swap(host: Mapping[str, Any]) -> int:
    """Return the swap beside limited memory, in bytes; -1 is without end."""
    memory, both = host.get("Memory") or 0, host.get("MemorySwap") or 0
    return max(both - memory, -1) if memory and both else 0


def without_void_limits(spec: ContainerSpec, host: HostSize | None) -> ContainerSpec:
    """Take off limits that reach the whole host: the daemon can widen a limit, and not take it off."""
    if host is None:
        return spec
    return replace(
        spec,
        memory_bytes=0 if spec.memory_bytes >= host.memory_bytes else spec.memory_bytes,
        nano_cpus=0 if spec.nano_cpus >= host.nano_cpus else spec.nano_cpus,
        cpuset_cpus="" if spec.cpuset_cpus == host.cpuset_cpus else spec.cpuset_cpus,
        cpuset_mems="" if host.memory_nodes in (None, spec.cpuset_mems) else spec.cpuset_mems,
        swap_bytes=spec.swap_bytes if host.limits_swap and 0 < spec.memory_bytes < host.memory_bytes else 0,
    )


def environment_beside(environment: list[str] | None, image: list[str] | None) -> dict[str, str]:
    """Return a container's variables without those that its image sets to the same value."""
    inherited = set(image or ())
    return dict(_pair(item) for item in environment or () if item not in inherited)


def masked(environment: Mapping[str, str]) -> dict[str, str]:
    """Return variables fit to be shown: the value of one whose name says that it is secret is hidden."""
    return {name: HIDDEN if _SECRET_NAME.search(name) else value for name, value in environment.items()}


def _pair(item: str) -> tuple[str, str]:
    name, value = item.split("=", 1) if "=" in item else (item, "")
    return name, value


def _mounts(mounts: Any, volumes: Mapping[str, Any], secrets_source: str | None) -> tuple[Mount, ...]:
    found = []
    for mount in mounts:
        # A volume that the image declares and nobody asked for is not a choice.
        if mount.get("Type") == "volume" and mount["Destination"] in volumes:
            continue
        if mount.get("Type") == "tmpfs" or (secrets_source and mount.get("Source") == secrets_source):
            continue
        source = mount.get("Name") if mount.get("Type") == "volume" else mount.get("Source")
        found.append(Mount(target=mount["Destination"], source=source or "", read_only=not mount.get("RW", True)))
    return tuple(found)


def _ports(bindings: Mapping[str, Any]) -> tuple[Port, ...]:
    found = []
    for key, hosts in bindings.items():
        number, protocol = key.split("/") if "/" in key else (key, "tcp")
        if protocol != "tcp":
            continue
        for host in hosts or ():
            host_port = host.get("HostPort") or "0"
            found.append(Port(int(number), host.get("HostIp") or "", int(host_port)))
    return tuple(found)


def _devices(devices: Any) -> tuple[Device, ...]:
    return tuple(
        Device(device["PathOnHost"], device.get("PathInContainer") or "", device.get("CgroupPermissions") or "")
        for device in devices
    )


def _log(config: Mapping[str, Any]) -> Log:
    return Log(config.get("Type") or "", dict(config.get("Config") or {}))


def _ulimits(limits: Any, asked: str | None) -> tuple[Ulimit, ...]:
    """Return the limits of processes, without those that the daemon gives every container."""
    found = [Ulimit(limit["Name"], limit["Soft"], limit["Hard"]) for limit in limits]
    return tuple(limit for limit in found if asked is None or limit.name in asked.split(","))


def _gpus(requests: Any) -> Gpus | None:
    """Bring GPU requests to one form.

    The daemon stores a driver of "" or "nvidia", device ids of null or [], capabilities in any
    order; none of it is a difference.
    """
    for request in requests:
        capabilities = {capability for group in request.get("Capabilities") or () for capability in group}
        if "gpu" not in capabilities and request.get("Driver") != "nvidia":
            continue
        ids = tuple(request.get("DeviceIDs") or ())
        return Gpus(device_ids=ids) if ids else Gpus(count=request.get("Count") or 0)
    return None


def _restart_policy(policy: Mapping[str, Any]) -> RestartPolicy:
    return RestartPolicy(policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0)
