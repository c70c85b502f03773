# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""teardown.yml on a host that serves models with others: the head's part first, and what is left elsewhere is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import NAME, ROOT, empty, make_image
from docker_engine import DockerEngine

from ansible_collections.inference.fleet.plugins.module_utils.containers import slots
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import LABEL


def teardown(tmp_path: Path, engine: DockerEngine, *arguments: str, **variables: Any) -> str:
    """Run the playbook on two hosts that have one Docker Engine; return what it printed, in one line."""
    base = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "engine_name": "simulator",
        "engine_docker_host": engine.url,
        **variables,
    }
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": {"one": {}, "two": {}}, "vars": base}}))
    done = subprocess.run(
        ["ansible-playbook", "-i", "inventory.json", str(ROOT / "playbooks/teardown.yml"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return " ".join(done.stdout.split())


def test_the_head_goes_first_and_what_is_left_is_said(
    docker_engine: DockerEngine, archive: Path, tmp_path: Path
) -> None:
    empty(docker_engine)
    image = make_image(docker_engine, archive, "inference-fleet-test-teardown")
    for name, rank in (("follows", 1), ("heads", 0), ("alone", None)):
        group = {} if rank is None else {"inference.fleet.group": json.dumps({"rank": rank, "names": ["one", "two"]})}
        labels = {LABEL: "simulator", slots.LABEL_SLOT: f"{NAME}-{name}", **group}
        docker_engine.client.containers.create(image, name=f"{NAME}-{name}", labels=labels)
    try:
        # What is there is known by what runs, whatever the inventory says.
        said = teardown(tmp_path, docker_engine, "-l", "one", "-e", "teardown_all=true")
        assert docker_engine.client.containers.list(all=True) == []
        head, _title, follower = said.partition("Remove what the host has of engines whose head is another")
        assert "changed: [one]" in head.partition("Remove every engine of the host")[2]
        assert "changed: [one]" in follower.partition("TASK")[0]
        left = "two still has a part of the engine that was served together with one."
        assert left in said
        assert "'teardown.yml -l two'" in said
        assert left not in teardown(tmp_path, docker_engine, "-e", "teardown_all=true")
    finally:
        empty(docker_engine)
