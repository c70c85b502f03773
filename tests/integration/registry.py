# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Docker registry on loopback: digests, tags that move, pulls that fail, hang or crawl."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import mortal
import requests
from debian_package import unpacked
from docker_engine import DockerEngine

PACKAGE = "docker-registry"


def program() -> str:
    """Return Debian's registry."""
    return shutil.which(PACKAGE) or str(unpacked("registry", PACKAGE) / "usr/bin" / PACKAGE)


class Registry:
    """A running registry. Use it as a context manager.

    With a *login* (name, password) nobody else is served; *hashed* is the password by bcrypt, which Python has no more.
    """

    def __init__(self, login: tuple[str, str] | None = None, hashed: str = "") -> None:
        self._program = program()
        self._login, self._hashed = login, hashed
        self._directory = Path(tempfile.mkdtemp(prefix="fleet-registry-"))
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port: int = listener.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Registry:
        (self._directory / "config.yml").write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {self._directory}/data}}}}\n"
            f"http: {{addr: '{self.host}'}}\n"
            + (f"auth: {{htpasswd: {{realm: tests, path: {self._directory}/htpasswd}}}}\n" if self._login else "")
        )
        if self._login:
            (self._directory / "htpasswd").write_text(f"{self._login[0]}:{self._hashed}\n")
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def host(self) -> str:
        """The registry's name in a reference."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve; return when it answers."""
        with (self._directory / "registry.log").open("ab") as log:
            self._process = mortal.start(
                [self._program, "serve", str(self._directory / "config.yml")], stdout=log, stderr=log
            )
        for _attempt in range(100):
            try:
                requests.get(f"http://{self.host}/v2/", timeout=5)
                return
            except requests.ConnectionError:
                time.sleep(0.1)
        raise RuntimeError("the registry did not start:\n" + (self._directory / "registry.log").read_text()[-2000:])

    def stop(self) -> None:
        """End it; its content stays."""
        if self._process:
            self.resume()
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def stall(self) -> None:
        """Take connections and answer nothing, until it is resumed."""
        if self._process:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Answer again."""
        if self._process:
            self._process.send_signal(signal.SIGCONT)

    def push(self, engine: DockerEngine, image: str, name: str) -> str:
        """Push an image of an engine as *name* (repository:tag); return its digest. The engine keeps no tag of it."""
        repository, _unused, tag = name.partition(":")
        reference = f"{self.host}/{repository}"
        engine.client.images.get(image).tag(reference, tag)
        # No login is one too: without any, the client would send that of the machine's user.
        login = dict(zip(("username", "password"), self._login or ("", ""), strict=True))
        lines = list(engine.client.images.push(reference, tag, stream=True, decode=True, auth_config=login))
        digest = next(line["aux"]["Digest"] for line in lines if "aux" in line)
        engine.client.images.remove(f"{reference}:{tag}", force=True)
        return digest


class Relay:
    """Passes TCP connections on to a port of loopback, as slowly as it is told. Use it as a context manager.

    *stall_after* so many bytes of answers, of all connections together, nothing comes any more:
    ``stalled`` is set then, and the connections stay open.
    """

    def __init__(self, target_port: int, bytes_per_second: float | None = None, stall_after: int | None = None) -> None:
        self._target = target_port
        self._rate = bytes_per_second
        self._left = stall_after
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        # For how long it has held answers back, in seconds.
        self.held = 0.0
        self.stalled = threading.Event()
        self._ended = threading.Event()

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        self._ended.set()
        # To close a socket wakes nobody who waits for it; to shut it down does.
        for connection in (self._listener, *self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _unused = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._connections += [client, server]
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers:
                    self._hinder(len(data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _hinder(self, size: int) -> None:
        """Take the time that so many bytes of answers need."""
        if self._left is not None:
            with self._lock:
                self._left -= size
            if self._left < 0:
                self.stalled.set()
                self._ended.wait()
        if self._rate:
            self._ended.wait(size / self._rate)
            with self._lock:
                self.held += size / self._rate
