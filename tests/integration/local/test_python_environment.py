# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of a benchmark, on a host that measures for several; its python3 installs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PLAY = {
    "hosts": "all",
    "gather_facts": False,
    "tasks": [
        {
            "name": "Have it",
            "ansible.builtin.include_role": {
                "name": "inference.fleet.host",
                "tasks_from": "python_environment.yml",
                "apply": {"delegate_to": "localhost"},
            },
            "vars": {
                "_environment": {
                    "title": "A benchmark",
                    "place": "{{ playbook_dir }}/venv",
                    "requirements": ["a==1"],
                    "shared": True,
                    "otherwise": "Give it a mirror.",
                }
            },
        }
    ],
}
# What makes an environment says so, and takes its time; what installs into it does as the file says.
PYTHON = """#!/bin/bash
case "$*" in
  "-m venv"*)
    echo made >>"$MADE"
    sleep 1
    mkdir -p "${@: -1}/bin"
    cp "$INSTALLER" "${@: -1}/bin/python"
    cp "$INSTALLER" "${@: -1}/bin/uv" ;;
esac
"""


def play(folder: Path, installer: str) -> subprocess.CompletedProcess[str]:
    (folder / "play.json").write_text(json.dumps([PLAY]))
    (folder / "bin").mkdir()
    for path, text in ((folder / "bin/python3", PYTHON), (folder / "installer", f"#!/bin/bash\n{installer}\n")):
        path.write_text(text)
        path.chmod(0o755)
    environment = {
        **os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build/collections"), "MADE": str(folder / "made"),
        "INSTALLER": str(folder / "installer"), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
    }  # fmt: skip
    command = [sys.executable, "-m", "ansible", "playbook", "play.json", "-i", "a,b,c,", "-c", "local"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_hosts_that_share_one_make_it_once(tmp_path: Path) -> None:
    done = play(tmp_path, "exit 0")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "made").read_text() == "made\n"
    assert done.stdout.count("changed: [") == 1


def test_what_it_means_that_it_cannot_be_installed_comes_first(tmp_path: Path) -> None:
    # There is a uv, and then nothing else.
    done = play(tmp_path, 'case "$*" in *uv) ;; *) echo Looking; echo error: no such a >&2; exit 1 ;; esac')
    assert done.returncode == 2
    assert (
        "stderr: |- A benchmark could not be installed: no Python package index that this host reaches has all of a==1."
        " Give it a mirror. error: no such a error: no such a stderr_lines"
    ) in " ".join(done.stdout.split())
