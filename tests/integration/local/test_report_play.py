# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook report and its module as Ansible runs them."""

# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.reports import factory

COLLECTION = Path(next(iter(fleet.__path__)))
PLAYBOOK = COLLECTION / "playbooks" / "report.yml"


def play(tmp_path, *arguments, inventory="gpu1 ansible_host=192.0.2.1\ngpu2 ansible_host=192.0.2.2\n"):
    (tmp_path / "hosts").write_text(inventory)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
    }
    return subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", "hosts", PLAYBOOK, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_playbook_reports_once_and_connects_to_nobody(tmp_path):
    # Nobody answers at the addresses of these hosts.
    simulated = factory.document(
        host="local", simulated=True, num_prompts=64, started=datetime(2026, 11, 24, tzinfo=timezone.utc)
    )
    factory.write(tmp_path / "results", factory.document(), simulated)

    first = play(tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.count("changed=1") == 1
    assert first.stdout.count("SIMULATED local: vLLM on 4\N{MULTIPLICATION SIGN} H100") == 1
    assert f"The report is at {tmp_path}/reports/index.html" in first.stdout
    assert "</html>" in (tmp_path / "reports" / "index.html").read_text()

    again = play(tmp_path, "-l", "gpu2")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "changed=1" not in again.stdout
    assert "gpu1" not in again.stdout.partition("RECAP")[2]

    quiet = play(tmp_path, "-e", '{"report_show": false}', inventory="")
    assert quiet.returncode == 0, quiet.stdout + quiet.stderr
    assert "changed=1" not in quiet.stdout
    assert "SIMULATED" not in quiet.stdout


def test_the_playbook_without_results(tmp_path):
    failed = play(tmp_path)
    assert failed.returncode == 2
    assert "Run the playbook benchmark.yml first" in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr

    checked = play(tmp_path, "--check")
    assert checked.returncode == 0
    assert "Run the playbook benchmark.yml first" in checked.stdout


def test_the_module_defaults_to_the_results_folder(tmp_path):
    factory.write(tmp_path / "results", factory.document())
    playbook = tmp_path / "play.yml"
    task = {"inference.fleet.report": {"results_dir": "results"}, "register": "found"}
    shown = {"ansible.builtin.debug": {"msg": "path={{ found.path }} damaged={{ found.damaged }}"}}
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task, shown]}]))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), playbook],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"path={tmp_path}/results/report.html damaged=[]" in done.stdout
