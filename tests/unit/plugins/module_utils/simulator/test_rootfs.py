# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image's root file system."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils import errors
from ansible_collections.inference.fleet.plugins.module_utils.simulator import rootfs

CHROOT = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin")
PACKAGES = "ansible_collections/inference/fleet/plugins/module_utils"


@pytest.fixture(scope="module")
def archive() -> bytes:
    stream = io.BytesIO()
    rootfs.write_rootfs(stream)
    return stream.getvalue()


@pytest.fixture(scope="module")
def members(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {member.name: member for member in opened.getmembers()}


def test_the_same_content_gives_the_same_bytes(archive):
    again = io.BytesIO()
    rootfs.write_rootfs(again)
    assert again.getvalue() == archive


def test_the_python_that_runs_this_tells_itself_what_it_would_tell_if_it_was_started(monkeypatch):
    monkeypatch.setattr(rootfs, "_SYSTEM_PYTHON", sys.executable)
    ask = rootfs._interpreter.__wrapped__
    with monkeypatch.context() as patched:
        patched.setattr(rootfs.subprocess, "run", None)
        told = ask()
    monkeypatch.setattr(rootfs, "_is_this", lambda path: False)
    assert told == ask()


def test_it_is_small(archive):
    assert len(archive) < 60_000_000


def test_each_member_is_there_once_after_its_folder(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        seen = set()
        for member in opened:
            assert member.name not in seen
            assert member.name.rpartition("/")[0] in {"", *seen}
            assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
            seen.add(member.name)


def test_links_lead_to_members(members):
    for member in members.values():
        if member.issym():
            folder = Path("/", member.name).parent
            # The host has the same links, so the target's real path there is the one in the archive.
            assert str((folder / member.linkname).resolve())[1:] in members, member.name


def test_no_member_lies_behind_a_link(members):
    links = {name for name, member in members.items() if member.issym()}
    for name in members:
        assert not links.intersection(str(parent) for parent in Path(name).parents)


def test_what_is_left_out(members):
    assert not [name for name in members if "__pycache__" in name or "-packages" in name or "/test/" in name]


@pytest.mark.skipif(os.geteuid() != 0 or not CHROOT, reason="needs root and chroot")
def test_it_runs(archive, tmp_path):
    subprocess.run(["tar", "--extract", "--directory", tmp_path], input=archive, check=True)
    command = [CHROOT, str(tmp_path), *rootfs.entrypoint()]
    found = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False, env={})
    assert (found.stdout.strip(), found.stderr, found.returncode) == ("0.1.0", "", 0)
    # What the library lacks, it lacks in the image only: each extension module must find its libraries.
    names = "ssl, hashlib, ctypes, sqlite3, lzma, bz2, zlib, decimal, uuid, curses, readline"
    python = [*command[:-1], "-c", f"import {names}"]
    assert subprocess.run(python, capture_output=True, check=False, env={}).stderr == b""


def test_a_bad_command_line_ends_with_a_sentence(image_files):
    command = [sys.executable, "-B", str(image_files), "--model", "m", "--served-model-name", "s", "--figures"]
    for figures in ("{", "[]", "{}"):
        found = subprocess.run([*command, figures], capture_output=True, text=True, check=False)
        assert found.returncode == 2
        assert "--figures" in found.stderr
        assert "Traceback" not in found.stderr


def module_utils_as_zip(path: Path) -> Path:
    """Pack the package and what it imports as Ansible packs a module's utilities."""
    source = Path(rootfs.__file__).parent
    with zipfile.ZipFile(path, "w") as packed:
        parts = PACKAGES.split("/")
        for depth in range(1, len(parts) + 1):
            packed.writestr("/".join([*parts[:depth], "__init__.py"]), "")
        packed.write(errors.__file__, f"{PACKAGES}/errors.py")
        for package in ("simulator", "endpoint"):
            for file in (source.parent / package).glob("*.py"):
                packed.write(file, f"{PACKAGES}/{package}/{file.name}")
    return path


def test_from_a_zip_the_same_image_is_made(tmp_path):
    module = PACKAGES.replace("/", ".") + ".simulator.rootfs"
    program = f"from {module} import __file__, tag, entrypoint; print(__file__, tag(), *entrypoint(), sep='\\n')"
    packed = module_utils_as_zip(tmp_path / "payload.zip")
    found = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(packed)!r}); {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    file, *rest = found.stdout.splitlines()
    assert file.startswith(str(packed))
    assert rest == [rootfs.tag(), *rootfs.entrypoint()]


def test_the_tag_follows_the_sources(monkeypatch):
    before = rootfs.tag()
    changed = {**rootfs.sources(), "inference_fleet/simulator/server.py": b"# other"}
    monkeypatch.setattr(rootfs, "sources", lambda: changed)
    rootfs.tag.cache_clear()
    try:
        assert rootfs.tag() != before
    finally:
        monkeypatch.undo()
        rootfs.tag.cache_clear()
    assert rootfs.tag() == before
    assert len(before) == 12


def test_without_a_python_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(rootfs, "_SYSTEM_PYTHON", "/nowhere/python3")
    monkeypatch.setattr(sys, "executable", "")
    rootfs._interpreter.cache_clear()
    try:
        with pytest.raises(errors.FleetError, match="Install python3"):
            rootfs.entrypoint()
    finally:
        monkeypatch.undo()
        rootfs._interpreter.cache_clear()
