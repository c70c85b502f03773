# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Docker Engine of the tests' own: its own data, socket and bridge, gone when the tests end.

The host's engine, if it has one, is neither used nor touched. GPU requests are accepted because a
stub of nvidia-container-runtime-hook stands on the daemon's PATH; no GPU is there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import docker

BRIDGE = "fleettest0"
NETWORK = "172.31.240.1/24"
HOOK = "nvidia-container-runtime-hook"


class DockerEngine:
    """A running daemon. Use it as a context manager; ``restart`` and ``kill`` are for fault tests."""

    def __init__(self) -> None:
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
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)
        subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
        subprocess.run(["ip", "address", "add", NETWORK, "dev", BRIDGE], check=True)
        subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        try:
            for container in self.client.containers.list(all=True):
                container.remove(force=True, v=True)
        finally:
            self.kill(signal.SIGTERM)
            subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def client(self) -> docker.DockerClient:
        """A client of this engine."""
        return docker.DockerClient(base_url=self.url, timeout=60)

    def start(self) -> None:
        """Start the daemon and return when it answers."""
        environment = dict(os.environ, PATH=f"{self.directory}/bin:{os.environ['PATH']}:/usr/sbin:/sbin")
        log = (self.directory / "dockerd.log").open("ab")
        self._process = subprocess.Popen(
            [
                "dockerd",
                *("--host", self.url),
                *("--data-root", f"{self.directory}/data"),
                *("--exec-root", f"{self.directory}/exec"),
                *("--pidfile", f"{self.directory}/docker.pid"),
                *("--bridge", BRIDGE),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        for _attempt in range(300):
            if self._process.poll() is not None:
                break
            try:
                self.client.ping()
                return
            except docker.errors.DockerException:
                time.sleep(0.1)
        raise RuntimeError("dockerd did not start:\n" + (self.directory / "dockerd.log").read_text()[-3000:])

    def kill(self, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """End the daemon; containers end with it, unless it is configured otherwise."""
        if self._process is None:
            return
        self._process.send_signal(with_signal)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        self._process = None
