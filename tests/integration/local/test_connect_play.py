# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""connect.yml as it is typed, and then the real Claude Code with the settings that it wrote, a tool loop included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from ansible_collections.inference.fleet.tests.unit.plugins.module_utils.endpoint import conftest as fakes

ROOT = Path(__file__).resolve().parents[3]
# tests/rigs/coding_clients/build brings it.
CLAUDE = ROOT / ".build/npm/claude-code/node_modules/.bin/claude"
KEY = "a-secret-4711"
simulator = fakes.simulator


def connect(home, url, *arguments, connection=("-c", "local"), **variables):
    environment = {
        **os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "HOME": str(home),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
    }  # fmt: skip
    given = {
        "ansible_python_interpreter": sys.executable, "coding_client_served_model_name": fakes.MODEL,
        "coding_client_url": url, "coding_client_api_key": KEY, "fleet_dir": str(home), "fleet_hosts": "here",
        **variables,
    }  # fmt: skip
    command = [sys.executable, "-m", "ansible", "playbook", "inference.fleet.connect", "-i", "here,", *connection]
    command += ["-e", json.dumps(given), *arguments]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)


def test_claude_code_reads_a_file_by_way_of_the_endpoint(simulator, tmp_path):
    (tmp_path / "api_key").write_text(KEY)
    url = simulator("--api-key-file", str(tmp_path / "api_key"), "--max-model-len", "65536")
    home = tmp_path / "home"
    (home / ".claude").mkdir(parents=True)
    (home / ".claude/settings.json").write_text('{"includeCoAuthoredBy": false}')
    done = connect(home, url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "65536 tokens, 16384 of an answer" in done.stdout
    assert '"msg": "claude"' in done.stdout or "msg: claude" in done.stdout
    assert KEY not in done.stdout + done.stderr
    if CLAUDE.exists():
        (home / "note.txt").write_text("the colour is teal-4711\n")
        told = use_claude(home, f"Read {json.dumps({'file_path': str(home / 'note.txt')})} and tell me what it says.")
        assert told["is_error"] is False
        assert told["num_turns"] == 2
        assert "the colour is teal-4711" in told["result"]
        (used,) = told["modelUsage"].values()
        assert used["contextWindow"] == 65536
    done = connect(home, url, coding_client_state="absent")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (home / ".claude/settings.json").read_text() == '{"includeCoAuthoredBy": false}'
    if not CLAUDE.exists():
        pytest.skip(
            f"no Claude Code in {CLAUDE.parents[2]}: tests/rigs/coding_clients/build brings it; all else was tested"
        )


def use_claude(home, prompt):
    """Run Claude Code as a user of that home does, with nothing in its environment that the settings should say."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "DISABLE_AUTOUPDATER": "1"}
    command = [str(CLAUDE), "-p", prompt, "--output-format", "json", "--max-turns", "5"]
    done = subprocess.run(
        command,
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout[done.stdout.index("{") :])


def test_several_hosts_are_refused(tmp_path):
    done = connect(tmp_path, "http://127.0.0.1:9", "-i", "another,", fleet_hosts="all")
    assert done.returncode == 2
    assert "A client uses one endpoint, and the play has 2 hosts (here, another): name one with -l." in " ".join(
        (done.stdout + done.stderr).split()
    )


def test_a_tunnel_leads_to_an_endpoint_that_only_its_host_reaches(simulator, ssh_host, free_port, tmp_path):
    (tmp_path / "api_key").write_text(KEY)
    url = simulator("--api-key-file", str(tmp_path / "api_key"), "--max-model-len", "65536")
    tunnel = f"http://127.0.0.1:{free_port}"
    host = {**ssh_host.variables, "engine_port": int(url.rsplit(":", 1)[1]), "coding_client_local_port": free_port}
    asked = {"headers": {"Authorization": f"Bearer {KEY}"}, "timeout": 30}
    try:
        # The second run, and the one after a connection that was lost, find or bring the same.
        for _run in range(2):
            done = connect(tmp_path, "", connection=(), **host)
            assert done.returncode == 0, done.stdout + done.stderr
            assert requests.get(f"{tunnel}/v1/models", **asked).json()["data"][0]["id"] == fakes.MODEL
        assert "changed=0" in done.stdout
        settings = json.loads((tmp_path / ".claude/settings.json").read_text())
        assert settings["env"]["ANTHROPIC_BASE_URL"] == tunnel
        ssh_host.drop()
        done = connect(tmp_path, "", connection=(), **host)
        assert done.returncode == 0, done.stdout + done.stderr
        assert requests.get(f"{tunnel}/health", timeout=60).status_code == 200
    finally:
        done = connect(tmp_path, "", connection=(), coding_client_state="absent", **host)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{tunnel}/health", timeout=60)
    assert not (tmp_path / ".claude/settings.json").exists()


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client")
def test_a_tunnel_that_does_not_open_is_told_with_what_ssh_said(tmp_path):
    done = connect(
        tmp_path,
        "",
        coding_client_tunnel="always",
        ansible_host="127.0.0.1",
        ansible_port=9,
        coding_client_local_port=18099,
    )
    told = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2
    assert "No SSH tunnel to 127.0.0.1 could be opened on 127.0.0.1:18099" in told
    assert "Connection refused" in told
    assert not (tmp_path / ".claude").exists()
