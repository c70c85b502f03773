# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container in normal form: the same value for the same container, however it was written.

Both sides of a comparison take this form. What a user wants becomes a :class:`ContainerSpec`
directly; what the daemon reports is brought to it by :mod:`.observe`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The daemon's own defaults, used for what a specification leaves open.
DEFAULT_SHM_BYTES = 64 * 1024 * 1024
DEFAULT_CPU_SHARES = 1024
DEFAULT_IPC = "private"
DEFAULT_NETWORK = "bridge"


@dataclass(frozen=True, order=True)
class Mount:
    """A directory or file of the host inside the container."""

    target: str
    source: str
    read_only: bool = False

    def __str__(self) -> str:
        return f"{self.source}:{self.target}:{'ro' if self.read_only else 'rw'}"


@dataclass(frozen=True, order=True)
class Port:
    """A published TCP port."""

    container_port: int
    host_ip: str
    host_port: int

    def __str__(self) -> str:
        return f"{self.host_ip}:{self.host_port}->{self.container_port}/tcp"


@dataclass(frozen=True)
class Gpus:
    """A GPU request: all of them (``count == -1``), a number of them, or some by id."""

    count: int = 0
    device_ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.device_ids:
            return "devices " + ", ".join(self.device_ids)
        return "all" if self.count == -1 else str(self.count)


ALL_GPUS = Gpus(count=-1)


@dataclass(frozen=True, order=True)
class Ulimit:
    """A resource limit of the container's processes."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True)
class RestartPolicy:
    """What the daemon does when the container ends."""

    name: str = "no"
    maximum_retries: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.maximum_retries}" if self.maximum_retries else self.name


@dataclass(frozen=True)
class ContainerSpec:
    """One container.

    ``image`` is a reference (tag, digest or both). ``entrypoint`` of ``None`` is the image's own.
    ``secrets`` maps file names to contents; their directory on the host belongs to the container
    and is mounted at ``secrets_target``. Those of ``live_secrets`` are read again while the engine
    runs. ``labels`` describe and identify.
    """

    name: str
    image: str
    command: tuple[str, ...]
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    gpus: Gpus | None = None
    ipc_mode: str = DEFAULT_IPC
    shm_bytes: int = DEFAULT_SHM_BYTES
    ulimits: tuple[Ulimit, ...] = ()
    network: str = DEFAULT_NETWORK
    restart_policy: RestartPolicy = RestartPolicy()
    labels: Mapping[str, str] = field(default_factory=dict)
    # Limits of 0 and "" leave the container the whole host.
    memory_bytes: int = 0
    nano_cpus: int = 0
    cpuset_cpus: str = ""
    # What no user asks for, and somebody may have set by hand: the daemon's own defaults.
    swap_bytes: int = 0
    pids_limit: int = 0
    cpu_shares: int = 0
    cpuset_mems: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    live_secrets: frozenset[str] = frozenset()
    secrets_target: str = ""


def create_config(spec: ContainerSpec, secrets_source: str | None = None) -> dict[str, object]:
    """Return the body of the daemon's *create container* call.

    *secrets_source* is the host directory with the secret files, where there are any.
    """
    mounts = [
        {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
        for mount in spec.mounts
    ]
    if secrets_source:
        mounts.append({"Type": "bind", "Source": secrets_source, "Target": spec.secrets_target, "ReadOnly": True})
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in spec.ports:
        bindings.setdefault(f"{port.container_port}/tcp", []).append(
            {"HostIp": port.host_ip, "HostPort": str(port.host_port)}
        )
    host_config: dict[str, object] = {
        "Mounts": mounts,
        "PortBindings": bindings,
        "IpcMode": spec.ipc_mode,
        "ShmSize": spec.shm_bytes,
        "NetworkMode": spec.network,
        "RestartPolicy": {
            "Name": spec.restart_policy.name,
            "MaximumRetryCount": spec.restart_policy.maximum_retries,
        },
        "Ulimits": [{"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in spec.ulimits],
        # No swap beside limited memory: an engine that swaps is worse than one that ends.
        "Memory": spec.memory_bytes,
        "MemorySwap": spec.memory_bytes,
        "NanoCpus": spec.nano_cpus,
        "CpusetCpus": spec.cpuset_cpus,
    }
    if spec.gpus:
        host_config["DeviceRequests"] = [
            {
                "Driver": "",
                "Count": spec.gpus.count,
                "DeviceIDs": list(spec.gpus.device_ids) or None,
                "Capabilities": [["gpu"]],
                "Options": {},
            }
        ]
    config: dict[str, object] = {
        "Image": spec.image,
        "Cmd": list(spec.command),
        "Env": [f"{name}={value}" for name, value in sorted(spec.environment.items())],
        "Labels": dict(spec.labels),
        "ExposedPorts": {key: {} for key in bindings},
        "HostConfig": host_config,
    }
    if spec.entrypoint is not None:
        config["Entrypoint"] = list(spec.entrypoint)
    return config
