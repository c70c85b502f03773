# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks and hosts that serve one model together: the head is asked, and of the others nothing is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.endpoint import conftest as endpoint

serve = endpoint.serve

ROOT = Path(__file__).resolve().parents[3]
GROUP = {"engine_group": "{{ groups['pair'] }}"}
SAID = "tail has no endpoint of its own: it serves with head (engine_group), which answers for the group."


def ansible(tmp_path: Path, playbook: str, *arguments: str, **variables: Any) -> tuple[int, str]:
    """Run a playbook on the two; return its exit status, and its output in one line."""
    hosts = {name: {"ansible_connection": "local"} for name in ("head", "tail")}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"pair": {"hosts": hosts, "vars": GROUP}}))
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"), "HOME": str(tmp_path)}
    given = {"ansible_python_interpreter": sys.executable, "fleet_dir": str(tmp_path), **variables}
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", playbook, "-i", "hosts.yml", "-e", json.dumps(given), *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def role(name: str) -> dict[str, Any]:
    return {"ansible.builtin.include_role": {"name": f"inference.fleet.{name}"}}


def test_the_head_is_asked_alone(serve: Any, tmp_path: Path) -> None:
    asked = serve()
    for_tail = {"when": "inventory_hostname == 'tail'"}
    tasks = [role("verify"), {**role("benchmark"), **for_tail}, {**role("evaluation"), **for_tail}]
    (tmp_path / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "pair", "gather_facts": False, "tasks": tasks}, {
            "hosts": "pair", "gather_facts": False, "tasks": [role("compare")],
        }])
    )  # fmt: skip
    status, said = ansible(tmp_path, "play.yml", verify_url=asked.url, verify_served_model_name=endpoint.MODEL)
    # The comparison is refused, on both.
    assert status == 2
    assert said.count(SAID) == 3, said
    assert said.count("head: nothing was touched. It serves a model together with other hosts (head, tail)") >= 1
    assert said.count("tail: nothing was touched. It serves a model together with other hosts (head, tail)") >= 1
    assert said.count("ok health") == 1
    assert "undefined" not in said


def test_each_host_counts(tmp_path: Path) -> None:
    if not Path("/var/run/docker.sock").is_socket():
        pytest.skip("no Docker Engine")
    that = ["benchmark_members | length == 1", "member.host == 'tail'", "member.price_per_hour == 1.5"]
    that += ["member.hardware.cpu_count > 0", "member.engine == {}"]
    tasks = [
        role("benchmark"),
        {"ansible.builtin.assert": {"that": that}, "vars": {"member": "{{ benchmark_members[0] }}"}},
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "head", "gather_facts": False, "tasks": tasks}]))
    # Of a name that no engine of this machine has.
    given = {"engine_container_name": f"nobody-{tmp_path.name}", "engine_port": 9}
    status, said = ansible(tmp_path, "play.yml", "--check", benchmark_prices_per_hour={"cpu": 1.5}, **given)
    assert status == 0, said


def test_a_client_uses_the_head(serve: Any, tmp_path: Path) -> None:
    to = {"coding_client_url": serve().url, "coding_client_served_model_name": endpoint.MODEL, "fleet_hosts": "pair"}
    to |= {
        "coding_client_context_window": 4096,
        "coding_client_output_limit": 1024,
        "coding_client_home": str(tmp_path),
    }
    status, said = ansible(tmp_path, "inference.fleet.connect", **to)
    assert status == 0, said
    assert said.count("4096 tokens, 1024 of an answer") == 1, said
    status, said = ansible(tmp_path, "inference.fleet.connect", "-l", "tail", **to)
    assert status == 2
    assert "which answers for the group: -l head." in said


def test_what_a_look_found_wrong_fails_the_deployment(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "pair", "gather_facts": False, "tasks": [role("engine")]}])
    )
    status, said = ansible(tmp_path, "play.yml", engine_name="simulator", engine_group_address="127.0.0.1")
    assert status == 2, said
    assert "The engine of the group head, tail was not deployed. head: engine_group: the address of head" in said
    assert "No engine was touched." in said
