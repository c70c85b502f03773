# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take weights from the host that shares them: what it says is held against its signature and its form, what it sends
against its hashes, and all is written inside the cache alone. Whoever stands between can do nothing but fail it.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.files import make_directory
from ansible_collections.inference.fleet.plugins.module_utils.progress import size
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache, hub, manifest, share
from ansible_collections.inference.fleet.plugins.module_utils.weights.inside import Inside
from ansible_collections.inference.fleet.plugins.module_utils.weights.leases import Leases
from ansible_collections.inference.fleet.plugins.module_utils.weights.manifest import File, Manifest
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights
from ansible_collections.inference.fleet.plugins.module_utils.weights.told import Say, Told

STREAMS = 4
ANSWER_TIMEOUT = 60
# How often a connection that breaks is taken up again, for one file.
TRIES = 5
# Seconds between two looks at the transfers.
TICK = 5
_CHUNK = 4 * 1024 * 1024
# Not the hub's own suffix: that one's half files are swept away.
_HALF = ".seed"
_READ_ERRORS = (OSError, http.client.HTTPException)


class _CutError(FleetError):
    """The connection broke; what came is kept."""


def copy(weights: Weights, cache_dir: str, *, url: str, token: str, timeout: float, say: Say) -> dict[str, int]:
    """Take a model from the host that shares it, and go on with what is half there; return what came.

    What came is ``{"files", "bytes"}``. Raises :class:`FleetError` where that host does not answer, or what it sends is
    not what it is named.
    """
    source = _Source(url, token, time.monotonic() + timeout)
    contents = source.manifest(weights)
    store = Path(cache_dir) / "hub"
    make_directory(store)
    waiter = hub.waiter(weights, cache_dir, timeout, say, threading.Event())
    leases = Leases(cache_dir, weights.folder)
    lost = functools.partial(source.give_up, "another host took the lease on the cache over. Run again")
    with leases.work(f"takes {weights} from {source.host}", waiter, lost):
        if cache.in_any_form(cache_dir, weights) == contents.commit:
            # A host that has the cache too was first.
            return {"files": 0, "bytes": 0}
        return _copy(source, contents, Inside(store), weights, say)


def _copy(source: _Source, contents: Manifest, store: Inside, weights: Weights, say: Say) -> dict[str, int]:
    blobs = f"{weights.folder}/blobs"
    files = {file.blob: file for file in contents.files}
    missing = [file for name, file in sorted(files.items()) if store.size(f"{blobs}/{name}") != file.size]
    total = sum(file.size for file in missing)
    half = sum(min(store.size(f"{blobs}/{file.blob}{_HALF}") or 0, file.size) for file in missing)
    free = shutil.disk_usage(store.root).free
    if total - half > free:
        raise FleetError(
            f"wanted {size(total - half)} for {weights} in {store.root}, found {size(free)} free. Free space, or set "
            "cache_dir to a larger disk."
        )
    told = Told(say, total)
    say(f"taking {size(total)} of the weights of {weights} from {source.host}")
    with ThreadPoolExecutor(STREAMS) as pool:
        left = {pool.submit(_take, source, store, f"{blobs}/{file.blob}", file, told) for file in missing}
        try:
            while left:
                done, left = wait(left, TICK, FIRST_EXCEPTION)
                for future in done:
                    future.result()
                # Where nothing comes, that is told too.
                told.add(0)
        except BaseException:
            source.give_up("another file of it could not be had")
            pool.shutdown(cancel_futures=True)
            raise
    snapshot = f"{weights.folder}/snapshots/{contents.commit}"
    for file in contents.files:
        # As the hub's own library makes it: up to the model's folder, and down to the blob.
        up = "../" * (2 + file.name.count("/"))
        store.link(f"{snapshot}/{file.name}", f"{up}blobs/{file.blob}")
    # Last: what names the commit names a snapshot that is whole.
    if weights.revision != contents.commit:
        store.write(f"{weights.folder}/refs/{weights.revision or 'main'}", contents.commit)
    return {"files": len(missing), "bytes": total}


