# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Docker Engine of the tests' own: its own data, socket and bridge, gone when the tests end.

The host's engine, if it has one, is neither used nor touched. GPU requests are accepted because a
stub of nvidia-container-runtime-hook stands on the daemon's PATH; no GPU is there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

import docker
import mortal

HOOK = "nvidia-container-runtime-hook"
# How many engines the machine may have at a time, in all test runs together: each has a network of its own.
_ENGINES = 16


def _free_place() -> tuple[int, IO[str]]:
    """Return a number that no engine of any test run on this machine has, and what keeps it until it is closed."""
    for number in range(_ENGINES):
        place = (Path(tempfile.gettempdir()) / f"fleet-docker-{number}.lock").open("w")
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            place.close()
        else:
            return number, place
    raise RuntimeError(f"{_ENGINES} Docker Engines of tests run on this machine already: wait for one to end.")


class DockerEngine:
    """A running daemon. Use it as a context manager; ``start``, ``kill`` and ``restart`` are for fault tests.

    *data_size*, such as ``300m``, gives it a disk of that size, and *log_driver* is that of its containers.
    """

    def __init__(self, data_size: str | None = None, log_driver: str = "json-file") -> None:
        number, self._place = _free_place()
        self._bridge = f"fleettest{number}"
        self._network = f"172.31.{240 + number}.1/24"
        self._data_size = data_size
        self._log_driver = log_driver
        self.directory = Path(tempfile.mkdtemp(prefix="fleet-docker-"))
        self.url = f"unix://{self.directory}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DockerEngine:
        hooks = self.directory / "bin"
        hooks.mkdir()
        (hooks / HOOK).write_text(
            "#!/bin/sh\n# Stub: lets the daemon accept GPU requests where there is no GPU.\nexit 0\n"
        )
        (hooks / HOOK).chmod(0o755)
        subprocess.run(["ip", "link", "delete", self._bridge], check=False, capture_output=True)
        subprocess.run(["ip", "link", "add", self._bridge, "type", "bridge"], check=True)
        subprocess.run(["ip", "address", "add", self._network, "dev", self._bridge], check=True)
        subprocess.run(["ip", "link", "set", self._bridge, "up"], check=True)
        if self._data_size:
            (self.directory / "data").mkdir()
            disk = ["-t", "tmpfs", "-o", f"size={self._data_size}", "tmpfs", f"{self.directory}/data"]
            subprocess.run(["mount", *disk], check=True)
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        try:
            if self._process is None:
                # A daemon that was killed left its containers running.
                self.start()
            for container in self.client.containers.list(all=True):
                container.remove(force=True, v=True)
        finally:
            self.kill(signal.SIGTERM)
            subprocess.run(["ip", "link", "delete", self._bridge], check=False, capture_output=True)
            self._unmount()
            shutil.rmtree(self.directory, ignore_errors=True)
            self._place.close()

    @property
    def bridge_address(self) -> str:
        """The host's address as containers reach it."""
        return self._network.partition("/")[0]

    def _unmount(self) -> None:
        """Take off the disk, and what each daemon that was killed left mounted."""
        targets = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for target in reversed(targets):
            if target.startswith(f"{self.directory}/"):
                subprocess.run(["umount", "--lazy", target], check=False, capture_output=True)

    @property
    def client(self) -> docker.DockerClient:
        """A client of this engine."""
        return docker.DockerClient(base_url=self.url, timeout=60)

    def start(self) -> None:
        """Start the daemon and return when it answers."""
        environment = dict(os.environ, PATH=f"{self.directory}/bin:{os.environ['PATH']}:/usr/sbin:/sbin")
        log = (self.directory / "dockerd.log").open("ab")
        self._process = mortal.start(
            [
                "dockerd",
                *("--host", self.url),
                *("--data-root", f"{self.directory}/data"),
                *("--exec-root", f"{self.directory}/exec"),
                *("--pidfile", f"{self.directory}/docker.pid"),
                *("--bridge", self._bridge),
                *("--log-driver", self._log_driver),
                # The chains are the machine's: two daemons that start would take them from each other. Ports of
                # loopback go through the daemon's proxy.
                "--iptables=false",
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        for _attempt in range(1800):
            if self._process.poll() is not None:
                break
            try:
                self.client.ping()
                return
            except docker.errors.DockerException:
                time.sleep(0.1)
        raise RuntimeError("dockerd did not start:\n" + (self.directory / "dockerd.log").read_text()[-3000:])

    def kill(self, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """End the daemon; containers end with it where it has the time to end them."""
        if self._process is None:
            return
        self._process.send_signal(with_signal)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        # containerd dies with its parent. Where nobody reaps it, the next daemon would wait for it to answer.
        (self.directory / "exec/containerd/containerd.pid").unlink(missing_ok=True)
        self._process = None

    def restart(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon and start it again."""
        self.kill(with_signal)
        self.start()
