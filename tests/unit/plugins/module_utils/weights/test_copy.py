# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A seed that lies: whatever it says and sends, nothing is written outside the cache, and nothing false into it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.weights import cache, share
from ansible_collections.inference.fleet.plugins.module_utils.weights.copy import copy
from ansible_collections.inference.fleet.plugins.module_utils.weights.spec import Weights, is_revision

COMMIT = "5" * 40
TOKEN = "planted-token-4711"
WEIGHTS = Weights("org/tiny")
SHARD = bytes(range(250)) * 12_000
CONFIG = b'{"model_type": "qwen3"}'
SHA256 = hashlib.sha256(SHARD).hexdigest()
CONFIG_BLOB = hashlib.sha1(b"blob %d\0" % len(CONFIG) + CONFIG).hexdigest()
HONEST = {
    "model": "org/tiny",
    "commit": COMMIT,
    "files": [
        {
            "name": "config.json",
            "blob": CONFIG_BLOB,
            "size": len(CONFIG),
            "sha256": hashlib.sha256(CONFIG).hexdigest(),
        },
        {"name": "model.safetensors", "blob": SHA256, "size": len(SHARD), "sha256": SHA256},
    ],
}


@dataclass
class Seed:
    """A server that shares as it is told to, and knows the word."""

    manifest: Any = field(default_factory=lambda: json.loads(json.dumps(HONEST)))
    contents: dict[str, bytes] = field(default_factory=lambda: {CONFIG_BLOB: CONFIG, SHA256: SHARD})
    token: str = TOKEN
    #: The signature that is sent instead of the right one, from the asker's nonce and the body.
    sign: Callable[[str, bytes], str] | None = None
    #: What is sent instead of a body that was signed.
    altered: Callable[[bytes], bytes] | None = None
    #: After so many bytes of a blob the connection is closed, each time.
    cut_after: int | None = None
    #: A Range is not heeded.
    from_the_beginning: bool = False
    served: int = 0
    paths: list[str] = field(default_factory=list)

    def __enter__(self) -> Seed:
        seed = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                """Keep quiet."""

            def do_GET(self) -> None:
                seed.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.paths.append(request.path)
        nonce = request.headers[share.NONCE]
        if request.path == "/manifest":
            body = self.manifest if isinstance(self.manifest, bytes) else json.dumps(self.manifest).encode()
            signed = self.sign(nonce, body) if self.sign else share.signature(self.token, "manifest", nonce, body)
            body = self.altered(body) if self.altered else body
            request.send_response(200)
            request.send_header(share.SIGNATURE, signed)
            request.end_headers()
            request.wfile.write(body)
            return
        content = self.contents[request.path.rpartition("/")[2]]
        start = 0 if self.from_the_beginning else int((request.headers["Range"] or "bytes=0-")[6:-1])
        request.send_response(206 if start else 200)
        request.end_headers()
        end = len(content) if self.cut_after is None else start + self.cut_after
        self.served += len(content[start:end])
        request.wfile.write(content[start:end])


def tree(root: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(root)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A cache between things of others', which stay as they are whatever the test does."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "etc/cron.d").mkdir(parents=True)
    (tmp_path / "etc/cron.d/theirs").write_text("theirs")
    yield tmp_path / "cache"
    outside = {name for name in tree(tmp_path) if not name.startswith("cache/")}
    assert outside == {"etc/cron.d/theirs"}
    assert (tmp_path / "etc/cron.d/theirs").read_text() == "theirs"


def take(seed: Seed, place: Path, weights: Weights = WEIGHTS) -> dict[str, int]:
    return copy(weights, str(place), url=seed.url, token=TOKEN, timeout=60, say=lambda text: None)


def manifest(**changes: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(HONEST)), **changes}


def one(**changes: Any) -> dict[str, Any]:
    """A manifest whose last file is another."""
    lied = manifest()
    lied["files"][1] = {**lied["files"][1], **changes}
    return lied


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in manifest().items() if name != key}


