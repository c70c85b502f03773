# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker on a host, asked over its socket: no client program and no SDK is needed to say that they are missing."""

from __future__ import annotations

import http.client
import importlib.metadata
import importlib.util
import json
import shutil
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import daemon_config
from ansible_collections.inference.fleet.plugins.module_utils.host.command import search_path

DEFAULT_HOST = "unix:///var/run/docker.sock"
_CDI = ("/etc/cdi", "/var/run/cdi")
DEFAULT_ROOT = "/var/lib/docker"
# Where the socket is systemd's, the first request starts the daemon, which takes seconds.
TIMEOUT = 10


def docker(docker_host: str = DEFAULT_HOST, timeout: float = TIMEOUT) -> dict[str, Any]:
    """Return what is known of a Docker daemon, reached at a ``unix://`` or ``tcp://`` URL.

    ``{"installed", "running", "version", "api_version", "root", "storage_driver", "cgroup_driver", "runtimes": [names],
    "cdi_devices", "containers_running", "live_restore", "sdk_version", "config_error", "error"}``: unknown values are
    ``None``; ``error`` says why a daemon does not answer, and ``config_error`` what is wrong with its daemon.json;
    ``cdi_devices`` are files that describe NVIDIA's devices for CDI.
    """
    facts: dict[str, Any] = {
        "installed": shutil.which("dockerd", path=search_path()) is not None,
        "running": False,
        "version": None,
        "api_version": None,
        "root": None,
        "storage_driver": None,
        "cgroup_driver": None,
        "runtimes": [],
        "cdi_devices": [str(path) for folder in _CDI for path in sorted(Path(folder).glob("*nvidia*"))],
        "containers_running": None,
        "live_restore": None,
        "sdk_version": sdk_version(),
        "config_error": config_error(),
        "error": None,
    }
    try:
        version = _get(docker_host, "/version", timeout)
        info = _get(docker_host, "/info", timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        facts["error"] = _reason(error, timeout)
        return facts
    facts.update(
        installed=True,
        running=True,
        version=version.get("Version"),
        api_version=version.get("ApiVersion"),
        root=info.get("DockerRootDir"),
        storage_driver=info.get("Driver"),
        cgroup_driver=info.get("CgroupDriver"),
        runtimes=sorted(info.get("Runtimes") or ()),
        containers_running=info.get("ContainersRunning"),
        live_restore=info.get("LiveRestoreEnabled"),
    )
    return facts


def config_error(path: Path = daemon_config.PATH) -> str | None:
    """Return what is wrong with the daemon's configuration, if anything is."""
    try:
        daemon_config.read(path)
    except FleetError as error:
        return str(error)
    return None


def sdk_version() -> str | None:
    """Return the version of the Docker SDK that this Python would import, or ``None``.

    Nothing is imported: that takes longer than everything else that is looked at.
    """
    try:
        # A directory that happens to be called docker has no origin.
        if any(getattr(importlib.util.find_spec(name), "origin", None) is None for name in ("docker", "requests")):
            return None
        return importlib.metadata.version("docker")
    except (ImportError, ValueError):
        return None


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _get(docker_host: str, path: str, timeout: float) -> dict[str, Any]:
    url = urlsplit(docker_host)
    connection: http.client.HTTPConnection
    if url.scheme == "unix":
        connection = _Connection(url.path, timeout)
    elif url.scheme in ("tcp", "http") and url.hostname:
        connection = http.client.HTTPConnection(url.hostname, url.port or 2375, timeout=timeout)
    else:
        raise ValueError(f"{docker_host} is no unix:// or tcp:// URL")
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"GET {path} answered {response.status} {response.reason}")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError(f"GET {path} answered something that is no Docker daemon's")
    return document


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, socket.timeout):
        return f"it did not answer within {timeout:g} s"
    if isinstance(error, FileNotFoundError):
        return "its socket does not exist"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens on its socket"
    if isinstance(error, PermissionError):
        return "this user may not use its socket"
    return str(error) or type(error).__name__
