# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve one snapshot of a hub's cache to other hosts for a while, as a program of its own that outlives its starter.

Its argument is its job, a file of mode 0600 with ``{"folder", "commit", "address", "port", "token", "seconds"}``. It
adds ``port`` as it is, and ends when the file is gone or another's, or the time is over. Only who knows the token is
answered: ``GET /TOKEN/manifest`` and ``GET /TOKEN/blobs/NAME``, from an offset where a Range asks for it.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import shutil
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHUNK = 1024 * 1024


def manifest(folder: Path, commit: str) -> dict[str, Any]:
    """Return what a snapshot is made of: ``{"commit", "files": [{"name", "blob", "size"}]}``."""
    snapshot, files = folder / "snapshots" / commit, []
    for path in sorted(snapshot.rglob("*")):
        if not path.is_dir():
            blob = path.resolve(strict=True)
            files.append({"name": str(path.relative_to(snapshot)), "blob": blob.name, "size": blob.stat().st_size})
    return {"commit": commit, "files": files}


class _Handler(BaseHTTPRequestHandler):
    job: dict[str, Any]
    contents: dict[str, Any]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the path has the token."""

    def do_GET(self) -> None:
        """Answer who knows the token."""
        token, _slash, rest = self.path.lstrip("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.job["token"].encode()):
            self._say(403, b"")
        elif rest == "manifest":
            self._say(200, json.dumps(self.contents).encode())
        elif rest.startswith("blobs/") and rest[6:] in {file["blob"] for file in self.contents["files"]}:
            self._blob(Path(self.job["folder"]) / "blobs" / rest[6:])
        else:
            self._say(404, b"")

    def _blob(self, path: Path) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "bytes=0-")
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            start = min(int(match.group(1)), size) if match else 0
            stream.seek(start)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(size - start))
            self.end_headers()
            shutil.copyfileobj(stream, self.wfile, CHUNK)

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A fleet asks at once.
    request_queue_size = 128


def main() -> None:
    """Serve until the job is taken back."""
    path = Path(sys.argv[1])
    job = json.loads(path.read_text())
    handler = type("Handler", (_Handler,), {"job": job, "contents": manifest(Path(job["folder"]), job["commit"])})
    server = _Server((job["address"], job["port"]), handler)
    server.timeout = 0.5
    job["port"] = server.server_port
    _replace(path, json.dumps({**job, "pid": os.getpid()}))
    deadline = time.monotonic() + job["seconds"]
    while time.monotonic() < deadline and _token(path) == job["token"]:
        server.handle_request()
    if _token(path) == job["token"]:
        path.unlink()
    os._exit(0)


def _replace(path: Path, text: str) -> None:
    other = path.with_suffix(".new")
    with os.fdopen(os.open(other, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    os.replace(other, path)


def _token(path: Path) -> str | None:
    try:
        return json.loads(path.read_text())["token"]
    except (OSError, ValueError, KeyError):
        return None


if __name__ == "__main__":
    main()