MALFORMED = {
    "commit leads out": manifest(commit="../../../../etc/cron.d"),
    "commit is absolute": manifest(commit="/etc/cron.d"),
    "commit is a branch": manifest(commit="main"),
    "commit has a line break": manifest(commit=f"{COMMIT}\n"),
    "commit is a number": manifest(commit=5),
    "commit is missing": without("commit"),
    "model is another": manifest(model="org/other"),
    "model is missing": without("model"),
    "name leads out": one(name="../../../../etc/cron.d/evil"),
    "name leads out half-way": one(name="nested/../../../evil"),
    "name is absolute": one(name="/etc/cron.d/evil"),
    "name is a dot": one(name="."),
    "name is empty": one(name=""),
    "name has an empty part": one(name="nested//evil"),
    "name has a null": one(name="evil\0"),
    "name has a line break": one(name="evil\n"),
    "name is no text": one(name="\ud800"),
    "name is too long": one(name="x" * 256),
    "name is a list": one(name=["evil"]),
    "name twice": one(name="config.json"),
    "name below another": one(name="config.json/evil"),
    "blob leads out": one(blob="../../../etc/cron.d/evil"),
    "blob is absolute": one(blob="/etc/cron.d/evil"),
    "blob is a word": one(blob="evil"),
    "blob of another content": one(blob="0" * 64),
    "one blob with two contents": one(blob=CONFIG_BLOB),
    "sha256 is none": one(sha256="evil"),
    "sha256 is missing": {**manifest(), "files": [{"name": "a", "blob": SHA256, "size": 1}]},
    "size is negative": one(size=-1),
    "size is a fraction": one(size=1.5),
    "size is true": one(size=True),
    "size is text": one(size="3000000"),
    "size is beyond any disk": one(size=2**60),
    "no files": manifest(files=[]),
    "files are an object": manifest(files={"a": 1}),
    "files are text": manifest(files=["evil"]),
    "too many files": manifest(files=[HONEST["files"][0]] * 20_001),
    "a list": [1],
    "no JSON": b"<html>",
    "nested without end": b"[" * 200_000,
    "nothing": b"",
}


@pytest.mark.parametrize("lie", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_signed_and_not_of_the_form_is_refused(lie: Any, place: Path) -> None:
    with Seed(lie) as seed, pytest.raises(FleetError, match=r"127\.0\.0\.1 shares what is none of a hub's cache: "):
        take(seed, place)
    assert seed.paths == ["/manifest"]
    assert tree(place) == {}


def _other_nonce(nonce: str, body: bytes) -> str:
    return share.signature(TOKEN, "manifest", "an earlier copy's", body)


UNSIGNED: dict[str, dict[str, Any]] = {
    "another word": {"token": "another"},
    "no signature": {"sign": lambda nonce, body: ""},
    "a signature that is no text": {"sign": lambda nonce, body: "\xe9" * 64},
    "a replayed manifest": {"sign": _other_nonce},
    "the asker's own signature": {"sign": lambda nonce, body: share.signature(TOKEN, "ask", nonce, body)},
    "altered on the way": {"altered": lambda body: body.replace(COMMIT.encode(), b"6" * 40)},
    "longer on the way": {"altered": lambda body: body + b" "},
    "cut on the way": {"altered": lambda body: body[:-20]},
    "without end": {"altered": lambda body: body + b" " * (17 * 2**20)},
}


@pytest.mark.parametrize("lie", UNSIGNED.values(), ids=UNSIGNED.keys())
def test_what_is_not_signed_for_this_question_is_refused(lie: dict[str, Any], place: Path) -> None:
    with Seed(**lie) as seed, pytest.raises(FleetError, match="did not sign what it shares with this run's word"):
        take(seed, place)
    assert seed.paths == ["/manifest"]
    assert tree(place) == {}


def test_the_word_does_not_travel(place: Path) -> None:
    heard: list[str] = []

    class Listener(Seed):
        def answer(self, request: BaseHTTPRequestHandler) -> None:
            heard.append(f"{request.requestline}\n{request.headers}")
            super().answer(request)

    with Listener() as seed:
        assert take(seed, place) == {"files": 2, "bytes": len(CONFIG) + len(SHARD)}
    assert len(heard) == 3
    assert TOKEN not in "".join(heard)
    assert cache.cached(str(place), WEIGHTS) == COMMIT


CONTENTS = {
    "another content": (SHARD[:-1] + bytes([SHARD[-1] ^ 1]), "a damaged file"),
    "another small file": (b"x" * len(CONFIG), "a damaged file"),
    "too short": (SHARD[:-1], "closed the connection"),
    "empty": (b"", "closed the connection"),
}


@pytest.mark.parametrize(("content", "told"), CONTENTS.values(), ids=CONTENTS.keys())
def test_a_content_that_is_not_what_its_hash_says_does_not_stay(content: bytes, told: str, place: Path) -> None:
    lied = (
        {CONFIG_BLOB: CONFIG, SHA256: content} if len(content) != len(CONFIG) else {CONFIG_BLOB: content, SHA256: SHARD}
    )
    with Seed(contents=lied) as seed, pytest.raises(FleetError, match=told):
        take(seed, place)
    assert cache.in_any_form(str(place), WEIGHTS) is None
    assert not (place / "hub/models--org--tiny/snapshots").exists()
    for path in (place / "hub/models--org--tiny/blobs").iterdir():
        assert path.suffix == ".seed" or hashlib.sha256(path.read_bytes()).hexdigest() in (
            file["sha256"] for file in HONEST["files"]
        )


def test_more_than_was_announced_is_not_taken(place: Path) -> None:
    with Seed(contents={CONFIG_BLOB: CONFIG, SHA256: SHARD + b"x" * 10_000_000}) as seed:
        take(seed, place)
    assert (place / f"hub/models--org--tiny/blobs/{SHA256}").read_bytes() == SHARD


def test_a_connection_that_breaks_is_taken_up_where_it_was(place: Path) -> None:
    with Seed(cut_after=1_000_000) as seed:
        take(seed, place)
    assert seed.served == len(CONFIG) + len(SHARD)
    assert cache.cached(str(place), WEIGHTS) == COMMIT


def test_a_connection_that_breaks_again_and_again_fails_and_the_next_run_goes_on(place: Path) -> None:
    with Seed(cut_after=100_000) as seed, pytest.raises(FleetError, match="What came is kept: run again"):
        take(seed, place)
    came = seed.served
    assert cache.cached(str(place), WEIGHTS) is None
    with Seed() as seed:
        take(seed, place)
    assert came + seed.served <= len(CONFIG) + len(SHARD) + len(CONFIG)
    assert cache.cached(str(place), WEIGHTS) == COMMIT


def test_a_half_file_that_somebody_spoiled_is_taken_from_the_beginning(place: Path) -> None:
    half = place / f"hub/models--org--tiny/blobs/{SHA256}.seed"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"spoiled" + SHARD[7:2_000_000])
    with Seed() as seed:
        take(seed, place)
    assert (half.parent / SHA256).read_bytes() == SHARD
    assert not half.exists()


