# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a host and an engine. Pure: a look at a host goes in, checks come out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

OLDEST_OS = {"debian": (12,), "ubuntu": (22, 4)}
OLDEST_PYTHON = (3, 10)
OLDEST_DOCKER = (20, 10)
OLDEST_SDK = (5, 0, 3)
MIN_FREE_GIB = 5.0

Host = Mapping[str, Any]
Check = dict[str, Any]
NOT_APPLICABLE = "not applicable: the host has no GPU"


def checks(host: Host, min_free_gib: float = MIN_FREE_GIB) -> list[Check]:
    """Return every check of a host that survey() looked at, in the order in which to mend what fails.

    A check is ``{"name", "ok", "found", "wanted", "remedy"}``; the remedy of one that is ok is ``None``.
    """
    return [*(check(host) for check in _CHECKS), _disk(host, min_free_gib)]


def _os(host: Host) -> Check:
    found = host["os"]
    oldest = OLDEST_OS.get(found["id"] or "")
    # Debian's testing and unstable have no version: they are newer than any that has.
    ok = oldest is not None and (found["version_id"] is None or _version(found["version_id"]) >= oldest)
    name = found["pretty_name"] or found["id"] or "unknown"
    return _check(
        "os",
        ok,
        name,
        "Debian 12 or Ubuntu 22.04, or newer",
        "Use a host with one of these; another may do once everything else is installed by hand.",
    )


def _python(host: Host) -> Check:
    remedy = "Install a newer Python and set ansible_python_interpreter to it."
    return _check(
        "python",
        _version(host["python"]) >= OLDEST_PYTHON,
        host["python"],
        f"{_dotted(OLDEST_PYTHON)} or newer",
        remedy,
    )


def _privileges(host: Host) -> Check:
    may_docker = host["docker"]["running"]
    found = "root" if host["privileged"] else f"an ordinary user who may {'' if may_docker else 'not '}use Docker"
    remedy = "Log in as root, or run with become: true (--become) as a user who may use sudo."
    return _check("privileges", host["privileged"] or may_docker, found, "root, or a user who may use Docker", remedy)


def _docker(host: Host) -> Check:
    docker = host["docker"]
    wanted = f"Docker Engine {_dotted(OLDEST_DOCKER)} or newer, running"
    if docker["running"]:
        found = f"{docker['version']}, API {docker['api_version']}"
        return _check(
            "docker", _version(docker["version"] or "") >= OLDEST_DOCKER, found, wanted, "Upgrade Docker Engine."
        )
    if not docker["installed"]:
        return _check("docker", False, "not installed", wanted, "Run the host role, or install docker.io and iptables.")
    remedy = "Run the host role, or start it: systemctl start docker."
    if not host["privileged"] and "may not use" in (docker["error"] or ""):
        remedy = "Run with become: true (--become)."
    return _check("docker", False, f"installed, but no answer: {docker['error']}", wanted, remedy)


def _docker_sdk(host: Host) -> Check:
    found = host["docker"]["sdk_version"]
    if host["python_from_system"]:
        remedy = "Run the host role, or install python3-docker."
    else:
        install = f"{host['python_executable']} -m pip install docker requests"
        remedy = f"Install it there: {install}; or set ansible_python_interpreter to /usr/bin/python3."
    return _check(
        "docker_sdk",
        found is not None and _version(found) >= OLDEST_SDK,
        f"{found or 'none'} in {host['python_executable']}",
        f"Docker SDK for Python {_dotted(OLDEST_SDK)} or newer",
        remedy,
    )


def _gpus(host: Host) -> Check:
    seen, on_bus = len(host["gpus"]), host["gpus_on_bus"]
    wanted = "every GPU of the host answers nvidia-smi"
    names = ", ".join(sorted({gpu["name"] for gpu in host["gpus"]}))
    if host["gpus_error"]:
        remedy = "Look at dmesg for NVRM and Xid lines; reset the GPU or reboot; then reinstall the driver."
        if "version mismatch" in host["gpus_error"]:
            remedy = "The driver was upgraded under a running kernel module: reboot."
        if "No devices were found" in host["gpus_error"] and not on_bus:
            remedy = "No GPU is on the PCI bus: remove the driver, or give the host its GPUs."
        found = f"{seen} answer; nvidia-smi says: {host['gpus_error']}"
        return _check("gpus", False, found, wanted, remedy)
    if on_bus > seen and seen == 0:
        remedy = "Install the NVIDIA driver (server branch) and reboot."
        return _check("gpus", False, f"{on_bus} on the PCI bus, none answers: no driver is installed", wanted, remedy)
    if on_bus > seen:
        remedy = "Look at dmesg for Xid lines (79: fell off the bus), and reboot the host."
        return _check("gpus", False, f"{on_bus} on the PCI bus, {seen} answer ({names})", wanted, remedy)
    if seen == 0:
        return _check("gpus", True, NOT_APPLICABLE, wanted, None)
    return _check("gpus", True, f"{seen} ({names}), driver {host['driver_version']}", wanted, None)


def _toolkit(host: Host) -> Check:
    wanted = "NVIDIA container toolkit, for containers to get GPUs"
    if not host["gpus"]:
        return _check("nvidia_container_toolkit", True, NOT_APPLICABLE, wanted, None)
    toolkit = host["nvidia_container_toolkit"]
    found = "not installed"
    if toolkit["installed"]:
        found = "installed, a runtime of Docker" if toolkit["configured"] else "installed"
    remedy = (
        "Install nvidia-container-toolkit, run 'nvidia-ctk runtime configure --runtime=docker', and restart Docker."
    )
    return _check("nvidia_container_toolkit", toolkit["installed"], found, wanted, remedy)


def _disk(host: Host, min_free_gib: float) -> Check:
    wanted = f"{min_free_gib:g} GiB free"
    known = [disk for disk in host["disk"] if disk["free_gib"] is not None]
    found = ", ".join(f"{disk['free_gib']:g} GiB free for {disk['path']}" for disk in known) or "unknown"
    full = [disk["path"] for disk in known if disk["free_gib"] < min_free_gib]
    return _check("disk", not full, found, wanted, f"Make room, or mount a larger disk, for {' and '.join(full)}.")


_CHECKS: tuple[Callable[[Host], Check], ...] = (_privileges, _os, _python, _gpus, _docker, _docker_sdk, _toolkit)


def _check(name: str, ok: bool, found: str, wanted: str, remedy: str | None) -> Check:
    return {"name": name, "ok": ok, "found": found, "wanted": wanted, "remedy": None if ok else remedy}


def _version(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; none for what is no version.

    >>> _version("20.10.24+dfsg1")
    (20, 10, 24)
    """
    match = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
