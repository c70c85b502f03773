# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host role does to bring a host to where an engine can run. Pure: a look at the host in, a plan out.

Package names: Ubuntu's own archive has the driver by branch; for Debian, NVIDIA's CUDA repository has it, see
https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import pci

# Where Debian's driver comes from, by Debian's version; and the key that signs it.
_CUDA = "https://developer.download.nvidia.com/compute/cuda/repos"
_CUDA_KEYS = {"12": "3bf863cc.pub", "13": "8793F200.pub"}
_CUDA_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "sbsa"}

Host = Mapping[str, Any]
Check = Mapping[str, Any]


@dataclass(frozen=True)
class Wishes:
    """What the user lets the role do, and with which packages; what is empty is derived from the host.

    A repository is ``{"uris", "suites", "components", "key"}``: strings, and the URL, path or text of the key.
    """

    ignored_checks: Sequence[str] = ()
    docker_packages: Sequence[str] = ("docker.io", "iptables")
    docker_sdk_packages: Sequence[str] = ("python3-docker",)
    driver: bool = True
    driver_version: str = "580"
    driver_modules: str = "auto"
    driver_packages: Sequence[str] = ()
    driver_repository: Mapping[str, str] = field(default_factory=dict)
    fabric_manager_packages: Sequence[str] = ()
    toolkit: bool = True
    toolkit_packages: Sequence[str] = ("nvidia-container-toolkit",)
    toolkit_repository: Mapping[str, str] = field(default_factory=dict)
    restart_docker: bool = False


@dataclass
class Plan:
    """What to do, in the order of the fields.

    ``beyond`` are failing checks that the role cannot mend, ``blocked`` sentences that say why it may not go on. A
    repository has a ``name`` besides. ``pins`` are packages that hold others at a version, and come before them.
    ``extras`` are what the archive may no longer have, and are installed as far as it does.
    ``docker`` is C(start), C(restart) or empty; ``reboot`` says why one is due, if one is for sure.
    """

    beyond: list[Check] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    repositories: list[dict[str, str]] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    driver: bool = False
    runtime: bool = False
    docker: str = ""
    fabric_manager: bool = False
    reboot: str = ""


def plan(host: Host, checks: Sequence[Check], wishes: Wishes) -> dict[str, Any]:
    """Return the plan as a dict, with ``steps``: what would be done, in words."""
    failing = {
        check["name"]: check
        for check in checks
        if check["required"] and not check["ok"] and check["name"] not in wishes.ignored_checks
    }
    made = Plan()
    for name, check in failing.items():
        mend = _MENDERS.get(name)
        if mend is None or not mend(host, wishes, made):
            made.beyond.append(check)
    # CUDA and the fabric are as their drivers leave them: with those amiss they say nothing of their own.
    if made.driver or made.reboot:
        made.beyond = [check for check in made.beyond if check["name"] not in ("gpu_health", "gpu_fabric", "cuda")]
    if made.fabric_manager:
        made.beyond = [check for check in made.beyond if check["name"] != "cuda"]
    # Of one mirror for both, apt wants one source.
    made.repositories = list({item["uris"]: item for item in reversed(made.repositories)}.values())[::-1]
    _block(host, wishes, made)
    return {**vars(made), "steps": _steps(made)}


def _docker(host: Host, wishes: Wishes, made: Plan) -> bool:
    docker = host["docker"]
    if docker["running"]:
        return False
    if not docker["installed"]:
        made.packages += wishes.docker_packages
        if "docker.io" in wishes.docker_packages:
            # Debian has had the command in a package of its own since release 13; messages say docker logs.
            made.extras.append("docker-cli")
    made.docker = made.docker or "start"
    return True


def _docker_sdk(host: Host, wishes: Wishes, made: Plan) -> bool:
    if not host["python_from_system"]:
        return False
    made.packages += wishes.docker_sdk_packages
    return True


def _gpus(host: Host, wishes: Wishes, made: Plan) -> bool:
    if not host["gpus_on_bus"] or host["gpus"]:
        return False
    if host["due"]["reboot"]:
        made.reboot = host["due"]["reboot"]
        return True
    if "version mismatch" in (host["gpus_error"] or ""):
        made.reboot = "the NVIDIA driver was upgraded under its running kernel module"
        return True
    if host["driver_installed"] or not wishes.driver:
        return False
    try:
        pins, packages, repository = driver_packages(host, wishes)
    except FleetError as error:
        made.blocked.append(str(error))
        return True
    made.driver = True
    made.pins += pins
    made.packages += packages
    if not host["secure_boot"] and not wishes.driver_packages:
        made.extras += [f"linux-headers-{kernel}" for kernel in _older_kernels(host)]
    if repository:
        made.repositories.append({"name": "nvidia-driver", **repository})
    if host["nvswitches"] or host["switch_bridges"]:
        made.fabric_manager = True
        made.packages += fabric_manager_packages(host, wishes, None)
    return True


