# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installation of what downloads: the real pip and the real apt-get, with the user's proxy, index and patience."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.weights import told, tool


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server that has nothing, and what it was asked for: an index and a proxy in one."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_pip_asks_the_index_and_the_proxy_that_the_user_set(
    listener: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked = listener
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    set_by_user = {
        "PIP_INDEX_URL": "http://user:planted@index.invalid/simple",
        "PIP_TRUSTED_HOST": "index.invalid",
        "PIP_RETRIES": "0",
        "HTTP_PROXY": url,
    }
    with pytest.raises(tool.ToolError, match="HTTPS_PROXY, PIP_INDEX_URL") as raised:
        tool.python(tmp_path / "venv", set_by_user, lambda text: None)
    assert asked == ["http://index.invalid/simple/huggingface-hub/"]
    assert "planted" not in str(raised.value)


@pytest.fixture
def apt_place(tmp_path: Path) -> dict[str, str]:
    """Directories of its own for the machine's apt-get."""
    if not shutil.which("apt-get"):
        pytest.skip("needs apt-get")
    for name in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg", "etc/apt"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").touch()
    configuration = tmp_path / "apt.conf"
    configuration.write_text(f'Dir "{tmp_path}";\nDir::State::status "{tmp_path}/var/lib/dpkg/status";\n')
    return {**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C.UTF-8"}


@pytest.mark.parametrize("command", ["update", "install"])
def test_apt_s_lock_is_waited_for_and_told_of(
    command: str, apt_place: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"update": "var/lib/apt/lists/lock", "install": "var/lib/dpkg/lock-frontend"}[command]
    monkeypatch.setattr(told, "EVERY", 0.1)
    said: list[str] = []
    with (tmp_path / place).open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)

        def say(text: str) -> None:
            said.append(text)
            if len(said) == 2:
                # apt-get asks again, and has it.
                release.set()

        # A lock of this process is no lock to its own threads; to apt-get it is.
        release = threading.Event()
        threading.Thread(target=lambda: (release.wait(), fcntl.lockf(lock, fcntl.LOCK_UN)), daemon=True).start()
        tool.apt(["apt-get", command, "-qq"], "try", apt_place, say)
    assert len(said) >= 2
    assert all(text.startswith("waiting for another program that installs packages (for ") for text in said)


def test_a_lock_that_is_never_given_back_is_told_with_who_to_ask(
    apt_place: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "APT_LOCK_TIMEOUT", 0.5)
    with (tmp_path / "var/lib/apt/lists/lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        with pytest.raises(tool.ToolError, match=r"Could not get lock .* fuser -v /var/lib/dpkg/lock-frontend"):
            tool.apt(["apt-get", "update", "-qq"], "read the lists", apt_place, lambda text: None)


def test_what_is_no_lock_is_not_waited_for(apt_place: dict[str, str]) -> None:
    with pytest.raises(tool.ToolError, match="Could not try: E: Unable to locate package no-such-package"):
        tool.apt(["apt-get", "install", "-qq", "-y", "no-such-package"], "try", apt_place, pytest.fail)


def test_apt_and_pip_get_the_proxies_in_both_spellings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://inherited:1")
    monkeypatch.delenv("http_proxy", raising=False)
    found = tool._environment({"HTTP_PROXY": "http://given:2", "no_proxy": "localhost", "VLLM_X": "1"})
    for name, value in (("http", "http://given:2"), ("https", "http://inherited:1"), ("no", "localhost")):
        assert found[f"{name}_proxy"] == found[f"{name}_proxy".upper()] == value
    assert "VLLM_X" not in found


def test_what_takes_long_says_that_it_is_at_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tool, "TELL_EVERY", 0.05)
    monkeypatch.setattr(told, "EVERY", 0.05)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 3:
            (tmp_path / "end").touch()

    tool._run(["sh", "-c", f"while [ ! -e {tmp_path}/end ]; do sleep 0.05; done"], "wait", {}, say)
    assert len(said) >= 3
    assert said[0].startswith("still at it: wait (for ")
    monkeypatch.setattr(tool, "_RUN_TIMEOUT", 0.1)
    with pytest.raises(tool.ToolError, match=r"Could not wait: it took longer than 0\.1 s"):
        tool._run(["sleep", "60"], "wait", {}, lambda text: None)
