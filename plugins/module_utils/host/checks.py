# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a host and an engine. Pure: a look at a host goes in, checks come out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.host import cuda
from ansible_collections.inference.fleet.plugins.module_utils.host.gpu_health import troubles

OLDEST_OS = {"debian": (12,), "ubuntu": (22, 4)}
OLDEST_PYTHON = (3, 10)
OLDEST_DOCKER = (20, 10)
OLDEST_SDK = (5, 0, 3)
MIN_FREE_GIB = 5.0

Host = Mapping[str, Any]
Check = dict[str, Any]
NOT_APPLICABLE = "not applicable: the host has no GPU"


def checks(host: Host, min_free_gib: float = MIN_FREE_GIB, unnamed: Sequence[str] | None = None) -> list[Check]:
    """Return every check of a host that survey() looked at, in the order in which to mend what fails.

    *unnamed* are the engines on the host that the inventory does not name, in words; ``None`` where that is not known.

    A check is ``{"name", "ok", "required", "found", "wanted", "remedy"}``; the remedy of one that is ok is ``None``. An
    engine can run where one fails that is not required.
    """
    last = [_engines(unnamed)] if unnamed is not None else []
    return [*(check(host) for check in _CHECKS), _disk(host, min_free_gib), *last]


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
    if on_bus and not seen and host["due"]["reboot"]:
        remedy = "Reboot the host, or run the host role with host_reboot: true."
        return _check("gpus", False, f"{on_bus} on the PCI bus, and {host['due']['reboot']}", wanted, remedy)
    if host["gpus_error"]:
        remedy = "Look at dmesg for NVRM and Xid lines; reset the GPU or reboot; then reinstall the driver."
        if "version mismatch" in host["gpus_error"]:
            remedy = "The driver was upgraded under a running kernel module: reboot."
        if "No devices were found" in host["gpus_error"] and not on_bus:
            remedy = "No GPU is on the PCI bus: remove the driver, or give the host its GPUs."
        found = f"{seen} answer; nvidia-smi says: {host['gpus_error']}"
        return _check("gpus", False, found, wanted, remedy)
    if on_bus > seen and seen == 0:
        remedy = "Install the NVIDIA driver (server branch) and reboot; or run the host role."
        return _check("gpus", False, f"{on_bus} on the PCI bus, none answers: no driver is installed", wanted, remedy)
    if on_bus > seen:
        remedy = "Look at dmesg for Xid lines (79: fell off the bus), and reboot the host."
        return _check("gpus", False, f"{on_bus} on the PCI bus, {seen} answer ({names})", wanted, remedy)
    if seen == 0:
        return _check("gpus", True, NOT_APPLICABLE, wanted, None)
    return _check("gpus", True, f"{seen} ({names}), driver {host['driver_version']}", wanted, None)


def _gpu_health(host: Host) -> Check:
    wanted = "no GPU that needs a reset: no uncorrected ECC error, no grave Xid, no memory to remap"
    if not host["gpus"]:
        return _check("gpu_health", True, NOT_APPLICABLE, wanted, None)
    sick = {gpu["index"]: troubles(gpu) for gpu in host["gpus"]}
    found = "; ".join(f"GPU {index}: {', '.join(words)}" for index, words in sick.items() if words)
    listed = ",".join(str(index) for index, words in sick.items() if words)
    remedy = (
        f"Stop what runs there and reset: nvidia-smi --gpu-reset -i {listed}; or reboot. Where it comes back, have the "
        "GPU replaced."
    )
    return _check("gpu_health", not found, found or f"{len(host['gpus'])} well", wanted, remedy)


def _gpu_fabric(host: Host) -> Check:
    """With NVSwitch, CUDA starts only once the fabric is set up (else error 802), and nvidia-smi looks well."""
    wanted = "GPUs behind NVSwitch that have joined their fabric"
    states = {gpu["index"]: (gpu["fabric_state"], gpu["fabric_status"]) for gpu in host["gpus"] if gpu["fabric_state"]}
    if not states:
        return _check("gpu_fabric", True, "not applicable: no GPU tells of a fabric", wanted, None)
    waiting = {
        index: state if status in (None, "Success") else f"{state}, {status}"
        for index, (state, status) in states.items()
        if state != "Completed" or status not in (None, "Success")
    }
    if not waiting:
        return _check("gpu_fabric", True, f"{len(states)} GPUs have joined", wanted, None)
    found = "; ".join(f"GPU {index}: {state}" for index, state in waiting.items())
    remedy = (
        "Start the fabric manager (systemctl restart nvidia-fabricmanager; journalctl -u nvidia-fabricmanager). Its "
        f"version has to be the driver's, {host['driver_version']}."
    )
    return _check("gpu_fabric", False, found, wanted, remedy)


