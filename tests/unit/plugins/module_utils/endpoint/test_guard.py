# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard of vLLM's API key, as vLLM gets it: a file of its own beside the key's, called as ASGI, and in a server."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import sys
import tokenize
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.endpoint import guard as source

KEY = "s3cret-4711"
NAME = "inference_fleet_guard"


class Mounted:
    """The directory with the guard and its key as a container has it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = directory / "api_key"
        shutil.copy(source.__file__, directory / f"{NAME}.py")

    def write(self, key: bytes) -> None:
        """Put a key in place as the collection does: whole, under another name first."""
        new = self.directory / "new"
        new.write_bytes(key)
        new.replace(self.key)

    def app(self) -> App:
        """Return an application behind the guard."""
        spec = importlib.util.spec_from_file_location(NAME, self.directory / f"{NAME}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return App(module.Guard)


class App:
    """An application that notes what reaches it, and the guard before it."""

    def __init__(self, guard: Any) -> None:
        self.reached: list[dict[str, Any]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            self.reached.append(scope)

        self._guarded = guard(app)

    def ask(self, path: str = "/v1/models", method: str = "GET", headers: Any = (), **more: Any) -> list[Any]:
        """Send a request; return what the guard itself answers: nothing where it lets the request through."""
        scope = {"type": "http", "method": method, "path": path, "headers": list(headers), **more}
        if scope["type"] != "http":
            del scope["method"]
        before, sent = len(self.reached), []

        async def receive() -> Any:
            raise AssertionError("the guard needs no body")

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self._guarded(scope, receive, send))
        # Either the application or the guard answers.
        assert self.reached[before:] == ([] if sent else [scope])
        return sent

    def lets_in(self, *arguments: Any, **more: Any) -> bool:
        return not self.ask(*arguments, **more)


def bearer(key: str | bytes, scheme: bytes = b"Bearer") -> list[tuple[bytes, bytes]]:
    return [(b"authorization", scheme + b" " + (key if isinstance(key, bytes) else key.encode()))]


def x_api_key(key: str | bytes) -> list[tuple[bytes, bytes]]:
    return [(b"x-api-key", key if isinstance(key, bytes) else key.encode())]


@pytest.fixture
def mounted(tmp_path) -> Mounted:
    return Mounted(tmp_path)


@pytest.fixture
def app(mounted) -> App:
    mounted.write(KEY.encode())
    return mounted.app()


@pytest.mark.parametrize(
    ("name", "more"), [("guard", set()), ("sglang_guard", {"inference_fleet_guard", "requests", "aiohttp"})]
)
def test_it_stands_alone_and_is_no_newer_than_an_image_s_python(name, more):
    tree = ast.parse((Path(source.__file__).parent / f"{name}.py").read_text(), feature_version=(3, 9))
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names | more
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))


# The text of each version, by what it means: comments, docstrings and layout are left out.
MEANING = {
    "guard": (2, "8fc0a3881f7400f8"),
    "sglang_guard": (1, "1482621cb7d5b050"),
}


def meaning(path: Path) -> str:
    """Return a digest of a file's text without comments, docstrings and layout."""
    text = path.read_text()
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        node.body[0].lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, documented) and ast.get_docstring(node)
    }
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    words = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in layout and not (token.type == tokenize.STRING and token.start[0] in docstrings)
    ]
    return hashlib.sha256("".join(words).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", sorted(MEANING))
def test_a_change_of_meaning_has_a_version_of_its_own(name):
    """An engine is started anew for another version, and for nothing else. Look at what the change means for one that
    runs: raise VERSION where it matters to who gets in, and note the new digest here in any case."""
    path = Path(source.__file__).parent / f"{name}.py"
    version = re.search(r"^VERSION = (\d+)$", path.read_text(), re.MULTILINE)
    assert (int(version[1]), meaning(path)) == MEANING[name]


def test_a_comment_has_no_meaning(tmp_path):
    (tmp_path / "one.py").write_text(Path(source.__file__).read_text())
    changed = Path(source.__file__).read_text().replace("class Keys:\n", "class Keys:  # more\n\n", 1)
    (tmp_path / "other.py").write_text(changed.replace("Keys in a file", "What a file has"))
    (tmp_path / "third.py").write_text(changed.replace("!= OPEN_PATH", "== OPEN_PATH"))
    assert meaning(tmp_path / "one.py") == meaning(tmp_path / "other.py") != meaning(tmp_path / "third.py")


# Who comes in


@pytest.mark.parametrize(
    "headers",
    [bearer(KEY), bearer(KEY, b"bearer"), bearer(KEY, b"BEARER"), x_api_key(KEY), bearer("wrong") + x_api_key(KEY),
     bearer(KEY) + x_api_key("wrong")],
)  # fmt: skip
def test_with_the_key(app, headers):
    assert app.lets_in(headers=headers)
    assert app.lets_in("/v1/realtime", type="websocket", headers=headers)


WRONG = [
    [],
    bearer(""),
    bearer("wrong"),
    bearer(KEY[:-1]),
    bearer(f"{KEY}x"),
    bearer(KEY.upper()),
    bearer(KEY, b"Basic"),
    bearer(KEY, b""),
    bearer(KEY, b"Bearer,"),
    bearer(b"\xff\xfe"),
    [(b"authorization", KEY.encode())],
    [(b"authorization", b"Bearer")],
    [(b"authorization", b"Bearer" + KEY.encode())],
    [(b"authorization", b"")],
    x_api_key(""),
    x_api_key("wrong"),
    x_api_key(f"Bearer {KEY}"),
    [(b"cookie", b"x-api-key=" + KEY.encode())],
]


@pytest.mark.parametrize("headers", WRONG)
def test_without_the_key(app, headers):
    head, body = app.ask(headers=headers)
    assert head["status"] == 401
    assert dict(head["headers"]) == {b"content-type": b"application/json", b"www-authenticate": b"Bearer"}
    error = json.loads(body["body"])["error"]
    assert isinstance(error.pop("message"), str)
    assert error == {"type": "AuthenticationError", "param": None, "code": 401}
    assert KEY not in str((head, body))


@pytest.mark.parametrize("headers", WRONG)
@pytest.mark.parametrize("path", ["/v1/realtime", "/nothing"])
def test_a_websocket_without_the_key_is_closed_before_it_is_accepted(app, path, headers):
    (message,) = app.ask(path, type="websocket", headers=headers)
    assert message["type"] == "websocket.close"


def test_what_needs_no_key(app):
    assert app.lets_in("/health")
    assert app.lets_in("/health", "HEAD")
    assert app.lets_in("/api/health", root_path="/api")
    # A browser asks before it sends a key.
    preflight = [(b"origin", b"http://a"), (b"access-control-request-method", b"POST")]
    assert app.lets_in("/v1/chat/completions", "OPTIONS", preflight)


def test_what_is_no_request_passes(app):
    assert app.lets_in(type="lifespan")


@pytest.mark.parametrize(
    ("path", "more"),
    [
        *((path, {}) for path in ("/", "", "/v1/models", "/invocations", "/tokenize", "/metrics", "/ping", "/docs")),
        *((path, {}) for path in ("/health/", "//health", "/health//", "/./health", "/health/.")),
        *((path, {}) for path in ("/HEALTH", "/healthz", "/health ", "/health\x00", "/health;x", "/health?x")),
        *((path, {}) for path in ("/health/../invocations", "/%68ealth", "health", "http://a/health", "\\health")),
        *((path, {}) for path in ("/invocations#/health", "/invocations/health")),
        ("/apihealth", {"root_path": "/api"}),
        ("/api//health", {"root_path": "/api"}),
        ("/api/health/../invocations", {"root_path": "/api"}),
        ("/api/health", {"root_path": ""}),
        ("/health/invocations", {"root_path": "/health"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "options", "get"])
def test_no_other_path_is_open(app, method, path, more):
    assert app.ask(path, method, **more)[0]["status"] == 401
    assert app.lets_in(path, method, bearer(KEY), **more)


# The key's file


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_without_a_key_in_the_file_nothing_starts(mounted, content):
    if content is not None:
        mounted.write(content)
    with pytest.raises((OSError, ValueError)):
        mounted.app()


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"abc\n", b"abc"),
        (b"abc\n\n", b"abc"),
        (b"abc\nxyz", b"abc"),
        (b"abc\nxyz\n", b"xyz"),
        (b" a c ", b" a c "),
        (b'with "quotes": \\', b'with "quotes": \\'),
        ("schlüssel-鍵".encode(), "schlüssel-鍵".encode()),
        (b"\xff\xfe\x00", b"\xff\xfe\x00"),
    ],
)
def test_the_key_is_what_the_file_has_less_one_line_break(mounted, content, key):
    mounted.write(content)
    app = mounted.app()
    assert app.lets_in(headers=x_api_key(key))
    assert not app.lets_in(headers=x_api_key(key + b"x"))
    assert not app.lets_in(headers=x_api_key(key[:-1]))


