# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a benchmark client on the host, as a process or in a container, so that nothing of it is left behind."""

# Runs outside modules too, where there is no run_command.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError

POLL_SECONDS = 0.5
LOG = "output.log"
DOCKER_HOST = "unix:///var/run/docker.sock"
_REMOVAL_SECONDS = 20
# Of a line of a client's output in a message, in characters: vLLM prints all of its options in one.
_WIDTH = 300
# Owner of a client container: process id and start time of the module, so that a later one knows what is stale.
OWNER_LABEL = "inference.fleet.benchmark.owner"

# Runs the client in its own process group and kills the group when the pipe on stdin closes, which also happens when
# the module that holds the other end is killed outright.
_GUARD = """
import os, signal, subprocess, sys, threading
client = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def watch():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
code = client.wait()
sys.stdout.flush()
os._exit(code if code >= 0 else 128 - code)
"""

# The same in a container, by a shell's own words only, as an image need not have any other program. What the client
# prints and its exit code go to files; when the pipe on stdin closes the container ends, and the daemon removes it.
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


@dataclass(frozen=True)
class Ended:
    """How a client ended. Whether it did its work is another question: see its output."""

    exit_code: int
    log: str


class TimeLimitError(FleetError):
    """A client was killed at its time limit."""


class ProcessRunner:
    """Runs clients that are installed on the host."""

    def __init__(self, executable: str) -> None:
        found = shutil.which(executable)
        if found is None:
            raise FleetError(
                f"the benchmark client {executable} is not on this host, or cannot be executed. "
                "Give client_path (the executable) or client_image (an image that has it)."
            )
        self.executable = found
        self.image_id = None
        self.pid: int | None = None

    def version(self, distribution: str) -> str | None:
        """Return the version of the Python distribution that the executable belongs to."""
        return self._python(_VERSION, distribution)

    def module(self, names: Sequence[str]) -> str | None:
        """Return the first of the names of Python modules that there is; None where none is, or nothing tells."""
        return self._python(_MODULE, *names)

    def _python(self, code: str, *arguments: str) -> str | None:
        """Return what a short program says in the client's own Python; None where there is none, or it failed."""
        python = Path(self.executable).parent / "python3"
        if not python.exists():
            return None
        try:
            answer = subprocess.run(
                [str(python), "-I", "-c", code, *arguments],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() or None

    def run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        timeout: float,
        tick: Callable[[str], None],
    ) -> Ended:
        """Run a command until it ends; call *tick* with its output now and then.

        When the time is over, or anything is raised, every process of it is killed. FleetError on a time-out.
        """
        path = directory / LOG
        with path.open("wb") as log:
            guard = subprocess.Popen(
                [sys.executable, "-I", "-c", _GUARD, *argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        self.pid = guard.pid
        with _terminated_as_error():
            try:
                return _follow(guard.poll, lambda: _read(path), timeout, tick)
            finally:
                self.pid = None
                # The group outlives its leader where the client left processes.
                with suppress(ProcessLookupError):
                    os.killpg(guard.pid, signal.SIGKILL)
                guard.wait()
                guard.stdin.close()


class ContainerRunner:
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

    def version(self, distribution: str) -> str | None:
        """Return the version of a Python distribution in the image."""
        return self._python(_VERSION, distribution)

    def module(self, names: Sequence[str]) -> str | None:
        """Return the first of the names of Python modules that the image has, as :class:`ProcessRunner` does."""
        return self._python(_MODULE, *names)

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
        with _terminated_as_error(), self._container(argv, plain, directory) as container:

            def poll() -> int | None:
                try:
                    container.reload()
                except docker.errors.NotFound:
                    # It has ended, and the daemon has removed it.
                    return _exit_code(code)
                state = container.attrs["State"]
                self.pid = state["Pid"] or None
                return None if state["Status"] in ("created", "running", "removing") else _exit_code(code)

            return _follow(poll, lambda: _read(log), timeout, tick)

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


_VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
_MODULE = """
import importlib.util, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
print(next(filter(there, sys.argv[1:]), ""))
"""


def _follow(
    poll: Callable[[], int | None], read: Callable[[], str], timeout: float, tick: Callable[[str], None]
) -> Ended:
    deadline = time.monotonic() + timeout
    while (code := poll()) is None:
        if time.monotonic() > deadline:
            raise TimeLimitError(
                f"the benchmark client was still running after its time limit, {timeout:g} s, and was killed",
                log=read(),
            )
        tick(read())
        time.sleep(POLL_SECONDS)
    return Ended(code, read())


def last_lines(log: str, count: int = 12) -> str:
    """Return the last lines of a client's output as a person would see them: of a progress bar, its last state."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", log)
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in plain.replace("\r\n", "\n").split("\n")]
    return "\n".join([line if len(line) <= _WIDTH else f"{line[:_WIDTH]} ..." for line in lines if line][-count:])


def _read(path: Path) -> str:
    # A client that logs much must not fill the memory.
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 256 * 1024))
        return stream.read().decode("utf-8", "replace")


@contextmanager
def _terminated_as_error() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise, so that what cleans up does its work."""

    def interrupt(number: int, frame: object) -> None:
        raise FleetError(f"the benchmark was interrupted by {signal.Signals(number).name}")

    before = {}
    with suppress(ValueError):  # not the main thread
        before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
