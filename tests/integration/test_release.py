# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release, made in a clone: stamped and built, or nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# The same archive tools as the tests of the archive use.
pytestmark = pytest.mark.xdist_group("collection")


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "GIT_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    # What is committed: a release is made of nothing else.
    done = run(tmp_path, "git", "clone", "-q", str(ROOT), "clone")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "clone"
    for fragment in (folder / "changelogs/fragments").iterdir():
        fragment.unlink()
    fragment.with_name("own.yml").write_text("---\nmajor_changes:\n  - engine - is there.\n")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    run(folder, "git", "add", "-A")
    done = run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "a change")
    assert done.returncode == 0, done.stderr


def test_a_release_is_stamped_built_and_read(clone: Path) -> None:
    done = run(clone, "scripts/release", "0.1.0")

    assert done.returncode == 0, done.stdout + done.stderr
    changelog = (clone / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "v0.1.0" in changelog.replace("\\", "")
    assert "0.1.0" in yaml.safe_load((clone / "changelogs/changelog.yaml").read_text())["releases"]
    assert list((clone / "changelogs/fragments").glob("*.yml")) == []
    with tarfile.open(clone / ".build/release/inference-fleet-0.1.0.tar.gz") as archive:
        assert {"CHANGELOG.md", "SECURITY.md"} <= set(archive.getnames())


def test_a_release_that_cannot_be_leaves_nothing(clone: Path) -> None:
    playbook = clone / "playbooks/verify.yml"
    playbook.write_text(playbook.read_text().replace("roles:", "roels:"))
    commit(clone)

    done = run(clone, "scripts/release", "0.1.0")

    assert done.returncode != 0
    assert "nothing is stamped" in done.stderr
    assert run(clone, "git", "status", "--porcelain").stdout == ""


def test_a_first_release_mends_nothing(clone: Path) -> None:
    (clone / "changelogs/fragments/mended.yml").write_text("---\nbugfixes:\n  - engine - was not there.\n")
    commit(clone)

    done = run(clone, "scripts/release", "0.1.0")

    assert done.returncode == 1
    assert "no release yet" in done.stderr
    assert "fragments/mended.yml" in done.stderr


@pytest.mark.parametrize(("arguments", "said"), [((), "wanted VERSION"), (("1.2",), "found '1.2'")])
def test_a_version_is_wanted(clone: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run(clone, "scripts/release", *arguments)

    assert done.returncode == 1
    assert said in done.stderr
