# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked at before a harness is started, and how many samples of its log are told."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.evaluations import run
from ansible_collections.inference.fleet.plugins.module_utils.evaluations.command import Endpoint
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

from .made import plan


@pytest.mark.parametrize(
    ("shebang", "python", "told"),
    [
        ("#!/nowhere/python", "/bin/sh", "/nowhere/python is gone"),
        ("#!/bin/sh", "/nowhere/python3.10", "bin/python is gone"),
    ],
)
def test_an_environment_whose_python_is_gone_is_told(tmp_path: Path, shebang: str, python: str, told: str) -> None:
    place = tmp_path / "venv/bin"
    place.mkdir(parents=True)
    (place / "inspect").write_text(f"{shebang}\n")
    (place / "inspect").chmod(0o755)
    (place / "python").symlink_to(python)
    with pytest.raises(FleetError, match=rf"does not start, as .*{told}: .*Remove {tmp_path}/venv; the role"):
        run.Evaluation(plan(), tmp_path / "work", tmp_path / "venv", "", Progress()).run(1)
    assert not (tmp_path / "work").exists()


def test_the_samples_of_a_log_are_counted_also_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "a.eval"
    assert run.kept_samples(None) == 0
    assert run.kept_samples(log) == 0
    with zipfile.ZipFile(log, "w") as stream:
        for name in ("_journal/start.json", "samples/1_epoch_1.json", "samples/1_epoch_2.json"):
            stream.writestr(name, "{}")
    assert run.kept_samples(log) == 2
    # One that was run again.
    with zipfile.ZipFile(log, "a") as stream, pytest.warns(UserWarning, match="Duplicate"):
        stream.writestr("samples/1_epoch_2.json", "{}")
    assert run.kept_samples(log) == 2
    log.write_bytes(log.read_bytes()[:50])
    assert run.kept_samples(log) == 0


@contextmanager
def hosted(status: int, body: bytes) -> Iterator[str]:
    """An endpoint that answers all requests alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b'{"data": [{"id": "a-user"}]}', None),
        # It need not tell which models it has.
        (404, b"no such page", None),
        (401, b"who are you?", "The user at .* cannot be evaluated with: .*401"),
        (200, b'{"data": [{"id": "another"}]}', "The user at .* serves another; wanted a-user. See user_model."),
        (500, b"", "The user at .* cannot be evaluated with: .*500"),
    ],
)
def test_an_endpoint_that_cannot_be_asked_is_told(status: int, body: bytes, told: str | None) -> None:
    with hosted(status, body) as url:
        asked = Endpoint(url, "a-user", "a-key")
        if told is None:
            run.require_endpoint(asked, "The user", "See user_model.")
        else:
            with pytest.raises(FleetError, match=told):
                run.require_endpoint(asked, "The user", "See user_model.")
