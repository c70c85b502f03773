# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon's answers over a real socket."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import docker

# As Engine 28 answers on a GPU machine, shortened.
VERSION = {"Version": "28.3.3", "ApiVersion": "1.51", "MinAPIVersion": "1.24", "Os": "linux"}
INFO = {
    "DockerRootDir": "/mnt/docker",
    "Driver": "overlay2",
    "CgroupDriver": "systemd",
    "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}},
    "ContainersRunning": 3,
    "LiveRestoreEnabled": False,
}


@contextmanager
def daemon(path: Path, answers: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    """A server on a Unix socket; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

        def address_string(self) -> str:
            return "local"

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()


def good(value: object) -> tuple[int, bytes]:
    return 200, json.dumps(value).encode()


def test_a_daemon_that_answers_is_described(tmp_path: Path) -> None:
    with daemon(tmp_path / "docker.sock", {"/version": good(VERSION), "/info": good(INFO)}) as url:
        facts = docker.docker(url)

    facts.pop("sdk_version")
    facts.pop("config_error")
    assert facts == {
        "installed": True,
        "cdi_devices": [],
        "running": True,
        "version": "28.3.3",
        "api_version": "1.51",
        "root": "/mnt/docker",
        "storage_driver": "overlay2",
        "cgroup_driver": "systemd",
        "runtimes": ["nvidia", "runc"],
        "containers_running": 3,
        "live_restore": False,
        "error": None,
    }


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, b"{}"), "GET /version answered 500 Internal Server Error"),
        ((200, b"<html>"), "Expecting value"),
        ((200, b"[]"), "answered something that is no Docker daemon's"),
    ],
)
def test_a_daemon_that_answers_badly_does_not_run(tmp_path: Path, answer: tuple[int, bytes], said: str) -> None:
    with daemon(tmp_path / "docker.sock", {"/version": answer}) as url:
        facts = docker.docker(url)

    assert not facts["running"]
    assert said in facts["error"]


def test_a_daemon_that_hangs_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "docker.sock"))
        silent.listen()

        facts = docker.docker(f"unix://{tmp_path}/docker.sock", timeout=0.2)

    assert (facts["running"], facts["error"]) == (False, "it did not answer within 0.2 s")


def test_a_socket_that_nothing_listens_on_any_more_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "docker.sock"))

    assert docker.docker(f"unix://{tmp_path}/docker.sock")["error"] == "nothing listens on its socket"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("unix:///nowhere/docker.sock", "its socket does not exist"),
        ("ssh://host", "ssh://host is no unix:// or tcp:// URL"),
    ],
)
def test_no_daemon_is_data(url: str, said: str) -> None:
    facts = docker.docker(url)

    assert (facts["running"], facts["error"]) == (False, said)


def test_a_directory_called_docker_is_no_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(__import__("sys").modules, "docker", raising=False)

    assert docker.sdk_version() is None
