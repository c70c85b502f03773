# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights that one host has and another takes: the real server, a real copy, and what goes wrong on the way."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache, seed, share
from ansible_collections.inference.fleet.plugins.module_utils.weights.copy import copy as take
from ansible_collections.inference.fleet.plugins.module_utils.weights.leases import Leases
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights
from ansible_collections.inference.fleet.tests.patience import until

COMMIT = "5" * 40
TOKEN = "planted-token-4711"
WEIGHTS = Weights("org/tiny")
SHARD = os.urandom(9_000_000)
FILES = {
    "config.json": b'{"model_type": "qwen3"}',
    "model.safetensors": SHARD,
    "nested/deep/tokenizer.json": b"{}",
}


def blob_name(content: bytes, large: bool) -> str:
    if large:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def folder(cache: Path) -> Path:
    return cache / "hub" / WEIGHTS.folder


@pytest.fixture
def seeded(tmp_path: Path) -> Path:
    """A cache as huggingface_hub makes it."""
    cache = tmp_path / "seed"
    for name, content in FILES.items():
        blob = folder(cache) / "blobs" / blob_name(content, name.endswith(".safetensors"))
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link = folder(cache) / "snapshots" / COMMIT / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (folder(cache) / "refs").mkdir()
    (folder(cache) / "refs" / "main").write_text(COMMIT)
    return cache


@pytest.fixture
def url(seeded: Path, tmp_path: Path) -> Iterator[str]:
    """The cache shared on loopback."""
    port = seed.start(
        WEIGHTS, str(seeded), address="127.0.0.1", port=0, token=TOKEN, seconds=60, directory=tmp_path / "run"
    )
    yield f"http://127.0.0.1:{port}"
    seed.stop(WEIGHTS, tmp_path / "run")


def copy(url: str, cache: Path, token: str = TOKEN, said: list[str] | None = None) -> dict[str, int]:
    lines = said if said is not None else []
    return take(WEIGHTS, str(cache), url=url, token=token, timeout=30, say=lines.append)


def tree(cache: Path) -> dict[str, bytes | str]:
    """Everything in a model's folder: contents, and where links lead."""
    return {
        str(path.relative_to(folder(cache))): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder(cache).rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_a_copy_is_the_same_and_a_second_one_takes_nothing(url: str, seeded: Path, tmp_path: Path) -> None:
    said: list[str] = []

    first = copy(url, tmp_path / "copy", said=said)

    assert first == {"files": 3, "bytes": sum(map(len, FILES.values()))}
    assert tree(tmp_path / "copy") == tree(seeded)
    assert cache.cached(str(tmp_path / "copy"), WEIGHTS) == COMMIT
    assert said[0] == "taking 9 MiB of the weights of org/tiny from 127.0.0.1"
    assert said[-1] == "weights: 9 MiB of 9 MiB"
    assert copy(url, tmp_path / "copy") == {"files": 0, "bytes": 0}


def test_a_copy_goes_on_where_it_was_cut_off(url: str, seeded: Path, tmp_path: Path) -> None:
    name = blob_name(SHARD, True)
    half = folder(tmp_path / "copy") / "blobs" / f"{name}.seed"
    half.parent.mkdir(parents=True)
    half.write_bytes(SHARD[:5_000_000])
    # Only the rest can come: the beginning of the seed's own file is another now.
    with (folder(seeded) / "blobs" / name).open("r+b") as stream:
        stream.write(b"damaged")

    copy(url, tmp_path / "copy")

    assert (folder(tmp_path / "copy") / "blobs" / name).read_bytes() == SHARD


def test_a_damaged_file_is_refused_and_does_not_stay(url: str, seeded: Path, tmp_path: Path) -> None:
    name = blob_name(SHARD, True)
    with (folder(seeded) / "blobs" / name).open("r+b") as stream:
        stream.write(b"damaged")

    with pytest.raises(FleetError, match=f"damaged file {name}"):
        copy(url, tmp_path / "copy")

    assert cache.cached(str(tmp_path / "copy"), WEIGHTS) is None
    assert name not in " ".join(os.listdir(folder(tmp_path / "copy") / "blobs"))


def ask(url: str, path: str, token: str = TOKEN, nonce: str = "n") -> tuple[int, bytes]:
    headers = {share.NONCE: nonce, share.SIGNATURE: share.signature(token, "ask", nonce, path.encode())}
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, headers=headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def test_nobody_without_the_word_is_answered_and_nothing_but_the_snapshot_is_given(url: str, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="answered 403"):
        copy(url, tmp_path / "copy", token="another")
    assert not (tmp_path / "copy").exists()
    assert ask(url, "/manifest")[0] == 200
    for path in ("/blobs/../refs/main", "/snapshots", f"/blobs/{'0' * 64}", "/", f"/{TOKEN}/manifest"):
        assert ask(url, path) == (404, b"")
        assert ask(url, path, token="another") == (403, b"")
    # A signature is of one path and one nonce.
    headers = {share.NONCE: "n", share.SIGNATURE: share.signature(TOKEN, "ask", "n", b"/manifest")}
    for path, nonce in ((f"/blobs/{blob_name(SHARD, True)}", "n"), ("/manifest", "m")):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(url + path, headers={**headers, share.NONCE: nonce}))


def test_a_share_holds_a_lease_in_the_cache_while_it_lasts(url: str, seeded: Path, tmp_path: Path) -> None:
    leases = Leases(seeded, WEIGHTS.folder)
    assert [lease.what for lease in leases.others()] == ["hands org/tiny on to other hosts"]
    seed.stop(WEIGHTS, tmp_path / "run")
    assert leases.all() == []


def test_a_share_ends_when_it_is_taken_back(url: str, tmp_path: Path) -> None:
    job = json.loads(seed.job_path(WEIGHTS, tmp_path / "run").read_text())
    assert seed.job_path(WEIGHTS, tmp_path / "run").stat().st_mode & 0o777 == 0o600
    assert seed.serving(WEIGHTS, TOKEN, tmp_path / "run") == job["port"]

    assert seed.stop(WEIGHTS, tmp_path / "run") is True

    status = Path(f"/proc/{job['pid']}/stat")
    until(lambda: not status.exists() or status.read_text().split()[2] == "Z")
    with pytest.raises(FleetError, match="Open that port between the hosts"):
        copy(url, tmp_path / "copy")


def test_what_is_not_whole_is_not_shared(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="found it not complete"):
        seed.start(WEIGHTS, str(tmp_path), address="127.0.0.1", port=0, token=TOKEN, seconds=1, directory=tmp_path)


def test_a_port_that_is_taken_is_told(url: str, seeded: Path, tmp_path: Path) -> None:
    port = int(url.rpartition(":")[2])
    with pytest.raises(FleetError, match="Address already in use"):
        seed.start(
            WEIGHTS, str(seeded), address="127.0.0.1", port=port, token=TOKEN, seconds=9, directory=tmp_path / "other"
        )
