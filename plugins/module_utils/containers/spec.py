# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container in normal form: the same value for the same container, however it was written.

Both sides of a comparison take this form, and cannot take another: what these classes are given they bring to it, by
:mod:`.normal`. What a user wants becomes a :class:`ContainerSpec` directly; what the daemon reports is read by
:mod:`.observe`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.inference.fleet.plugins.module_utils.containers import normal

# The daemon's own defaults, used for what a specification leaves open.
DEFAULT_SHM_BYTES = 64 * 1024 * 1024
DEFAULT_CPU_SHARES = 1024
DEFAULT_IPC = "private"
DEFAULT_NETWORK = "bridge"

# The limits of processes that the container was made with, by name: to those that it was not, the daemon adds its own.
LABEL_ULIMITS = "inference.fleet.ulimits"


class _Normal:
    """A frozen value that puts fields of its own into their normal form when it is made."""

    def _put(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Mount(_Normal):
    """A directory or file of the host inside the container, or a volume by its name."""

    target: str
    source: str
    read_only: bool = False

    def __post_init__(self) -> None:
        self._put(target=normal.path(self.target), source=normal.path(self.source))

    def __str__(self) -> str:
        return f"{self.source}:{self.target}:{'ro' if self.read_only else 'rw'}"


@dataclass(frozen=True)
class Port(_Normal):
    """A published TCP port."""

    container_port: int
    host_ip: str
    host_port: int

    def __post_init__(self) -> None:
        self._put(host_ip=normal.address(self.host_ip))

    def __str__(self) -> str:
        return f"{self.host_ip}:{self.host_port}->{self.container_port}/tcp"


@dataclass(frozen=True)
class Gpus(_Normal):
    """A GPU request: all of them (``count == -1``), a number of them, or some by id."""

    count: int = 0
    device_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._put(device_ids=tuple(sorted(set(self.device_ids))))

    def __str__(self) -> str:
        if self.device_ids:
            return "devices " + ", ".join(self.device_ids)
        return "all" if self.count == -1 else str(self.count)


ALL_GPUS = Gpus(count=-1)


@dataclass(frozen=True)
class Ulimit(_Normal):
    """A resource limit of the container's processes."""

    name: str
    soft: int
    hard: int

    def __post_init__(self) -> None:
        self._put(name=self.name.lower())


@dataclass(frozen=True)
class Device(_Normal):
    """A device of the host inside the container."""

    source: str
    target: str = ""
    permissions: str = ""

    def __post_init__(self) -> None:
        source = normal.path(self.source)
        permissions = normal.permissions(self.permissions)
        self._put(source=source, target=normal.path(self.target) or source, permissions=permissions)

    def __str__(self) -> str:
        return f"{self.source}:{self.target}:{self.permissions}"


class Log(NamedTuple):
    """Where the container's log goes: a driver, and its options. An empty driver is the daemon's own."""

    driver: str = ""
    options: Mapping[str, str] = {}

    def __str__(self) -> str:
        return ", ".join([self.driver, *(f"{name}={value}" for name, value in sorted(self.options.items()))])


# What a new container's log may take, where nobody says it: 500 MB, on the drivers that write files.
ROTATION = {"max-size": "100m", "max-file": "5"}
ROTATED_DRIVERS = ("json-file", "local")


@dataclass(frozen=True)
class RestartPolicy(_Normal):
    """What the daemon does when the container ends."""

    name: str = "no"
    maximum_retries: int = 0

    def __post_init__(self) -> None:
        self._put(name=self.name or "no")

    def __str__(self) -> str:
        return f"{self.name}:{self.maximum_retries}" if self.maximum_retries else self.name


@dataclass(frozen=True)
class ContainerSpec(_Normal):
    """One container. What has no order is sorted; what is there twice is there once.

    ``image`` is a reference (tag, digest or both). ``entrypoint`` and ``user`` of ``None`` are the image's own, ``log``
    of ``None`` is nobody's concern.
    ``secrets`` maps file names to contents; their directory on the host belongs to the container
    and is mounted at ``secrets_target``. Those of ``live_secrets`` are read again while the engine
    runs; of those of ``secret_versions`` any text of that version or a newer one will do. ``earlier_commands`` ask for
    the same as ``command``. ``labels`` describe and identify.
    """

    name: str
    image: str
    command: tuple[str, ...]
    earlier_commands: tuple[tuple[str, ...], ...] = ()
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    gpus: Gpus | None = None
    ipc_mode: str = DEFAULT_IPC
    shm_bytes: int = DEFAULT_SHM_BYTES
    ulimits: tuple[Ulimit, ...] = ()
    network: str = DEFAULT_NETWORK
    devices: tuple[Device, ...] = ()
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    user: str | None = None
    log: Log | None = None
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
    secret_versions: Mapping[str, int] = field(default_factory=dict)
    secrets_target: str = ""

    def __post_init__(self) -> None:
        self._put(
            image=normal.image(self.image),
            mounts=_sorted(self.mounts),
            ports=_sorted(self.ports),
            ulimits=_sorted(self.ulimits),
            devices=_sorted(self.devices),
            cap_add=tuple(sorted(set(map(normal.capability, self.cap_add)))),
            security_opt=normal.security_options(self.security_opt, self.ipc_mode),
            user=None if self.user is None else normal.user(self.user),
            ipc_mode=self.ipc_mode or DEFAULT_IPC,
            shm_bytes=self.shm_bytes or DEFAULT_SHM_BYTES,
            network=DEFAULT_NETWORK if self.network in ("", "default") else self.network,
            cpuset_cpus=normal.cpus(self.cpuset_cpus),
            cpuset_mems=normal.cpus(self.cpuset_mems),
        )


def _sorted(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values without what is there twice, in an order of their fields."""
    return tuple(sorted(set(values), key=lambda value: tuple(vars(value).values())))


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
    if spec.devices:
        host_config["Devices"] = [
            {
                "PathOnHost": device.source,
                "PathInContainer": device.target,
                "CgroupPermissions": device.permissions,
            }
            for device in spec.devices
        ]
    if spec.cap_add:
        host_config["CapAdd"] = list(spec.cap_add)
    if spec.security_opt:
        host_config["SecurityOpt"] = list(spec.security_opt)
    if spec.log:
        host_config["LogConfig"] = {"Type": spec.log.driver, "Config": dict(spec.log.options)}
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
        "Labels": {**spec.labels, LABEL_ULIMITS: ",".join(limit.name for limit in spec.ulimits)},
        "ExposedPorts": {key: {} for key in bindings},
        "HostConfig": host_config,
    }
    if spec.user is not None:
        config["User"] = spec.user
    if spec.entrypoint is not None:
        config["Entrypoint"] = list(spec.entrypoint)
    return config
