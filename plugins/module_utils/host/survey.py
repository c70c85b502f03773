# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All probes of a host in one look."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.host import cuda, due, gpu_health, gpus, pci
from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand, run
from ansible_collections.inference.fleet.plugins.module_utils.host.docker import DEFAULT_HOST, DEFAULT_ROOT, docker
from ansible_collections.inference.fleet.plugins.module_utils.host.kernels import kernels
from ansible_collections.inference.fleet.plugins.module_utils.host.system import clock_synchronized, disks, system


def survey(docker_host: str = DEFAULT_HOST, paths: Sequence[str] = (), run_command: RunCommand = run) -> dict[str, Any]:
    """Return what a host is. Nothing is changed, and nothing that is missing or broken raises.

    *paths* are looked at for free space, besides the one where Docker keeps images.
    """
    # Each program may take a second, and most of that it waits.
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(gpus.query, run_command)
        health = pool.submit(run_command, gpu_health.QUERY)
        version = pool.submit(gpus.cuda_version, run_command)
        started = pool.submit(cuda.start, run_command) if gpus.installed("nvidia-smi") else None
        clock = pool.submit(clock_synchronized, run_command)
        engine = docker(docker_host)
        found, bus = asked.result(), pci.look()
        return {
            **system(),
            **kernels(run_command),
            "clock_synchronized": clock.result(),
            "gpus": gpu_health.with_health(
                found.gpus,
                gpu_health.parse(health.result()[1]),
                gpu_health.kernel_log() if found.gpus else "",
            ),
            "gpus_on_bus": len(bus.gpus),
            "gpus_error": found.error,
            "gpus_warnings": list(found.warnings),
            "pci_gpus": bus.gpus,
            "nvswitches": bus.nvswitches,
            "switch_bridges": bus.switch_bridges,
            "fabric_manager_installed": gpus.installed("nv-fabricmanager"),
            "profile": profiles.profile(found.gpus),
            "driver_version": gpus.driver_version(found.gpus),
            "driver_installed": gpus.installed("nvidia-smi"),
            "cuda_version": version.result() if found.gpus else None,
            "cuda": started.result() if started and found.gpus else None,
            # With GPUs that answer, the driver was loaded meanwhile.
            "due": {**due.found(), **({due.REBOOT: None} if found.gpus else {})},
            "docker": engine,
            "nvidia_container_toolkit": gpus.container_toolkit(engine["runtimes"]),
            "disk": disks([engine["root"] or DEFAULT_ROOT, *paths]),
        }