def test_a_seed_that_starts_over_where_the_rest_was_asked_for_is_refused(place: Path) -> None:
    half = place / f"hub/models--org--tiny/blobs/{SHA256}.seed"
    half.parent.mkdir(parents=True)
    half.write_bytes(SHARD[:1_000_000])
    with Seed(from_the_beginning=True) as seed, pytest.raises(FleetError, match="answered 200"):
        take(seed, place)
    assert not (half.parent / SHA256).exists()


@pytest.mark.parametrize(
    "link",
    [
        "hub/models--org--tiny",
        "hub/models--org--tiny/blobs",
        "hub/models--org--tiny/snapshots",
        f"hub/models--org--tiny/snapshots/{COMMIT}",
        f"hub/models--org--tiny/snapshots/{COMMIT}/nested",
        "hub/models--org--tiny/refs",
    ],
)
def test_a_link_in_the_cache_that_leads_out_is_not_followed(link: str, place: Path, tmp_path: Path) -> None:
    (place / link).parent.mkdir(parents=True, exist_ok=True)
    (place / link).symlink_to(tmp_path / "etc/cron.d")
    with Seed(one(name="nested/model.safetensors")) as seed, pytest.raises(FleetError, match="found a link or a file"):
        take(seed, place)


@pytest.mark.parametrize(
    "link",
    [
        f"hub/models--org--tiny/blobs/{SHA256}",
        f"hub/models--org--tiny/blobs/{SHA256}.seed",
        f"hub/models--org--tiny/snapshots/{COMMIT}/model.safetensors",
        "hub/models--org--tiny/refs/main",
    ],
)
def test_a_link_in_the_place_of_a_file_is_replaced(link: str, place: Path, tmp_path: Path) -> None:
    (place / link).parent.mkdir(parents=True, exist_ok=True)
    (place / link).symlink_to(tmp_path / "etc/cron.d/theirs")
    with Seed() as seed:
        take(seed, place)
    assert cache.cached(str(place), WEIGHTS) == COMMIT


@pytest.mark.parametrize(
    "revision", ["../../../etc/cron.d/theirs", "a/../../../../etc/cron.d/theirs", "/etc/x", "..", ""]
)
def test_a_revision_that_leads_out_is_none(revision: str, place: Path) -> None:
    assert not is_revision(revision)
    if revision:
        with Seed() as seed, pytest.raises(FleetError, match="inside"):
            take(seed, place, Weights("org/tiny", revision))


def test_the_commit_that_was_asked_for_is_the_one_that_comes(place: Path) -> None:
    with Seed() as seed, pytest.raises(FleetError, match=f"commit {COMMIT}, wanted {'6' * 40}"):
        take(seed, place, Weights("org/tiny", "6" * 40))
    assert tree(place) == {}


def test_no_room_is_told_before_anything_is_taken(place: Path) -> None:
    with Seed(one(size=2**42)) as seed, pytest.raises(FleetError, match=r"wanted 4096\.0 GiB .* GiB free"):
        take(seed, place)
    assert seed.paths == ["/manifest"]
