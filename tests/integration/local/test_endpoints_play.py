# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup endpoints as a play asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.inference import fleet

COLLECTION = Path(next(iter(fleet.__path__)))


def test_the_lookup_sees_what_a_task_sees(tmp_path: Path) -> None:
    def write(name: str, *hosts: str) -> dict[str, Any]:
        terms = "".join(f", '{host}'" for host in hosts)
        content = f"{{{{ query('inference.fleet.endpoints'{terms}) | to_json }}}}"
        return {"ansible.builtin.copy": {"content": content, "dest": f"{tmp_path}/{name}", "mode": "0600"}}

    play = {
        "hosts": "gpu1",
        "gather_facts": False,
        "vars": {"engine_served_model_name": "from the play", "base": 9000},
        "connection": "local",
        "tasks": [
            {**write("own"), "vars": {"engine_port": "{{ base + 1 }}"}},
            write("both", "gpu1", "gpu2"),
            {
                **write("delegated"),
                "vars": {"engine_bind_address": "0.0.0.0", "engine_api_key": "of-the-test"},
                "delegate_to": "localhost",
            },
            write("none", "gpu3"),
        ],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "hosts").write_text(
        "gpu1 ansible_host=10.0.0.1\ngpu2 engine_port='{{ 8000 + 7 }}' engine_bind_address=10.0.0.5\n"
    )
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            "hosts",
            "play.yml",
            "-e",
            f"ansible_python_interpreter={sys.executable}",
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
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no host of the inventory is called gpu3" in " ".join((done.stdout + done.stderr).split())
    (own,) = json.loads((tmp_path / "own").read_text())
    assert (own["url"], own["served_model_name"]) == ("http://127.0.0.1:9001", "from the play")
    assert [(found["host"], found["url"]) for found in json.loads((tmp_path / "both").read_text())] == [
        ("gpu1", "http://127.0.0.1:8000"),
        ("gpu2", "http://10.0.0.5:8007"),
    ]
    # From the control host gpu1 is another machine, although what is delegated has a local connection.
    (delegated,) = json.loads((tmp_path / "delegated").read_text())
    assert delegated["external_url"] == "http://10.0.0.1:8000"
