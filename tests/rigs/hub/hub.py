# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the Hugging Face hub: a real HTTP server that the real huggingface_hub downloads from."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

CHUNK = 64 * 1024


def repository(weight_bytes: int = 1_000_000) -> dict[str, bytes]:
    """Return the files of a model whose weights are two shards of random bytes."""
    shards = {f"model-0000{number}-of-00002.safetensors": os.urandom(weight_bytes // 2) for number in (1, 2)}
    index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(shards)}}
    return {
        "config.json": b'{"model_type": "qwen3"}',
        "model.safetensors.index.json": json.dumps(index).encode(),
        "pytorch_model.bin": os.urandom(1000),
        "original/consolidated.00.pth": os.urandom(1000),
        **shards,
    }


def is_large(name: str) -> bool:
    """Tell whether a file is one that the hub keeps outside git, as it does a model's weights."""
    return name.endswith((".safetensors", ".bin", ".pt", ".pth", ".gguf"))


def git_blob(content: bytes) -> str:
    """Return what git names a file's content by."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Model:
    """A repository, and how the server treats who asks for it."""

    files: Mapping[str, bytes]
    token: str | None = None
    bytes_per_second: float | None = None
    #: After so many bytes of weights, the connection is closed (once), or nothing comes any more.
    cut_after: int | None = None
    stall_after: int | None = None
    #: This one file never comes.
    withheld: str | None = None

    @property
    def commit(self) -> str:
        """The commit that main is at: another for other files."""
        digest = hashlib.sha1()
        for name in sorted(self.files):
            digest.update(name.encode() + hashlib.sha256(self.files[name]).digest())
        return digest.hexdigest()


@dataclass
class Hub:
    """A running server. Use it as a context manager."""

    models: dict[str, Model]
    served: int = 0
    requests: list[str] = field(default_factory=list)
    #: Containers reach it on their bridge's address.
    address: str = "127.0.0.1"

    def __enter__(self) -> Hub:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer((self.address, 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it serves: the value of HF_ENDPOINT."""
        return f"http://{self.address}:{self._server.server_port}"

    def wait(self, seconds: float) -> None:
        """Wait, or less when the server ends."""
        self._closing.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        """Answer as to GET, without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Route a request."""
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        for pattern, answer in (
            (r"/api/models/(?P<name>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?", self._info),
            (r"/api/models/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)", self._tree),
            (r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", self._file),
        ):
            match = re.fullmatch(pattern, path)
            if match:
                model = self._model(**match.groupdict())
                if model:
                    answer(model, match.groupdict())
                return
        self._send(404, {"error": "no such page"})

    def _model(self, name: str, revision: str | None = None, file: str = "") -> Model | None:
        model = self.hub.models.get(name)
        if model is None:
            self._send(401, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif model.token and self.headers.get("Authorization") != f"Bearer {model.token}":
            self._send(401, {"error": "Access to model is restricted"}, {"X-Error-Code": "GatedRepo"})
        elif revision not in (None, "main", model.commit):
            self._send(404, {"error": "Revision not found"}, {"X-Error-Code": "RevisionNotFound"})
        elif file and file not in model.files:
            self._send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        else:
            return model
        return None

    def _info(self, model: Model, asked: Mapping[str, str]) -> None:
        files: list[dict[str, Any]] = []
        for name, content in model.files.items():
            file = {"rfilename": name, "size": len(content), "blobId": git_blob(content)}
            if is_large(name):
                digest = hashlib.sha256(content).hexdigest()
                file["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            files.append(file)
        self._send(200, {"id": asked["name"], "sha": model.commit, "siblings": files})

    def _tree(self, model: Model, _unused: Mapping[str, str]) -> None:
        self._send(
            200,
            [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in model.files.items()
            ],
        )

    def _file(self, model: Model, asked: Mapping[str, str]) -> None:
        content = model.files[asked["file"]]
        start = 0
        ranged = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if ranged:
            start = int(ranged[1])
        self.send_response(206 if ranged else 200)
        etag = hashlib.sha256(content).hexdigest() if is_large(asked["file"]) else git_blob(content)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", model.commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            if asked["file"] == model.withheld:
                self.hub.wait(3600)
            self._stream(model, content[start:])

    def _stream(self, model: Model, content: bytes) -> None:
        for place in range(0, len(content), CHUNK):
            if model.cut_after is not None and self.hub.served >= model.cut_after:
                model.cut_after = None
                self.close_connection = True
                self.connection.close()
                return
            if model.stall_after is not None and self.hub.served >= model.stall_after:
                self.hub.wait(3600)
                return
            chunk = content[place : place + CHUNK]
            try:
                self.wfile.write(chunk)
            except OSError:
                self.close_connection = True
                return
            self.hub.served += len(chunk)
            if model.bytes_per_second:
                time.sleep(len(chunk) / model.bytes_per_second)

    def _send(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(text)