def _gpu_fabric(host: Host, wishes: Wishes, made: Plan) -> bool:
    if not (host["nvswitches"] or host["switch_bridges"]):
        # A virtual machine's fabric is managed by its host.
        return False
    if not host["fabric_manager_installed"]:
        if not wishes.driver:
            return False
        made.packages += fabric_manager_packages(host, wishes, host["driver_version"])
    made.fabric_manager = True
    return True


def _toolkit(host: Host, wishes: Wishes, made: Plan) -> bool:
    toolkit = host["nvidia_container_toolkit"]
    if not wishes.toolkit:
        return False
    if not toolkit["installed"]:
        made.packages += wishes.toolkit_packages
        if wishes.toolkit_repository.get("uris"):
            made.repositories.append({"name": "nvidia-container-toolkit", **wishes.toolkit_repository})
    made.runtime = not toolkit["configured"]
    made.docker = "restart"
    return True


_MENDERS = {
    "docker": _docker,
    "docker_sdk": _docker_sdk,
    "gpus": _gpus,
    "gpu_fabric": _gpu_fabric,
    "nvidia_container_toolkit": _toolkit,
}


def driver_packages(host: Host, wishes: Wishes) -> tuple[list[str], list[str], dict[str, str]]:
    """Return the pinning packages, the packages and the repository of the driver for a host's GPUs.

    Raises :class:`FleetError` where no kernel modules drive them all.
    """
    kind = _modules(host, wishes)
    if wishes.driver_packages:
        return [], list(wishes.driver_packages), dict(wishes.driver_repository)
    branch, exact = _branch(wishes.driver_version)
    headers = kernel_headers(host)
    is_open = kind == pci.OPEN
    if host["os"]["id"] == "ubuntu":
        server, suffix = f"{branch}-server", "-open" if is_open else ""
        if host["secure_boot"]:
            return [], _signed(host, f"{server}{suffix}", server, exact), dict(wishes.driver_repository)
        packages = [f"nvidia-headless-{server}{suffix}", f"nvidia-utils-{server}"]
        return [], [*headers, *_at(packages, exact)], dict(wishes.driver_repository)
    if host["secure_boot"]:
        raise FleetError(
            "driver: wanted kernel modules that load, found Secure Boot, which takes signed ones only, and this "
            "distribution has none. Turn it off in the firmware, or enrol DKMS's key (mokutil --import "
            "/var/lib/dkms/mok.pub, a boot with somebody at the console) and name the packages in "
            "host_nvidia_driver_packages."
        )
    packages = ["nvidia-driver-cuda", "nvidia-kernel-open-dkms" if is_open else "nvidia-kernel-dkms"]
    return [f"nvidia-driver-pinning-{exact or branch}"], [*headers, *packages], _debian_repository(host, wishes)


def kernel_headers(host: Host) -> list[str]:
    """Return the headers by which DKMS builds modules: of the kernel that runs, of newer ones, which the next boot
    takes, and the metapackages that bring those of kernels to come.
    """
    older = _older_kernels(host)
    newer = [kernel for kernel in host["kernels"] if kernel != host["kernel"] and kernel not in older]
    return [f"linux-headers-{name}" for name in (host["kernel"], *newer, *host["kernel_flavours"])]


