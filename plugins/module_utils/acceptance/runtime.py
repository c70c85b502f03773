# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the measuring program runs: a Python of the host that has torch, or a container of an engine's image.

Either ends by itself soon after whoever started it is gone, and a container goes with it.
"""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import json
import os
import pkgutil
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import program
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.command import run, search_path
from ansible_collections.inference.fleet.plugins.module_utils.host.gpu_container import remedy_of

try:
    import docker
    from docker import errors as docker_errors
    from requests import exceptions as requests_errors
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

NAME = "inference.fleet-gpu-acceptance"
# GPUs by nvidia-smi's numbers, no network, and no thread for each of many CPUs.
ENVIRONMENT = {
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    "NCCL_SOCKET_IFNAME": "lo",
    "GLOO_SOCKET_IFNAME": "lo",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_PULL_SECONDS = 3600
_CALL_SECONDS = 120
_HAS_TORCH = "import torch; raise SystemExit(not torch.cuda.is_available())"


class Runtime(Protocol):
    """Starts the program once, tells whether it runs, and ends it."""

    described: Mapping[str, Any]

    def start(self, folder: Path, options: Mapping[str, Any]) -> None: ...

    def poll(self) -> int | None: ...

    def said(self) -> str: ...

    def stop(self) -> None: ...


def has_torch(python: str) -> bool:
    """Tell whether a Python has a torch that finds GPUs."""
    return run([python, "-c", _HAS_TORCH], timeout=120)[0] == 0


class HostPython:
    """A process group of the host's."""

    def __init__(self, python: str) -> None:
        self.python, self.process, self.log = python, None, None
        self.described = {"python": python, "image": None, "image_id": None}
        if shutil.which(python, path=search_path()) is None:
            raise FleetError(f"python: there is no {python} on the host; wanted a Python that has torch.")

    def start(self, folder: Path, options: Mapping[str, Any]) -> None:
        self.log = folder / "output"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [self.python, str(folder / "program.py"), json.dumps(options)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **ENVIRONMENT},
                start_new_session=True,
            )

    def poll(self) -> int | None:
        return self.process.poll() if self.process else 0

    def said(self) -> str:
        return last_lines(self.log.read_text(encoding="utf-8", errors="replace")) if self.log else ""

    def stop(self) -> None:
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Container:
    """A container that removes itself when it ends."""

    def __init__(self, image: str, docker_host: str, gpus: bool) -> None:
        if IMPORT_ERROR is not None:
            raise FleetError("the host's Python has no Docker SDK: run the host role, or give python.")
        self.image, self.docker_host, self.gpus, self.id, self.text = image, docker_host, gpus, None, ""
        self.described = {"python": None, "image": image, "image_id": None}

    def _client(self, timeout: float = _CALL_SECONDS) -> Any:
        return docker.APIClient(base_url=self.docker_host, version="auto", timeout=timeout)

    def _ask(self, what: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (docker_errors.DockerException, requests_errors.RequestException) as error:
            said = " ".join(str(getattr(error, "explanation", None) or error).split())[:400]
            remedy = f" {remedy_of(said)}" if self.gpus else ""
            raise FleetError(f"Docker at {self.docker_host} could not {what}: {said}.{remedy}") from error

    def there(self) -> bool:
        """Tell whether the image is on the host."""
        try:
            return bool(self._ask("be asked for the image", lambda: self._client().images(name=self.image)))
        except FleetError:
            return False

    def pull(self, say: Callable[[str], None], wanted: Callable[[], None]) -> None:
        """Pull the image where it is missing."""
        if self.there():
            return
        say(f"pulling {self.image}, whose torch measures")
        name, _colon, tag = self.image.rpartition(":") if "@" not in self.image else (self.image, "", "")
        if not name or "/" in tag:
            name, tag = self.image, "latest"

        def work() -> None:
            for event in self._client(_PULL_SECONDS).pull(name, tag=tag or None, stream=True, decode=True):
                wanted()
                if event.get("error"):
                    raise FleetError(f"{self.image} could not be pulled: {event['error']}")

        self._ask(f"pull {self.image}", work)

    def start(self, folder: Path, options: Mapping[str, Any]) -> None:
        client = self._client()
        # One that was left where its Docker Engine was killed.
        self._remove(client)
        requests = [{"Count": -1, "Capabilities": [["gpu"]]}] if self.gpus else []
        host = client.create_host_config(
            binds=[f"{folder}:{folder}:rw"],
            network_mode="none",
            shm_size="8g",
            device_requests=requests,
            auto_remove=True,
        )
        made = self._ask(
            "make the container",
            lambda: client.create_container(
                self.image,
                [str(folder / "program.py"), json.dumps(options)],
                entrypoint=["python3"],
                name=NAME,
                environment=ENVIRONMENT,
                network_disabled=True,
                user="0",
                host_config=host,
            ),
        )
        self.id = made["Id"]
        self.described = {**self.described, "image_id": self._ask("be asked", lambda: self._image_id(client))}
        self._ask("start the container", lambda: client.start(self.id))

    def _image_id(self, client: Any) -> str:
        return client.inspect_image(self.image)["Id"]

    def poll(self) -> int | None:
        client = self._client()
        try:
            with suppress(docker_errors.APIError):
                text = client.logs(self.id, tail=40).decode("utf-8", "replace")
                self.text = text or self.text
            state = client.inspect_container(self.id)["State"]
        except docker_errors.NotFound:
            # It has removed itself; what came of it is in the figures.
            return 0
        except (docker_errors.DockerException, requests_errors.RequestException):
            # A daemon that is restarted answers again.
            return None
        return None if state["Status"] in ("created", "running") else int(state["ExitCode"])

    def said(self) -> str:
        return last_lines(self.text)

    def stop(self) -> None:
        with suppress(docker_errors.DockerException, requests_errors.RequestException):
            self._remove(self._client())

    @staticmethod
    def _remove(client: Any) -> None:
        try:
            client.remove_container(NAME, force=True, v=True)
        except docker_errors.NotFound:
            return
        except docker_errors.APIError as error:
            # It is just removing itself.
            if error.response is None or error.response.status_code != 409:
                raise


def last_lines(text: str) -> str:
    """Return what was said last, in one line."""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())[-1500:] if text else ""


def write_program(folder: Path) -> None:
    """Put the program where its Python finds it: it needs nothing of the collection."""
    # Where Ansible runs a module, the collection is a zip file.
    source = pkgutil.get_data(program.__name__.rpartition(".")[0], "program.py")
    (folder / "program.py").write_bytes(source or b"")
