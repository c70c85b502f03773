# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator as the image runs it: a process of its own, on a free port of the loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs
from ansible_collections.inference.fleet.tests.patience import until

MODEL = "qwen3-coder-next"
# A row as fast as tests want it: a millisecond a token.
FAST = {
    "id": "a fast row",
    "workload": {"input_length": 100, "output_length": 20, "num_prompts": 32, "max_concurrency": 8},
    "metrics": {"mean_ttft_ms": 2, "p99_ttft_ms": 5, "mean_tpot_ms": 1, "p99_itl_ms": 2},
}


class Answer:
    """A response, read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def events(self) -> list[tuple[str | None, Any]]:
        """The server-sent events: name and data."""
        found = []
        for block in self.text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            if fields:
                data = fields["data"]
                found.append((fields.get("event"), data if data == "[DONE]" else json.loads(data)))
        return found


class Simulator:
    """A running simulator."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        self.until(lambda: "\n" in self.log or process.poll() is not None, "the first line of the log")
        address = re.match(r".*http://127\.0\.0\.1:(\d+)", self.log)
        assert address, f"no address in the log: {self.log}"
        self.port = int(address[1])

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = self.connect()
        try:
            data = body if isinstance(body, (str, bytes)) or body is None else json.dumps(body)
            connection.request(method, path, data, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        if isinstance(body, dict):
            body = {"model": MODEL, **body}
        return self.send("POST", path, body, headers)

    def metric(self, name: str) -> float:
        return float(re.search(rf"^{re.escape(name)}{{.*}} (\S+)$", self.get("/metrics").text, re.M)[1])

    def until(self, condition: Callable[[], bool], what: str) -> None:
        until(condition, what)


@pytest.fixture(scope="session")
def image_files(tmp_path_factory) -> Path:
    """The simulator's files, laid out as in the image."""
    home = tmp_path_factory.mktemp("simulator")
    for name, content in rootfs.sources().items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
    return home


@pytest.fixture(scope="session")
def start(image_files, tmp_path_factory):
    """A context manager that runs a simulator with extra arguments, and ends it."""

    @contextlib.contextmanager
    def run(*extra: str) -> Iterator[Simulator]:
        command = [sys.executable, "-B", str(image_files), "--port", "0", "--model", "Qwen/Qwen3-Coder-Next"]
        command += ["--served-model-name", MODEL, "--figures", json.dumps(FAST), *extra]
        log = tmp_path_factory.mktemp("log") / "log"
        with log.open("wb") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as process:
            try:
                running = Simulator(process, log)
                if "--load-seconds" not in extra:
                    running.until(lambda: running.get("/health").status == 200, "/health")
                yield running
            finally:
                process.kill()

    return run


@pytest.fixture(scope="session")
def simulator(start) -> Iterator[Simulator]:
    """A simulator that tests share."""
    with start("--max-model-len", "20000000") as running:
        yield running
