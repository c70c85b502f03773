# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a benchmark client in a container, so that nothing of it is left behind: as :mod:`.runner` does on the host."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.runner import (
    LOG,
    Ended,
    Python,
    follow,
    read_log,
    terminated_as_error,
)
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

DOCKER_HOST = "unix:///var/run/docker.sock"
_REMOVAL_SECONDS = 20
# Owner of a client container: process id and start time of the module, so that a later one knows what is stale.
OWNER_LABEL = "inference.fleet.benchmark.owner"

# What the guard of a process does, in a container, by a shell's own words only, as an image need not have any other
# program. What the client prints and its exit code go to files; when the pipe on stdin closes the container ends, and
# the daemon removes it.
_CONTAINER_GUARD = """
exec 3<&0 >"$0/{log}" 2>&1
trap 'exit 143' TERM
if [ -e "$0/{key}" ]; then IFS= read -r OPENAI_API_KEY <"$0/{key}" || :; export OPENAI_API_KEY; fi
"$@" </dev/null 3<&- & client=$!
while read -r _; do :; done <&3 && kill -TERM $$ &
wait $client
echo $? >"$0/{code}"
"""
_KEY_FILE, _CODE_FILE = ".api_key", ".exit_code"


class ContainerRunner(Python):
    """Runs clients in containers of an image that is on the host or can be pulled."""

    def __init__(
        self,
        image: str,
        executable: str,
        api_key: str | None,
        mounts: Sequence[str] = (),
        cache_dir: str | None = None,
        network: str = "host",
        docker_host: str = DOCKER_HOST,
    ) -> None:
        self._docker = _docker(docker_host)
        self._image = image
        self._api_key = api_key
        self._mounts = mounts
        self._cache_dir = cache_dir
        self._network = network
        self.executable = executable
        self.pid: int | None = None
        self._call("prepare for benchmark containers", self._remove_stale)
        self.image_id: str | None = self._call(f"find or pull image {image}", self._need_image)

    def _python(self, code: str, *arguments: str) -> str | None:
        with self._container(["python3", "-c", code, *arguments], {}, None) as container:
            status = container.wait(timeout=120)["StatusCode"]
            return container.logs(stdout=True, stderr=False).decode().strip() or None if status == 0 else None

    def run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        timeout: float,
        tick: Callable[[str], None],
    ) -> Ended:
        """Run a command as :meth:`ProcessRunner.run` does; *directory* is mounted at its own path."""
        import docker

        plain = {name: value for name, value in environment.items() if value != self._api_key}
        log, code = directory / LOG, directory / _CODE_FILE
        log.touch()
        with terminated_as_error(), self._container(argv, plain, directory) as container:

            def poll() -> int | None:
                try:
                    container.reload()
                except docker.errors.NotFound:
                    # It has ended, and the daemon has removed it.
                    return _exit_code(code)
                state = container.attrs["State"]
                self.pid = state["Pid"] or None
                return None if state["Status"] in ("created", "running", "removing") else _exit_code(code)

            return follow(poll, lambda: read_log(log), timeout, tick)

    @contextmanager
    def _container(self, argv: Sequence[str], environment: Mapping[str, str], directory: Path | None) -> Iterator[Any]:
        volumes = {path: {"bind": path, "mode": "ro"} for path in self._mounts}
        variables = dict(environment)
        command = list(argv)
        if directory is not None:
            volumes[str(directory)] = {"bind": str(directory), "mode": "rw"}
        if self._cache_dir and os.path.isdir(self._cache_dir):
            volumes[self._cache_dir] = {"bind": "/root/.cache/huggingface", "mode": "ro"}
            variables |= {"HF_HOME": "/root/.cache/huggingface", "HF_HUB_OFFLINE": "1"}
        key_file = directory / _KEY_FILE if self._api_key and directory is not None else None
        if directory is not None:
            guard = _CONTAINER_GUARD.format(log=LOG, key=_KEY_FILE, code=_CODE_FILE)
            command = ["sh", "-c", guard, str(directory), *argv]
        if key_file is not None:
            # A key in the environment of a container can be read by docker inspect; a mounted file cannot.
            key_file.touch(mode=0o600)
            key_file.write_text(self._api_key or "", encoding="utf-8")
        container = held = None
        try:
            container = self._call(
                f"create a container of {self._image}",
                lambda: self._docker.containers.create(
                    self._image,
                    entrypoint=command[:1],
                    command=command[1:],
                    name=f"inference-fleet-benchmark-{secrets.token_hex(4)}",
                    labels={OWNER_LABEL: _identity(os.getpid())},
                    environment=variables,
                    volumes=volumes,
                    network_mode=self._network,
                    working_dir=str(directory) if directory else None,
                    stdin_open=directory is not None,
                    auto_remove=directory is not None,
                ),
            )
            if directory is not None:
                # Its stdin is open as long as this process lives.
                held = container.attach_socket(params={"stdin": 1, "stream": 1})
            self._call(f"start the benchmark client in {self._image}", container.start)
            yield container
        finally:
            if container is not None:
                with suppress(Exception):
                    _remove(container)
            if held is not None:
                held.close()
            if key_file is not None:
                key_file.unlink(missing_ok=True)

    def _remove_stale(self) -> None:
        for container in self._docker.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True):
            owner = container.labels.get(OWNER_LABEL, "")
            pid = owner.partition(":")[0]
            if not pid.isdigit() or _identity(int(pid)) != owner:
                _remove(container)

    def _need_image(self) -> str:
        """Return the id of the image, which is pulled where it is not here."""
        import docker

        try:
            return self._docker.images.get(self._image).id
        except docker.errors.ImageNotFound:
            self._docker.images.pull(self._image)
            return self._docker.images.get(self._image).id

    @staticmethod
    def _call(action: str, function: Callable[[], Any]) -> Any:
        import docker
        import requests

        try:
            return function()
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise FleetError(f"could not {action}: {getattr(error, 'explanation', None) or error}") from error


def _remove(container: Any) -> None:
    """Remove a container, and return when it is gone, whoever else removes it."""
    import docker

    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        try:
            container.remove(force=True, v=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            # The daemon is at it.
            if error.status_code != HTTPStatus.CONFLICT or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _exit_code(path: Path) -> int:
    """Return the exit code that the guard of a container wrote; that of a kill where it did not come to it."""
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 128 + signal.SIGKILL


def _identity(pid: int) -> str:
    """Return what tells a process from a later one with its id, or nothing where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    return f"{pid}:{stat.rpartition(')')[2].split()[19]}"


def _docker(host: str) -> Any:
    try:
        import docker
    except ImportError as error:
        raise FleetError(
            "client_image needs the Docker SDK for Python on this host: install python3-docker, or give client_path."
        ) from error
    try:
        return docker.DockerClient(base_url=host)
    except docker.errors.DockerException as error:
        raise FleetError(f"client_image needs a running Docker daemon at {host}: {error}") from error