class _Source:
    """The host that shares."""

    def __init__(self, url: str, token: str, deadline: float) -> None:
        parts = urlsplit(url)
        self.host, self._port = parts.hostname or "", parts.port or 80
        self._token, self._deadline = token, deadline
        self._given_up = ""

    def give_up(self, reason: str) -> None:
        """End every transfer."""
        self._given_up = self._given_up or reason

    def manifest(self, weights: Weights) -> Manifest:
        """Return what there is."""
        nonce = secrets.token_hex(32)
        with self._get("/manifest", nonce) as response:
            body = b"".join(self._read(response, manifest.MOST_BYTES))
            signature = response.headers.get(share.SIGNATURE) or ""
        return manifest.read(body, signature, self._token, nonce, weights, self.host)

    def blob(self, name: str, start: int, count: int) -> Iterator[bytes]:
        """Give so many bytes of a blob from an offset on, or fewer, and never more."""
        with self._get(f"/blobs/{name}", secrets.token_hex(32), start) as response:
            yield from self._read(response, count)

    def _read(self, response: http.client.HTTPResponse, count: int) -> Iterator[bytes]:
        """Give what comes, as it comes: a slow network is to be told of too."""
        while count > 0:
            if time.monotonic() > self._deadline:
                raise FleetError(
                    f"could not take the weights from {self.host} in time. What came is kept, and the next run "
                    "goes on from there; or raise the timeout."
                )
            if self._given_up:
                raise FleetError(f"the copy was given up: {self._given_up}. What came is kept.")
            chunk = response.read1(min(_CHUNK, count))
            if not chunk:
                return
            count -= len(chunk)
            yield chunk

    @contextmanager
    def _get(self, path: str, nonce: str, start: int = 0) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.host, self._port, timeout=ANSWER_TIMEOUT)
        headers = {share.NONCE: nonce, share.SIGNATURE: share.signature(self._token, "ask", nonce, path.encode())}
        try:
            connection.request("GET", path, headers={**headers, **({"Range": f"bytes={start}-"} if start else {})})
            response = connection.getresponse()
            if response.status != (206 if start else 200):
                raise FleetError(f"{self.host} answered {response.status}: its share is another's, or has ended.")
            yield response
        except _READ_ERRORS as error:
            reason = "it did not answer in time" if isinstance(error, socket.timeout) else str(error)
            raise _CutError(
                f"could not take the weights from {self.host}, port {self._port}: {reason}. Open that port between the "
                "hosts, or have each download for itself: no prepare_seed_host. What came is kept."
            ) from error
        finally:
            connection.close()


def _take(source: _Source, store: Inside, path: str, file: File, told: Told) -> None:
    """Take one blob; it gets its name once its content has proved to be what the manifest says."""
    half = f"{path}{_HALF}"
    resumed = bool(store.size(half))
    for _number in range(2 if resumed else 1):
        with store.appending(half) as stream:
            sha256 = _fill(source, stream, file, told)
        if sha256 == file.sha256:
            store.rename(half, file.blob)
            return
        # The half that an earlier run left may be what is wrong: once more, from the beginning.
        store.remove(half)
        told.add(-file.size)
    raise FleetError(
        f"{source.host} has a damaged file {file.blob} ({file.name}) in its cache, or another answers in its place: "
        "its content is not what its hash says. It was not kept. Remove that file there, and prefetch it anew."
    )


def _fill(source: _Source, stream: IO[bytes], file: File, told: Told) -> str:
    """Bring a file to its size; return the SHA-256 of what is in it."""
    digest = hashlib.sha256()
    stream.seek(0, os.SEEK_END)
    if stream.tell() > file.size:
        stream.truncate(0)
    stream.seek(0)
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        told.add(len(chunk))
    have = stream.tell()
    for attempt in range(TRIES):
        before = have
        try:
            for chunk in source.blob(file.blob, have, file.size - have) if have < file.size else ():
                stream.write(chunk)
                digest.update(chunk)
                told.add(len(chunk))
                have += len(chunk)
        except _CutError:
            if attempt == TRIES - 1 or have == before:
                raise
        if have == file.size:
            break
        if have == before or attempt == TRIES - 1:
            raise FleetError(
                f"{source.host} closed the connection at {size(have)} of {size(file.size)} of {file.name}. "
                "What came is kept: run again."
            )
    stream.flush()
    os.fsync(stream.fileno())
    return digest.hexdigest()
