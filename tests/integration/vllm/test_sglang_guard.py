# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that is started in SGLang's place: every process that serves is behind the guard, and warms itself up.

SGLang itself does not import where there is no GPU. In its place stands a package with the parts of SGLang 0.5.23 that
matter here, named and wired as there: sglang.launch_server's main block, an application that is made when
sglang.srt.entrypoints.http_server is imported, workers of uvicorn that import it by that path, and a warm-up that asks
its own port with requests and aiohttp, and ends the server where it is refused.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import guard, sglang_guard
from ansible_collections.inference.fleet.tests.patience import PATIENCE

# tests/rigs/vllm_cpu/build makes it: it has fastapi, uvicorn, requests and aiohttp, as SGLang's image does.
PYTHON = Path(__file__).resolve().parents[3] / ".build/venvs/vllm-cpu/bin/python"
LAUNCH = """
import sys


def run_server(arguments):
    from sglang.srt.entrypoints.http_server import launch_server

    launch_server(arguments)


if __name__ == "__main__":
    print("server_args=", sys.argv[1:], flush=True)
    run_server(sys.argv[1:])
"""
SERVER = """
import asyncio, multiprocessing, os, signal, sys, threading, time
from contextlib import asynccontextmanager

import aiohttp, requests, uvicorn
from fastapi import FastAPI

PORT = int(sys.argv[sys.argv.index("--port") + 1])
WORKERS = int(sys.argv[sys.argv.index("--tokenizer-worker-num") + 1])


async def ask_again():
    async with aiohttp.ClientSession(headers={"X": "1"}) as session:
        async with session.post(f"http://127.0.0.1:{PORT}/generate", json={}) as answer:
            return answer.status


def warm_up():
    for _attempt in range(300):
        try:
            first = requests.get(f"http://127.0.0.1:{PORT}/model_info", timeout=60)
            break
        except requests.exceptions.RequestException:
            time.sleep(0.1)
    if first.status_code != 200 or asyncio.run(ask_again()) != 200:
        print("Initialization failed. warmup error", flush=True)
        os.killpg(0, signal.SIGKILL)
    print("The server is fired up and ready to roll!", flush=True)


@asynccontextmanager
async def lifespan(app):
    threading.Thread(target=warm_up, daemon=True).start()
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
@app.get("/model_info")
@app.get("/metrics")
async def told():
    return os.getpid()


@app.post("/generate")
@app.post("/v1/chat/completions")
async def generated():
    return os.getpid()


def launch_server(arguments):
    if WORKERS == 1:
        uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=PORT)).run()
    else:
        uvicorn.run("sglang.srt.entrypoints.http_server:app", host="127.0.0.1", port=PORT, workers=WORKERS)
"""


class Started:
    """SGLang's stand-in, started as the collection starts SGLang with a key."""

    def __init__(self, folder: Path, workers: int) -> None:
        package = folder / "image/sglang/srt/entrypoints"
        package.mkdir(parents=True)
        for part in (package, package.parent, package.parent.parent):
            (part / "__init__.py").touch()
        (folder / "image/sglang/launch_server.py").write_text(LAUNCH)
        (package / "http_server.py").write_text(SERVER)
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        shutil.copy(guard.__file__, self.secrets / "inference_fleet_guard.py")
        shutil.copy(sglang_guard.__file__, self.secrets / "inference_fleet_sglang.py")
        (self.secrets / guard.FILE).write_text("planted-4711\nanother-4712")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.log = folder / "log"
        options = ["--port", str(self.port), "--tokenizer-worker-num", str(workers)]
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                [str(PYTHON), "-B", "-m", "inference_fleet_sglang", *options],
                stdout=stream,
                stderr=stream,
                env={**os.environ, "PYTHONPATH": f"{self.secrets}:{folder / 'image'}"},
                start_new_session=True,
            )

    def wait(self, times: int) -> str:
        """Return the log when every process is ready, or none is there any more."""
        while self.log.read_text().count("ready to roll") < times and self.process.poll() is None:
            time.sleep(0.1)
        return self.log.read_text()

    def status(self, method: str, path: str, key: str | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {key}"} if key else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def started(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Started]:
    if not PYTHON.exists():
        pytest.skip("tests/rigs/vllm_cpu/build makes the environment with a server that SGLang uses too")
    server = Started(tmp_path, request.param)
    try:
        log = server.wait(request.param)
        assert log.count("ready to roll") == request.param, log
        yield server
    finally:
        if server.process.poll() is None:
            os.killpg(server.process.pid, signal.SIGTERM)
            server.process.wait(PATIENCE)


def test_every_process_is_guarded_and_warmed_up(started: Started) -> None:
    seen = set()
    for _request in range(40):
        assert started.status("GET", "/model_info")[0] == 401
        assert started.status("POST", "/v1/chat/completions", "wrong")[0] == 401
        status, process = started.status("POST", "/generate", "planted-4711")
        assert status == 200
        seen.add(process)
    assert started.status("POST", "/generate", "another-4712")[0] == 200
    assert started.status("GET", "/metrics")[0] == 401
    assert started.status("GET", "/health")[0] == 200
    assert seen
    # Another key, without a restart.
    (started.secrets / "new").write_text("third-4713")
    (started.secrets / "new").replace(started.secrets / guard.FILE)
    for _request in range(20):
        assert started.status("POST", "/generate", "planted-4711")[0] == 401
        assert started.status("POST", "/generate", "third-4713")[0] == 200
    log = started.log.read_text()
    assert "server_args=" in log
    assert not any(key in log for key in ("planted-4711", "another-4712", "third-4713"))


def test_an_image_without_that_server_does_not_start(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("tests/rigs/vllm_cpu/build makes the environment with a server that SGLang uses too")
    server = Started(tmp_path, 1)
    server.process.kill()
    server.process.wait(PATIENCE)
    (tmp_path / "image/sglang/srt/entrypoints/http_server.py").unlink()
    environment = {**os.environ, "PYTHONPATH": f"{server.secrets}:{tmp_path / 'image'}"}
    ended = subprocess.run(
        [str(PYTHON), "-m", "inference_fleet_sglang", "--port", "1"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode
    assert "before which the guard of its API key could be put" in ended.stderr
