# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host's weights for the others: shared on the local network, taken from there, and verified by their hashes.

A blob of the hub's cache is named by its content: by its SHA-256, or by git's SHA-1 where it is small. So a copy proves
itself, whoever served it.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import pkgutil
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.files import make_directory
from ansible_collections.inference.fleet.plugins.module_utils.progress import size
from ansible_collections.inference.fleet.plugins.module_utils.weights import hub, share
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights

DIRECTORY = Path("/run/inference.fleet")
STREAMS = 4
START_TIMEOUT = 20
ANSWER_TIMEOUT = 60
_CHUNK = 4 * 1024 * 1024
_BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# Not the hub's own suffix: that one's half files are swept away.
_HALF = ".seed"

Say = Callable[[str], None]


def job_path(weights: Weights, directory: Path = DIRECTORY) -> Path:
    """Return the file that a share of a model lives as long as."""
    return directory / f"share-{weights.folder}.json"


def serving(weights: Weights, token: str, directory: Path = DIRECTORY) -> int | None:
    """Return the port on which a model is shared with this token, or ``None``."""
    try:
        job = json.loads(job_path(weights, directory).read_text())
    except (OSError, ValueError):
        return None
    alive = "pid" in job and Path(f"/proc/{job['pid']}").exists()
    return job["port"] if alive and job.get("token") == token else None


def start(
    weights: Weights,
    cache_dir: str,
    *,
    address: str,
    port: int,
    token: str,
    seconds: float,
    directory: Path = DIRECTORY,
) -> int:
    """Share a model's snapshot for so many seconds; return the port.

    Raises :class:`FleetError` where it is not whole, or the port is taken.
    """
    commit = hub.cached(cache_dir, weights)
    if commit is None:
        raise FleetError(f"wanted to share {weights}, found it not complete in {cache_dir}. Prefetch it there first.")
    stop(weights, directory)
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = job_path(weights, directory)
    job = {
        "folder": str(Path(cache_dir) / "hub" / weights.folder),
        "commit": commit,
        "address": address,
        "port": port,
        "token": token,
        "seconds": seconds,
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        json.dump(job, stream)
    source = (pkgutil.get_data(share.__package__ or "", "share.py") or b"").decode()
    log = path.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", source, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        found = serving(weights, token, directory)
        if found is not None:
            log.unlink()
            return found
        time.sleep(0.05)
    lines = log.read_text(errors="replace").strip().splitlines()
    process.kill()
    stop(weights, directory)
    raise FleetError(f"could not share {weights} on {address}, port {port}: {lines[-1] if lines else 'no word'}.")


def stop(weights: Weights, directory: Path = DIRECTORY) -> bool:
    """End the share of a model; tell whether there was one."""
    path = job_path(weights, directory)
    there = path.exists()
    for file in (path, path.with_suffix(".log")):
        file.unlink(missing_ok=True)
    return there


def copy(weights: Weights, cache_dir: str, *, url: str, token: str, timeout: float, say: Say) -> dict[str, int]:
    """Take a model from the host that shares it, and go on with what is half there; return what came.

    What came is ``{"files", "bytes"}``. Raises :class:`FleetError` where that host does not answer, or what it sends is
    not what it is named.
    """
    source = _Source(url, token, time.monotonic() + timeout)
    contents = source.manifest()
    folder = Path(cache_dir) / "hub" / weights.folder
    blobs = folder / "blobs"
    for directory in (blobs, folder / "snapshots", folder / "refs"):
        make_directory(directory)
    with _locked(Path(cache_dir) / "hub" / ".locks" / weights.folder):
        sizes = {file["blob"]: file["size"] for file in contents["files"]}
        missing = {name: count for name, count in sizes.items() if not _whole(blobs / name, count)}
        told = _Told(say, sum(missing.values()))
        say(f"taking {size(sum(missing.values()))} of the weights of {weights} from {source.host}")
        with ThreadPoolExecutor(STREAMS) as pool:
            list(pool.map(lambda item: _take(source, blobs, *item, told), sorted(missing.items())))
        _link(folder, contents)
        # Last: what names the commit names a snapshot that is whole.
        reference = folder / "refs" / (weights.revision or "main")
        if reference.name != contents["commit"]:
            reference.parent.mkdir(parents=True, exist_ok=True)
            reference.write_text(contents["commit"])
    return {"files": len(missing), "bytes": sum(missing.values())}


class _Source:
    """The host that shares."""

    def __init__(self, url: str, token: str, deadline: float) -> None:
        parts = urlsplit(url)
        self.host, self._port = parts.hostname or "", parts.port or 80
        self._token, self._deadline = token, deadline

    def manifest(self) -> dict[str, Any]:
        """Return what there is; nothing in it may lead out of the cache."""
        with self._get("manifest", 0) as response:
            contents = json.loads(response.read())
        for file in contents["files"]:
            name = PurePosixPath(file["name"])
            if name.is_absolute() or ".." in name.parts or not _BLOB.fullmatch(file["blob"]):
                raise FleetError(f"{self.host} shares a file that is none of a hub's cache: {file['name']!r}.")
        return contents

    def blob(self, name: str, start: int) -> Iterator[bytes]:
        """Give a blob's bytes from an offset on."""
        with self._get(f"blobs/{name}", start) as response:
            while True:
                if time.monotonic() > self._deadline:
                    raise FleetError(
                        f"could not take the weights from {self.host} in time. What came is kept, and the next run "
                        "goes on from there; or raise the timeout."
                    )
                chunk = response.read(_CHUNK)
                if not chunk:
                    return
                yield chunk

    @contextmanager
    def _get(self, path: str, start: int) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.host, self._port, timeout=ANSWER_TIMEOUT)
        try:
            connection.request("GET", f"/{self._token}/{path}", headers={"Range": f"bytes={start}-"} if start else {})
            response = connection.getresponse()
            if response.status not in (200, 206):
                raise FleetError(f"{self.host} answered {response.status}: its share is another's, or has ended.")
            yield response
        except (OSError, http.client.HTTPException) as error:
            reason = "it did not answer in time" if isinstance(error, socket.timeout) else str(error)
            raise FleetError(
                f"could not take the weights from {self.host}, port {self._port}: {reason}. Open that port between the "
                "hosts, or have each download for itself: no prepare_seed_host. What came is kept."
            ) from error
        finally:
            connection.close()


