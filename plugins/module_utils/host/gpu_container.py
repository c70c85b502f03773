# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether CUDA starts inside a container: a small one, made of the host's own Python, that stays nowhere."""

from __future__ import annotations

import tempfile
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host import cuda
from ansible_collections.inference.fleet.plugins.module_utils.host.command import TIMED_OUT
from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs

try:
    import docker
    from docker import errors as docker_errors
    from requests import exceptions as requests_errors
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

NAME = "inference.fleet-gpu-check"
IMAGE = "inference-fleet/gpu-check"
CALL_TIMEOUT = 120
WANTED = "CUDA starts in a container that asks for every GPU (cuInit)"
# What Docker says where it has no way to give a container GPUs, before version 29 and since.
_NO_WAY = ("could not select device driver", "failed to discover GPU vendor from CDI", "unresolvable CDI devices")
_RESTART = "Restart Docker Engine: it looks for the NVIDIA container toolkit at its start."
_REBOOT = "The driver was upgraded under a running kernel module: reboot the host."
# Where the toolkit puts the driver's libraries in an image that says nothing of its distribution.
_LIBRARIES = "/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu:/usr/lib64:/usr/lib"


def check(docker_host: str, timeout: float = 60) -> dict[str, Any]:
    """Start CUDA in a container; return a check as host_info has it. Image and container are removed again.

    Raises :class:`FleetError` where the daemon cannot be asked.
    """
    try:
        client = docker.APIClient(base_url=docker_host, version="auto", timeout=CALL_TIMEOUT)
        result = _run(client, timeout)
    except (docker_errors.DockerException, requests_errors.RequestException) as error:
        raise FleetError(f"could not run a container on the Docker daemon at {docker_host}: {error}.") from error
    return {
        "name": "cuda_in_container",
        "required": True,
        "ok": result["code"] == 0,
        "found": cuda.describe(result),
        "wanted": WANTED,
        "remedy": result["remedy"],
    }


def _run(client: docker.APIClient, timeout: float) -> dict[str, Any]:
    reference = f"{IMAGE}:{rootfs.tag()}"
    with tempfile.NamedTemporaryFile(prefix="inference.fleet-") as archive:
        rootfs.write_rootfs(archive)
        archive.flush()
        client.import_image_from_file(archive.name, repository=IMAGE, tag=rootfs.tag())
    try:
        # One that a killed run left.
        _remove(client)
        container = client.create_container(
            reference,
            cuda.argv(rootfs.entrypoint()[0]),
            name=NAME,
            environment={"NVIDIA_DRIVER_CAPABILITIES": "compute,utility", "LD_LIBRARY_PATH": _LIBRARIES},
            network_disabled=True,
            host_config=client.create_host_config(
                device_requests=[{"Count": -1, "Capabilities": [["gpu"]]}], network_mode="none"
            ),
        )["Id"]
        try:
            client.start(container)
        except docker_errors.APIError as error:
            remedy = remedy_of(str(error.explanation or error))
            return cuda.failed(f"Docker cannot start it: {' '.join(str(error.explanation).split())[:300]}", remedy)
        try:
            code = client.wait(container, timeout=timeout)["StatusCode"]
        except requests_errors.RequestException:
            code = TIMED_OUT
        output = client.logs(container, stdout=True, stderr=False).decode("utf-8", "replace")
        said = client.logs(container, stdout=False, stderr=True).decode("utf-8", "replace")
        return cuda.read(code, output, said)
    finally:
        _remove(client)
        client.remove_image(reference, force=True)


def remedy_of(said: str) -> str:
    """Return what to do about what Docker says where it cannot start a container with GPUs."""
    if "driver/library version mismatch" in said.lower():
        return _REBOOT
    return _RESTART if any(words in said for words in _NO_WAY) else "See the toolkit's own words."


def _remove(client: docker.APIClient) -> None:
    try:
        client.remove_container(NAME, force=True)
    except docker_errors.NotFound:
        return
