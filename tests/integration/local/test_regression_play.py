# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook regression as Ansible runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ansible_collections.inference import fleet
from ansible_collections.inference.fleet.tests.unit.plugins.action import test_regressions as unit

chat, results = unit.chat, unit.results

COLLECTION = Path(next(iter(fleet.__path__)))


def play(tmp_path, *arguments):
    (tmp_path / "hosts").write_text(
        "gpu1 ansible_host=192.0.2.1 engine_bind_address=0.0.0.0\ngpu2 ansible_host=192.0.2.2\n"
    )
    return subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            *("-i", "hosts", COLLECTION / "playbooks" / "regression.yml", *arguments),
        ],
        cwd=tmp_path,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_playbook_writes_its_files_tells_the_webhook_and_fails(results, tmp_path, chat):
    variables = {
        "regression_textfile": f"{tmp_path}/fleet.prom",
        "regression_scrape_targets": f"{tmp_path}/targets.json",
        "regression_webhook_url": chat.url,
    }
    # Nobody answers at the addresses of these hosts.
    failed = play(tmp_path, "-vv", "-e", json.dumps(variables))
    said = failed.stdout + failed.stderr
    assert failed.returncode == 2, said
    assert "  REGRESSION gpu7" in said
    assert "1 host became slower (gpu7)" in said
    assert "Traceback" not in said
    assert len(chat.got) == 1
    assert 'metric="output_throughput"} 1' in (tmp_path / "fleet.prom").read_text()
    assert json.loads((tmp_path / "targets.json").read_text()) == [
        {
            "targets": ["192.0.2.1:8000"],
            "labels": {"host": "gpu1", "engine": "vllm", "served_model_name": "qwen3-coder-next", "service": "8000"},
        }
    ]

    (results / "acknowledged.yml").write_text("- {host: gpu7, since: 2026-09-09, reason: power limit}\n")
    passed = play(tmp_path, "-e", json.dumps({"regression_textfile": f"{tmp_path}/fleet.prom"}))
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "changed=1" in passed.stdout
    assert 'metric="output_throughput"} 0' in (tmp_path / "fleet.prom").read_text()
    again = play(tmp_path, "--check", "--diff", "-e", json.dumps({"regression_textfile": f"{tmp_path}/fleet.prom"}))
    assert again.returncode == 0
    assert "changed=1" not in again.stdout
