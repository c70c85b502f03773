# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All probes of a host in one look."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils import profiles
from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_health, gpus
from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand, run
from ansible_collections.inference.fleet.plugins.module_utils.host.docker import DEFAULT_HOST, DEFAULT_ROOT, docker
from ansible_collections.inference.fleet.plugins.module_utils.host.system import clock_synchronized, disks, system


def survey(docker_host: str = DEFAULT_HOST, paths: Sequence[str] = (), run_command: RunCommand = run) -> dict[str, Any]:
    """Return what a host is. Nothing is changed, and nothing that is missing or broken raises.

    *paths* are looked at for free space, besides the one where Docker keeps images.
    """
    # Each program may take a second, and most of that it waits.
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(gpus.query, run_command)
        health = pool.submit(run_command, gpu_health.QUERY)
        cuda = pool.submit(gpus.cuda_version, run_command)
        clock = pool.submit(clock_synchronized, run_command)
        engine = docker(docker_host)
        found = asked.result()
        return {
            **system(),
            "clock_synchronized": clock.result(),
            "gpus": gpu_health.with_health(
                found.gpus,
                gpu_health.parse(health.result()[1]),
                gpu_health.kernel_log() if found.gpus else "",
            ),
            "gpus_on_bus": gpus.on_bus(),
            "gpus_error": found.error,
            "profile": profiles.profile(_sized(found.gpus)),
            "driver_version": gpus.driver_version(found.gpus),
            "cuda_version": cuda.result() if found.gpus else None,
            "docker": engine,
            "nvidia_container_toolkit": gpus.container_toolkit(engine["runtimes"]),
            "disk": disks([engine["root"] or DEFAULT_ROOT, *paths]),
        }


def _sized(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give GPUs that tell no memory of their own a size that no kind was sold in: the unmarked kind is theirs."""
    return [{**gpu, "memory_mib": gpu["memory_mib"] or 10**9} for gpu in found]