def _whole(path: Path, count: int) -> bool:
    try:
        return path.stat().st_size == count
    except OSError:
        return False


def _take(source: _Source, blobs: Path, name: str, count: int, told: _Told) -> None:
    """Take one blob; it gets its name once its content has proved to be what the name says."""
    half = blobs / f"{name}{_HALF}"
    with half.open("ab+") as stream:
        if stream.tell() > count:
            stream.truncate(0)
        digest = hashlib.sha256() if len(name) == 64 else hashlib.sha1(f"blob {count}\0".encode())
        stream.seek(0)
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            told.add(len(chunk))
        if stream.tell() < count:
            for chunk in source.blob(name, stream.tell()):
                stream.write(chunk)
                digest.update(chunk)
                told.add(len(chunk))
        stream.flush()
        os.fsync(stream.fileno())
    if half.stat().st_size < count:
        raise FleetError(f"{source.host} closed the connection half-way. What came is kept: run again.")
    if digest.hexdigest() != name:
        half.unlink()
        raise FleetError(f"{source.host} has a damaged file {name} in its cache: it is not what its name says.")
    os.replace(half, blobs / name)


def _link(folder: Path, contents: Mapping[str, Any]) -> None:
    """Make the snapshot: a link a file, as the hub's own library makes it."""
    snapshot = folder / "snapshots" / contents["commit"]
    for file in contents["files"]:
        link = snapshot / file["name"]
        make_directory(link.parent)
        target = os.path.relpath(folder / "blobs" / file["blob"], link.parent)
        if not (link.is_symlink() and os.readlink(link) == target):
            link.unlink(missing_ok=True)
            link.symlink_to(target)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    make_directory(directory)
    with (directory / "seed.lock").open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FleetError("another run takes these weights at this time. Wait for it, and run again.") from error
        yield


class _Told:
    """Tells how far a copy is, each tenth."""

    def __init__(self, say: Say, total: int) -> None:
        self._say, self._total, self._done, self._tenth = say, total, 0, 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock, suppress(ZeroDivisionError):
            self._done += count
            tenth = self._done * 10 // self._total
            if tenth > self._tenth:
                self._tenth = tenth
                self._say(f"weights: {size(self._done)} of {size(self._total)}")