def _older_kernels(host: Host) -> list[str]:
    def version(kernel: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", kernel.partition("+")[0])[:4]]

    return [kernel for kernel in host["kernels"] if version(kernel) < version(host["kernel"])]


def _signed(host: Host, driver: str, server: str, exact: str) -> list[str]:
    """Return Ubuntu's packages of modules that it signed: of the kernel that runs, and of those to come.

    https://documentation.ubuntu.com/server/how-to/graphics/install-nvidia-drivers/
    """
    if exact:
        raise FleetError(
            f"driver: wanted version {exact}, found Secure Boot, with which only modules load that Ubuntu signed, "
            f'and these come by branch. Set host_nvidia_driver_version: "{exact.partition(".")[0]}".'
        )
    kernels = dict.fromkeys((host["kernel"], *host["kernel_flavours"]))
    modules = [f"linux-modules-nvidia-{driver}-{kernel}" for kernel in kernels]
    return [*modules, f"nvidia-headless-no-dkms-{driver}", f"nvidia-utils-{server}"]


def fabric_manager_packages(host: Host, wishes: Wishes, running: str | None) -> list[str]:
    """Return the packages of the fabric manager, which has to be of the driver's version; *running* is that one's."""
    if wishes.fabric_manager_packages:
        return list(wishes.fabric_manager_packages)
    branch, exact = _branch(running or wishes.driver_version)
    name = f"nvidia-fabricmanager-{branch}" if host["os"]["id"] == "ubuntu" else "nvidia-fabricmanager"
    # Switches of the fourth generation have a subnet manager besides.
    return [*_at([name], exact), *(["nvlsm"] if host["switch_bridges"] else [])]


def _modules(host: Host, wishes: Wishes) -> str:
    fitting = pci.kernel_modules(host["pci_gpus"])
    listed = ", ".join(sorted(set(host["pci_gpus"])))
    if not fitting:
        raise FleetError(
            f"driver: wanted kernel modules for every GPU, found GPUs ({listed}) of which some have only the open ones "
            "(Blackwell and newer), and some only the proprietary ones (before Turing). Take the older ones out."
        )
    if wishes.driver_modules == "auto":
        return pci.OPEN if pci.OPEN in fitting else pci.PROPRIETARY
    if wishes.driver_modules not in fitting:
        raise FleetError(
            f"driver: wanted the {wishes.driver_modules} kernel modules, found GPUs ({listed}) that only have the "
            f"{', '.join(fitting)} ones. Set host_nvidia_driver_modules to auto."
        )
    return wishes.driver_modules


def _branch(version: str) -> tuple[str, str]:
    """Return the branch of a driver's version, and the version where it is more than a branch.

    >>> _branch("580"), _branch("580.95.05")
    (('580', ''), ('580', '580.95.05'))
    """
    branch, _dot, rest = version.partition(".")
    return branch, version if rest else ""


def _at(packages: Sequence[str], version: str) -> list[str]:
    return [f"{package}={version}-*" if version else package for package in packages]


def _debian_repository(host: Host, wishes: Wishes) -> dict[str, str]:
    if wishes.driver_repository.get("uris"):
        return dict(wishes.driver_repository)
    version = host["os"]["version_id"] or ""
    architecture = _CUDA_ARCHITECTURES.get(host["architecture"])
    if version not in _CUDA_KEYS or architecture is None:
        raise FleetError(
            f"driver: wanted NVIDIA's packages for {host['os']['pretty_name']} on {host['architecture']}, and know "
            "none. Set host_nvidia_driver_repository and host_nvidia_driver_packages, or install the driver by hand."
        )
    uris = f"{_CUDA}/debian{version}/{architecture}/"
    return {"uris": uris, "suites": "/", "components": "", "key": f"{uris}{_CUDA_KEYS[version]}"}


def _block(host: Host, wishes: Wishes, made: Plan) -> None:
    docker = host["docker"]
    told = any(check["name"] == "docker_config" for check in made.beyond)
    if docker["config_error"] and not told and (made.docker or made.runtime):
        made.blocked.append(f"Docker: wanted to {made.docker or 'configure'} it, found: {docker['config_error']}")
    running = docker["containers_running"] or 0
    if made.docker == "restart" and running and not docker["live_restore"] and not wishes.restart_docker:
        made.blocked.append(
            f"Docker: wanted to restart it for the NVIDIA container toolkit, found {running} running containers, which "
            "would end. Stop them, set live-restore in daemon.json, or set host_restart_docker: true."
        )
    # Packages with services have systemd read its units again, and containers then lose their GPUs.
    held = {item["container"][:12] for gpu in host["gpus"] for item in gpu["processes"] if item["container"]}
    installs = bool(made.packages or made.pins or made.fabric_manager)
    if held and installs and not wishes.restart_docker:
        made.blocked.append(
            f"GPUs: wanted to install {', '.join(made.packages) or 'services'}, found containers that use GPUs "
            f"({', '.join(sorted(held))}) and would lose them when systemd reads its units again. Stop them, or set "
            "host_restart_docker: true."
        )


def _steps(made: Plan) -> list[str]:
    steps = [f"add the package source {item['name']} ({item['uris']})" for item in made.repositories]
    if made.pins or made.packages:
        steps.append(f"install {', '.join([*made.pins, *made.packages])}")
    if made.driver:
        steps.append("load the NVIDIA driver, or reboot for it")
    if made.runtime:
        steps.append("add the runtime nvidia to Docker's daemon.json")
    if made.docker:
        steps.append(f"{made.docker} Docker Engine")
    if made.fabric_manager:
        steps.append("start the fabric manager")
    if made.reboot:
        steps.append(f"reboot ({made.reboot})")
    return steps
