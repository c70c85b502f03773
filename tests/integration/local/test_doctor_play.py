# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook doctor as Ansible runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.inference import fleet

COLLECTION = Path(next(iter(fleet.__path__)))


def play(tmp_path: Path, hosts: dict[str, Any], ignored: list[str], *options: str) -> tuple[int, str]:
    """Run the playbook on hosts; return its exit code and what it printed."""
    inventory = tmp_path / "inventory.json"
    variables = {"ansible_python_interpreter": sys.executable, "host_ignored_checks": ignored, "ansible_become": False}
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))
    done = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), str(COLLECTION / "playbooks/doctor.yml"), *options],
        env={**os.environ, "ANSIBLE_CONFIG": str(COLLECTION / "ansible.cfg")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_playbook_tells_of_a_host_that_is_there_and_of_one_that_is_not(tmp_path: Path) -> None:
    here = {"ansible_connection": "local"}
    # Nobody has deployed anything of this name.
    group = {"engine_group": ["here", "gone"], "engine_container_name": f"nobody-{tmp_path.name}"}
    names = [item["name"] for item in json.loads(_checks())]
    hosts = {
        "here": here | group,
        "gone": {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"} | group,
    }

    code, output = play(tmp_path, hosts, names)

    assert code != 0
    report = json.loads((tmp_path / "reports/doctor.json").read_text())
    assert {name: (host["ok"], host["reachable"]) for name, host in report["hosts"].items()} == {
        "here": (True, True),
        "gone": (False, False),
    }
    checks = {check["name"]: check for check in report["hosts"]["here"]["checks"]}
    assert checks["engine_group"]["ok"]
    assert (
        checks["engine_group"]["found"].endswith("nothing is known of gone")
        or "here, gone" in checks["engine_group"]["found"]
    )
    table, _title, rest = output.partition("Say what stands in the way of an engine")
    (line,) = [line for line in table.splitlines() if line.startswith("gone ") and " UNREACHABLE " in line]
    assert "refused" in line
    # The host that is well is no failure, and the summary says of the other what Ansible did.
    assert "fatal: [gone]" in rest
    assert "fatal: [here]" not in rest
    summary = json.loads((tmp_path / "reports/summary-doctor.json").read_text())
    assert {host["host"]: host["outcome"] for host in summary["hosts"]} == {"here": "ok", "gone": "unreachable"}

    (tmp_path / "reports/doctor.json").unlink()
    code, output = play(tmp_path, {"here": here}, names, "--check")

    assert (code, (tmp_path / "reports/doctor.json").exists()) == (0, False), output


def _checks() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.inference.fleet.plugins.modules.host_info"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {}}),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(COLLECTION.parents[2])},
    )
    return json.dumps(json.loads(done.stdout)["checks"])
