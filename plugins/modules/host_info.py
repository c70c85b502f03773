#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
version_added: "0.1.0"
short_description: Tell what a host is and what it lacks to run an engine
author: inference.fleet contributors (@inference-fleet)
description:
  - Looks at a host in one remote call - operating system, GPUs, driver, Docker, container toolkit, free disk.
  - Returns the facts, and a list of checks, each with what was found, what was wanted and how to mend it.
  - Something that is missing or broken never fails the module. It is a check that is not ok.
  - Needs nothing on the host but Python. As an ordinary user it works, but cannot ask Docker.
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
options:
  docker_host:
    description: The URL of the Docker daemon, V(unix://) or V(tcp://).
    type: str
    default: unix:///var/run/docker.sock
  paths:
    description:
      - Directories to look at for free space, besides the one where Docker keeps images.
      - They need not exist. A leading V(~) is the home of the user that logs in.
    type: list
    elements: str
    default: []
  min_free_gib:
    description: The free space that each of these directories should have, in GiB.
    type: float
    default: 5
  engines:
    description:
      - The slots of the engines that the host should have, by the names of their containers. Others that
        M(inference.fleet.engine) made are told by the check V(engines), which is not made without this.
    type: dict
seealso:
  - module: inference.fleet.engine
"""

EXAMPLES = r"""
- name: Look at the host
  inference.fleet.host_info:
    paths:
      - ~/.cache/huggingface
    min_free_gib: 200
  become: true
  register: found

- name: Say what is missing
  ansible.builtin.debug:
    msg: "{{ found.checks | rejectattr('ok') }}"
"""

RETURN = r"""
host:
  description: What the host is. What could not be found out is null.
  returned: always
  type: dict
  contains:
    hostname:
      description: The host's own name.
      type: str
    os:
      description: The operating system, as os-release tells it.
      type: dict
      sample: {"id": "ubuntu", "version_id": "24.04", "pretty_name": "Ubuntu 24.04.3 LTS"}
    kernel:
      description: The release of the kernel that runs.
      type: str
    kernels:
      description: The releases of the kernels that are installed as packages.
      type: list
      elements: str
      sample: ["6.8.0-60-generic"]
    kernel_flavours:
      description: The flavours whose metapackage brings newer kernels, C(linux-image-FLAVOUR).
      type: list
      elements: str
      sample: ["generic-hwe-24.04"]
    secure_boot:
      description: Whether UEFI Secure Boot is on, with which the kernel loads signed modules only.
      type: bool
    signed_driver:
      description: Whether the NVIDIA driver's modules are Ubuntu's signed ones, C(linux-modules-nvidia-*).
      type: bool
    unattended_upgrades:
      description: Whether the package unattended-upgrades is there.
      type: bool
    packages_held:
      description: Whether the host role keeps it from the driver, the fabric manager and Docker.
      type: bool
    architecture:
      description: The machine's architecture.
      type: str
      sample: x86_64
    python:
      description: The version of the Python that Ansible uses there.
      type: str
    python_executable:
      description: The path of that Python.
      type: str
    python_from_system:
      description: Whether it is the distribution's, and sees the distribution's Python packages.
      type: bool
    cpu_count:
      description: The number of processors that may be used.
      type: int
    cpu_model:
      description: The processor's name.
      type: str
    memory_mib:
      description: The memory in MiB.
      type: int
    shm_mib:
      description: The size of C(/dev/shm) in MiB.
      type: int
    listeners:
      description: Where somebody listens on TCP, by port.
      type: list
      elements: dict
      sample: [{"address": "127.0.0.1", "port": 8000}]
    clock_synchronized:
      description: Whether the clock follows a time server, as systemd tells.
      type: bool
    init:
      description: V(systemd) where systemd runs the host, else V(other).
      type: str
    privileged:
      description: Whether the module ran as root.
      type: bool
    gpus:
      description: The GPUs that nvidia-smi lists, ordered as it does.
      type: list
      elements: dict
      contains:
        index:
          description: The GPU's index.
          type: int
        name:
          description: The GPU's name.
          type: str
        uuid:
          description: The GPU's UUID.
          type: str
        memory_mib:
          description: Its memory in MiB.
          type: int
        driver_version:
          description: The driver's version.
          type: str
        pci_bus_id:
          description: Its place on the PCI bus.
          type: str
        power_limit_w:
          description: Its power limit in W.
          type: float
        clock_max_sm_mhz:
          description: The highest clock of its multiprocessors in MHz.
          type: int
        persistence_mode:
          description: Whether the driver stays loaded when nothing uses the GPU.
          type: bool
        mig_mode:
          description: V(Enabled), V(Disabled), or null where the GPU knows no MIG.
          type: str
        mig_devices:
          description: "What MIG made of it, where it is divided: its UUID and its slice, such as V(1g.10gb)."
          type: list
          elements: dict
        brand:
          description: The product's brand, which an image's NVIDIA_REQUIRE_CUDA may name.
          type: str
        ecc_enabled:
          description: Whether its memory is checked for errors.
          type: bool
        ecc_uncorrected:
          description: Memory errors that could not be corrected since the driver was loaded.
          type: int
        remap_pending:
          description: Whether a remapping of memory waits for a reset.
          type: bool
        remap_failed:
          description: Whether a remapping of memory failed, for want of spare rows.
          type: bool
        recovery_action:
          description: What the driver wants done, such as V(None) or V(Reset). Drivers before R560 do not tell.
          type: str
        fabric_state:
          description: Whether a GPU behind NVSwitch has joined its fabric, such as V(Completed) or V(In Progress).
          type: str
        fabric_status:
          description: How that ended, such as V(Success).
          type: str
        memory_used_mib:
          description: Its memory in use, in MiB.
          type: int
        processes:
          description: What computes on it.
          type: list
          elements: dict
          sample: [{"pid": 4242, "name": "VLLM::Worker_TP0", "memory_mib": 70000, "container": null}]
        xids:
          description: The driver's errors for it since the boot, each code once. Only root may read them.
          type: list
          elements: dict
          sample: [{"code": 79, "message": "pid=4242, GPU has fallen off the bus."}]
    gpus_on_bus:
      description: The number of NVIDIA's data centre GPUs on the PCI bus, driver or not.
      type: int
    pci_gpus:
      description: The PCI device numbers of these GPUs.
      type: list
      elements: str
      sample: ["0x2330", "0x2330"]
    nvswitches:
      description: The number of NVSwitches on the PCI bus.
      type: int
    switch_bridges:
      description: The number of network cards that manage NVSwitches which are not on the PCI bus, as with B200.
      type: int
    fabric_manager_installed:
      description: Whether NVIDIA's fabric manager is installed, which GPUs behind NVSwitches need.
      type: bool
    gpus_error:
      description: What nvidia-smi complained of.
      type: str
    gpus_warnings:
      description: What it warned of, with GPUs that go on working.
      type: list
      elements: str
    profile:
      description: The hardware shape.
      type: str
      sample: h100x4
    driver_version:
      description: The NVIDIA driver's version.
      type: str
    driver_installed:
      description: Whether nvidia-smi is installed, which comes with the driver.
      type: bool
    cuda_version:
      description: The newest CUDA version that the driver supports.
      type: str
    cuda:
      description:
        - What came of starting CUDA, by cuInit() in a process of its own with a time limit. It needs no GPU memory.
        - V(802) is a system that is not yet initialised, since its GPUs have not joined their fabric, though nvidia-smi
          looks well.
      type: dict
      sample:
        code: 802
        name: CUDA_ERROR_SYSTEM_NOT_READY
        devices:
        error: "the system is not yet initialised: GPUs have not joined their fabric"
        remedy: "Start the fabric manager, of the driver's own version: systemctl restart nvidia-fabricmanager."
    due:
      description: Why a reboot, or a restart of Docker Engine, is still due after what the host role installed.
      type: dict
      sample: {"reboot": "the NVIDIA driver was installed", "docker_restart": null}
    docker:
      description: Docker Engine, and the Docker SDK for Python that Ansible's Python there has.
      type: dict
      sample:
        installed: true
        running: true
        version: 28.3.3
        api_version: "1.51"
        root: /var/lib/docker
        storage_driver: overlay2
        cgroup_driver: systemd
        runtimes: [io.containerd.runc.v2, nvidia, runc]
        cdi_devices: [/var/run/cdi/nvidia.yaml]
        containers_running: 1
        live_restore: false
        config_error:
        sdk_version: 5.0.3
        error:
    nvidia_container_toolkit:
      description: Whether the toolkit is installed, its runtime is one of Docker's, and its hook is there.
      type: dict
      sample: {"installed": true, "configured": true, "hook": true}
    disk:
      description: Free and total space, first where Docker keeps images, then of O(paths).
      type: list
      elements: dict
      sample: [{"path": "/var/lib/docker", "free_gib": 412.5, "total_gib": 485.1}]
checks:
  description: What has to hold, in the order in which to mend it.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description:
        - V(privileges), V(os), V(python), V(gpus), V(gpu_health), V(gpu_fabric), V(cuda), V(docker),
          V(docker_config), V(docker_sdk), V(nvidia_container_toolkit), V(gpu_persistence), V(gpu_inforom),
          V(clock), V(disk) or V(engines).
      type: str
    required:
      description: Whether an engine needs it. What is not required is advice.
      type: bool
    ok:
      description: Whether it holds. What does not apply, such as a driver where no GPU is, is ok.
      type: bool
    found:
      description: What was found.
      type: str
    wanted:
      description: What was wanted.
      type: str
    remedy:
      description: What to do, where it does not hold.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inference.fleet.plugins.module_utils.containers import daemon, slots
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.checks import MIN_FREE_GIB, checks
from ansible_collections.inference.fleet.plugins.module_utils.host.docker import DEFAULT_HOST
from ansible_collections.inference.fleet.plugins.module_utils.host.survey import survey


def unnamed(docker_host: str, engines: dict | None) -> list[str] | None:
    """Return the host's engines that are not among those named, or None where that is not asked or cannot be known."""
    if engines is None or daemon.IMPORT_ERROR is not None:
        return None
    try:
        return slots.unnamed(daemon.Daemon(docker_host).listed(), engines)
    except FleetError:
        # What is wrong with Docker has a check of its own.
        return None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "docker_host": {"type": "str", "default": DEFAULT_HOST},
            "paths": {"type": "list", "elements": "str", "default": []},
            "min_free_gib": {"type": "float", "default": MIN_FREE_GIB},
            "engines": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    host = survey(module.params["docker_host"], module.params["paths"])
    others = unnamed(module.params["docker_host"], module.params["engines"])
    module.exit_json(changed=False, host=host, checks=checks(host, module.params["min_free_gib"], others))


if __name__ == "__main__":
    main()