def test_a_key_that_is_not_ascii_may_come_as_bearer(mounted):
    mounted.write("schlüssel-鍵".encode())
    assert mounted.app().lets_in(headers=bearer("schlüssel-鍵"))


def test_a_new_key_takes_effect_at_once_and_ends_the_old_one(mounted, app):
    for key in ("second-key", "third-key!", "4"):
        old = mounted.key.read_text()
        mounted.write(key.encode())
        assert not app.lets_in(headers=bearer(old))
        assert app.lets_in(headers=bearer(key))


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_key_that_is_written_in_place_takes_effect_too(mounted, app, change):
    inode, then = mounted.key.stat().st_ino, mounted.key.stat().st_mtime_ns
    key = KEY + "x" if change == "size" else KEY[::-1]
    mounted.key.write_text(key)
    os.utime(mounted.key, ns=(then, then) if change == "size" else (then, then + 1))
    assert mounted.key.stat().st_ino == inode
    assert not app.lets_in(headers=bearer(KEY))
    assert app.lets_in(headers=bearer(key))


def test_a_file_that_did_not_change_is_not_read_again(mounted, app, monkeypatch):
    def fail(path: Path) -> bytes:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert app.lets_in(headers=bearer(KEY))


@pytest.mark.parametrize(
    "break_it", [Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_text("\n")]
)
def test_a_file_that_is_broken_leaves_the_last_key_in_force(mounted, app, break_it):
    break_it(mounted.key)
    for _unused in range(2):
        assert app.lets_in(headers=bearer(KEY))
        for headers in WRONG:
            assert not app.lets_in(headers=headers)
    mounted.write(b"mended")
    assert app.lets_in(headers=bearer("mended"))
    assert not app.lets_in(headers=bearer(KEY))


def test_a_directory_in_the_file_s_place_leaves_the_last_key_in_force(mounted, app):
    mounted.key.unlink()
    mounted.key.mkdir()
    assert app.lets_in(headers=bearer(KEY))
    assert not app.lets_in()


# In a real server
