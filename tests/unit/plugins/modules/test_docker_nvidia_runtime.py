# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, with stubs of nvidia-ctk and dockerd on its PATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COLLECTIONS = Path(__file__).resolve().parents[4] / ".build" / "collections"
NVIDIA = {"args": [], "path": "nvidia-container-runtime"}
# As the real one, but that it forgets what stands there: the module may not.
CTK = f"""#!{sys.executable}
import json, sys
config = next(word.partition("=")[2] for word in sys.argv if word.startswith("--config="))
json.dump({{"runtimes": {{"nvidia": {NVIDIA!r}}}}}, open(config, "w"))
"""
FOREIGN = '{"log-level": "warn",\n "runtimes": {"own": {"path": "runc"}}}\n'


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory that is the module's PATH, with both programs."""
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin" / "nvidia-ctk", CTK)
    program(tmp_path / "bin" / "dockerd", "#!/bin/sh\necho 'unknown flag: --validate' >&2; exit 125\n")
    return tmp_path / "bin"


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def run(programs: Path, path: Path, check: bool = False) -> dict[str, Any]:
    arguments = {"path": str(path), "_ansible_check_mode": check, "_ansible_diff": True}
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.inference.fleet.plugins.modules.docker_nvidia_runtime"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS), "PATH": f"{programs}:{os.environ['PATH']}"},
    )
    return json.loads(done.stdout)


def test_another_s_configuration_stays_and_a_copy_of_it_too(programs: Path, tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text(FOREIGN)
    path.chmod(0o640)

    foretold = run(programs, path, check=True)
    assert (foretold["changed"], path.read_text()) == (True, FOREIGN)
    made = run(programs, path)

    assert foretold["diff"] == made["diff"]
    assert made["added"] == ["runtimes.nvidia"]
    assert json.loads(path.read_text()) == {
        "log-level": "warn",
        "runtimes": {"own": {"path": "runc"}, "nvidia": NVIDIA},
    }
    assert path.stat().st_mode & 0o777 == 0o640
    assert Path(made["backup_file"]).read_text() == FOREIGN
    before = path.stat()
    again = run(programs, path)
    assert (again["changed"], path.stat().st_mtime_ns, path.stat().st_ino) == (False, before.st_mtime_ns, before.st_ino)


def test_a_first_file_is_made_and_a_link_stays_one(programs: Path, tmp_path: Path) -> None:
    link = tmp_path / "daemon.json"
    link.symlink_to(tmp_path / "etc" / "real.json")

    made = run(programs, link)

    assert made["added"] == ["runtimes"]
    assert "backup_file" not in made
    assert link.is_symlink()
    assert json.loads(link.read_text()) == {"runtimes": {"nvidia": NVIDIA}}
    assert (tmp_path / "etc" / "real.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("text", "name", "script", "said"),
    [
        ('{\n "mtu": 1400,\n "debug" true}\n', "", "", "line 3, column 10"),
        (FOREIGN, "nvidia-ctk", "#!/bin/sh\necho 'level=error no such runtime' >&2; exit 1\n", "no such runtime"),
        (FOREIGN, "dockerd", "#!/bin/sh\necho 'directives conflict: log-level' >&2; exit 1\n", "directives conflict"),
    ],
)
def test_what_cannot_be_done_leaves_the_file(
    programs: Path, tmp_path: Path, text: str, name: str, script: str, said: str
) -> None:
    path = tmp_path / "daemon.json"
    path.write_text(text)
    if name:
        program(programs / name, script)

    result = run(programs, path)

    assert result["failed"] is True
    assert said in result["msg"]
    assert "left as it is" in result["msg"]
    assert path.read_text() == text
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith("daemon")] == ["daemon.json"]
