# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module endpoint_check and its role as Ansible runs them, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from ansible_collections.inference.fleet.plugins.module_utils.endpoint.checks import CHECKS
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.endpoint import conftest as endpoint
from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.endpoint.conftest import (
    MESSAGES,
    MODEL,
    Reply,
)

serve, nowhere = endpoint.serve, endpoint.nowhere

ROOT = Path(__file__).resolve().parents[3]
KEY = "a-secret-4711"


def ansible(program, *arguments, cwd=ROOT):
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / ".build" / "collections")
    command = [sys.executable, "-m", "ansible", program, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def play(tmp_path, tasks_before, *arguments, **variables):
    """Run the role on localhost; return the process, and its output on one line per line."""
    role = {"ansible.builtin.include_role": {"name": "inference.fleet.verify"}}
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [*tasks_before, role], "vars": variables}]
    path = tmp_path / "play.yml"
    path.write_text(yaml.safe_dump(plays))
    interpreter = f"ansible_python_interpreter={sys.executable}"
    return ansible("playbook", str(path), "-i", "localhost,", "-c", "local", "-e", interpreter, *arguments)


def test_ansible_runs_the_module(serve):
    endpoint = serve({MESSAGES: Reply("Not Found", 404)})
    arguments = {"url": endpoint.url, "served_model_name": MODEL, "api_key": KEY, "skip": ["auth"]}
    interpreter = f"ansible_python_interpreter={sys.executable}"
    done = ansible(
        "adhoc", "localhost", "-m", "inference.fleet.endpoint_check", "-a", json.dumps(arguments), "-e", interpreter,
        "-vvv",
    )  # fmt: skip
    assert done.returncode == 2
    assert f"{endpoint.url} failed 1 of 7 checks: messages wanted" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    assert f"Bearer {KEY}" in {headers.get("Authorization") for _unused, headers, _unused in endpoint.seen}


def test_the_role_shows_a_line_for_each_check(serve, tmp_path):
    done = play(tmp_path, [], "-vvv", verify_url=serve().url, verify_served_model_name=MODEL, verify_api_key=KEY,
                verify_skip=["auth"], verify_results_dir=str(tmp_path / "kept"))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    for name in CHECKS:
        wanted = f"{'skipped' if name == 'auth' else 'ok':<9}{name:<20}"
        assert any(line.startswith(wanted) for line in lines), name
    assert KEY not in done.stdout + done.stderr
    xml, document = sorted((tmp_path / "kept").iterdir(), key=lambda path: path.suffix, reverse=True)
    assert (xml.name, document.name) == ("localhost-8000.xml", "localhost-8000.json")
    assert f'tests="{len(CHECKS)}" failures="0"' in xml.read_text()
    assert [check["name"] for check in json.loads(document.read_text())["checks"]] == list(CHECKS)
    assert KEY not in xml.read_text() + document.read_text()


def test_the_role_shows_the_lines_and_then_one_error(serve, tmp_path):
    url = serve({MESSAGES: Reply("Not Found", 404)}).url
    done = play(tmp_path, [], verify_url=url, verify_served_model_name=MODEL)
    output = done.stdout + done.stderr
    assert done.returncode == 2
    assert "FAILED   messages            wanted an answer from POST /v1/messages" in done.stdout
    assert "ok       streamed_tool_call" in done.stdout
    assert output.count("[ERROR]") == 1
    assert f"{url} failed 1 of 7 checks: messages wanted" in output


def test_the_role_in_check_mode_waits_for_the_deploy(nowhere, serve, tmp_path):
    engine = {"ansible.builtin.command": "true", "register": "engine_result", "changed_when": True, "check_mode": False}
    endpoint = serve()
    done = play(tmp_path, [engine], "--check", verify_url=endpoint.url, verify_served_model_name="not deployed yet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{endpoint.url} is not checked" in done.stdout
    assert not endpoint.seen
    done = play(tmp_path, [], "--check", verify_url=nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not run  nothing listens" in done.stdout