def _cuda(host: Host) -> Check:
    """What an engine does first; nvidia-smi can look well while it fails."""
    wanted = "CUDA starts on the host (cuInit)"
    if not host["gpus"] or host["cuda"] is None:
        return _check("cuda", True, NOT_APPLICABLE, wanted, None)
    result = host["cuda"]
    return _check("cuda", result["code"] == 0, cuda.describe(result), wanted, result["remedy"])


def _persistence(host: Host) -> Check:
    wanted = "persistence mode, so that a start need not wait for the driver to wake the GPUs"
    off = [str(gpu["index"]) for gpu in host["gpus"] if gpu["persistence_mode"] is False]
    found = f"off on GPU {', '.join(off)}" if off else "on" if host["gpus"] else NOT_APPLICABLE
    remedy = "Switch it on: nvidia-smi -pm 1, or systemctl enable --now nvidia-persistenced."
    return _check("gpu_persistence", not off, found, wanted, remedy, required=False)


def _inforom(host: Host) -> Check:
    """A damaged infoROM is a card's settings store, not its memory: it goes on working."""
    found = "; ".join(host["gpus_warnings"]) or ("no warning" if host["gpus"] else NOT_APPLICABLE)
    remedy = (
        "The GPU goes on working, though its counts of errors may be wrong. Tell whoever owns the hardware: the card "
        "is replaced or flashed by its vendor."
    )
    wanted = "no warning from nvidia-smi, such as of a damaged infoROM"
    return _check("gpu_inforom", not host["gpus_warnings"], found, wanted, remedy, required=False)


def _clock(host: Host) -> Check:
    known = host["clock_synchronized"]
    found = "unknown: no systemd tells" if known is None else "synchronised" if known else "not synchronised"
    remedy = "Have it follow a time server: timedatectl set-ntp true. TLS and the times of results depend on it."
    return _check("clock", known is not False, found, "a clock that follows a time server", remedy, required=False)


def _toolkit(host: Host) -> Check:
    wanted = "NVIDIA container toolkit, for containers to get GPUs"
    if not host["gpus"] and not host["gpus_on_bus"]:
        return _check("nvidia_container_toolkit", True, NOT_APPLICABLE, wanted, None)
    toolkit, due = host["nvidia_container_toolkit"], host["due"]["docker_restart"]
    found = "not installed"
    if toolkit["installed"]:
        found = "installed, a runtime of Docker" if toolkit["configured"] else "installed"
        if not toolkit["configured"] and not toolkit["hook"]:
            found += ", and neither its runtime nor its hook is there for Docker"
        if due:
            found += f", but Docker has to be restarted: {due}"
    remedy = (
        "Run the host role; or install nvidia-container-toolkit, run 'nvidia-ctk runtime configure --runtime=docker', "
        "and restart Docker."
    )
    ok = toolkit["installed"] and (toolkit["configured"] or toolkit["hook"]) and not due
    return _check("nvidia_container_toolkit", ok, found, wanted, remedy)


def _docker_config(host: Host) -> Check:
    wanted = "a daemon.json that Docker can read at its next start"
    error = host["docker"]["config_error"]
    # A daemon that runs has read another.
    return _check(
        "docker_config",
        error is None,
        error or "valid, or none",
        wanted,
        "Mend that file by hand.",
        required=not host["docker"]["running"],
    )


def _disk(host: Host, min_free_gib: float) -> Check:
    wanted = f"{min_free_gib:g} GiB free"
    known = [disk for disk in host["disk"] if disk["free_gib"] is not None]
    found = ", ".join(f"{disk['free_gib']:g} GiB free for {disk['path']}" for disk in known) or "unknown"
    full = [disk["path"] for disk in known if disk["free_gib"] < min_free_gib]
    return _check("disk", not full, found, wanted, f"Make room, or mount a larger disk, for {' and '.join(full)}.")


def _engines(unnamed: Sequence[str]) -> Check:
    return _check(
        "engines",
        not unnamed,
        ", ".join(unnamed) or "no other",
        "no engine but those that the inventory names",
        "Name it in the inventory; or have the next deployment remove it, with engine_prune: true.",
        required=False,
    )


_CHECKS: tuple[Callable[[Host], Check], ...] = (
    _privileges,
    _os,
    _python,
    _gpus,
    _gpu_health,
    _gpu_fabric,
    _cuda,
    _docker,
    _docker_config,
    _docker_sdk,
    _toolkit,
    _persistence,
    _inforom,
    _clock,
)


def _check(name: str, ok: bool, found: str, wanted: str, remedy: str | None, required: bool = True) -> Check:
    return {
        "name": name,
        "ok": ok,
        "required": required,
        "found": found,
        "wanted": wanted,
        "remedy": None if ok else remedy,
    }


def _version(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; none for what is no version.

    >>> _version("20.10.24+dfsg1")
    (20, 10, 24)
    """
    match = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
