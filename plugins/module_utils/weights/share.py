# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve one snapshot of a hub's cache to other hosts for a while, as a program of its own that outlives its starter.

Its argument is its job, a file of mode 0600 with ``{"model", "folder", "commit", "address", "port", "token", "seconds",
"lease"}``. It adds ``port`` as it is, renews the lease, a file in the cache, and ends when the job's file is gone or
another's, or the time is over.

Who asks, for ``/manifest`` or ``/blobs/NAME`` (from an offset where a Range asks for it), sends a nonce and the
signature of nonce and path with the word that both know; the word itself never travels. The manifest comes with the
signature of that nonce and its own bytes, so that it answers this question and no other.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHUNK = 1024 * 1024
# Seconds; far less than a lease holds.
RENEW_EVERY = 20.0
NONCE, SIGNATURE = "X-Fleet-Nonce", "X-Fleet-Signature"


def signature(token: str, purpose: str, nonce: str, content: bytes) -> str:
    """Return the HMAC-SHA256 of what is said for a purpose, in hexadecimal."""
    return hmac.new(token.encode(), f"{purpose}\n{nonce}\n".encode() + content, hashlib.sha256).hexdigest()


def manifest(model: str, folder: Path, commit: str) -> dict[str, Any]:
    """Return what a snapshot is made of: see :mod:`.manifest`. A large file is not read: its name is its hash."""
    snapshot, files = folder / "snapshots" / commit, []
    for path in sorted(snapshot.rglob("*")):
        if not path.is_dir():
            blob = path.resolve(strict=True)
            sha256 = blob.name if len(blob.name) == 64 else hashlib.sha256(blob.read_bytes()).hexdigest()
            name = str(path.relative_to(snapshot))
            files.append({"name": name, "blob": blob.name, "size": blob.stat().st_size, "sha256": sha256})
    return {"model": model, "commit": commit, "files": files}


class _Handler(BaseHTTPRequestHandler):
    job: dict[str, Any]
    contents: bytes
    blobs: frozenset[str]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """Answer who knows the word."""
        nonce = self.headers.get(NONCE) or ""
        asked = signature(self.job["token"], "ask", nonce, self.path.encode("utf-8", "surrogateescape"))
        if not hmac.compare_digest(asked.encode(), (self.headers.get(SIGNATURE) or "").encode()):
            self._say(403, b"")
        elif self.path == "/manifest":
            self._say(200, self.contents, signature(self.job["token"], "manifest", nonce, self.contents))
        elif self.path.startswith("/blobs/") and self.path[7:] in self.blobs:
            self._blob(Path(self.job["folder"]) / "blobs" / self.path[7:])
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

    def _say(self, status: int, body: bytes, signed: str = "") -> None:
        self.send_response(status)
        if signed:
            self.send_header(SIGNATURE, signed)
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
    contents = manifest(job["model"], Path(job["folder"]), job["commit"])
    facts = {
        "job": job,
        "contents": json.dumps(contents).encode(),
        "blobs": frozenset(file["blob"] for file in contents["files"]),
    }
    _Server.address_family = socket.AF_INET6 if ":" in job["address"] else socket.AF_INET
    server = _Server((job["address"], job["port"]), type("Handler", (_Handler,), facts))
    server.timeout = 0.5
    job["port"] = server.server_port
    _replace(path, json.dumps({**job, "pid": os.getpid()}))
    deadline = time.monotonic() + job["seconds"]
    renewed = 0.0
    while time.monotonic() < deadline and _token(path) == job["token"]:
        if job["lease"] and time.monotonic() - renewed > RENEW_EVERY:
            renewed = time.monotonic()
            # Where the file is gone, others were told that this host is.
            with suppress(OSError):
                os.utime(job["lease"])
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
