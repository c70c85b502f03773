# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner as a process, as a timer starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.schedules import run

SECRET = "sesame-opens-17"


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the runner for playbooks that are lines of shell."""
    (tmp_path / "environment").write_text(f'A_KEY="{SECRET}"\nINFERENCE_FLEET_WEBHOOK_TOKEN="t"\n', encoding="utf-8")

    def begin(*scripts: str, command: str = "run", **changes: Any) -> subprocess.Popen[str]:
        plan = {
            "schedule": "nightly",
            "limit": "h100",
            "unit": "u.service",
            "directory": str(tmp_path),
            "playbooks": [{"name": f"p{number}", "argv": ["sh", "-c", each]} for number, each in enumerate(scripts, 1)],
            "environment": {"ANSIBLE_NOCOLOR": "1"},
            "secrets": ["A_KEY"],
            "timeout": 30,
            "randomized_delay": 0,
            "on_failure_command": ["sh", "-c", "cat >told.json"],
            **changes,
        }
        (tmp_path / "nightly.json").write_text(json.dumps(plan), encoding="utf-8")
        argv = [sys.executable, "-I", str(run.__file__), command, "nightly", "--cron"]
        argv += ["--config", str(tmp_path), "--state", str(tmp_path)]
        return subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return begin


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    output, _none = process.communicate(timeout=60)
    return process.returncode, output.splitlines()


def test_all_run_in_their_environment_and_the_first_failure_counts(start: Callable, tmp_path: Path) -> None:
    first = 'echo "$A_KEY $ANSIBLE_NOCOLOR ${INFERENCE_FLEET_WEBHOOK_TOKEN-none} $PWD"; exit 2'
    code, lines = finish(start(first, "exit 4", "echo last"))
    assert code == 2
    assert lines[0] == "schedule nightly: p1 on h100"
    assert lines[1] == f"{SECRET} 1 none {tmp_path}"
    assert "schedule nightly: p2 failed with exit code 4" in lines
    assert "last" in lines
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert (told["schedule"], told["exit_status"], told["result"]) == ("nightly", 2, "exit-code")
    assert f"*** 1 none {tmp_path}" in told["journal"]
    assert told["journal"][-1] == "schedule nightly: failed after 0 s"
    assert SECRET not in json.dumps(told)


def test_one_that_went_well_tells_nobody(start: Callable, tmp_path: Path) -> None:
    code, lines = finish(start("true"))
    assert code == 0
    assert lines[-1] == "schedule nightly: done after 0 s"
    assert not (tmp_path / "told.json").exists()
    assert (tmp_path / "nightly.lock").read_text(encoding="utf-8") == ""


def test_a_limit_ends_everything(start: Callable, tmp_path: Path) -> None:
    code, lines = finish(start("sleep 300 & echo $! >child; wait", "echo never", timeout=1))
    assert code == run.TIMED_OUT
    assert lines[-2] == "schedule nightly: not done within 1 s, so p1 was ended"
    assert "never" not in lines
    assert not Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/fd/0").exists()
    assert json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))["result"] == "timeout"


def await_text(path: Path) -> str:
    for _attempt in range(300):
        if path.exists() and path.read_text():
            return path.read_text().strip()
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")


def test_a_second_run_does_nothing_and_tells_nobody(start: Callable, tmp_path: Path) -> None:
    first = start("echo x >began; sleep 300")
    await_text(tmp_path / "began")
    code, lines = finish(start("echo never"))
    assert code == run.OVERLAPS
    assert lines == [
        f"schedule nightly: a run is under way ({(tmp_path / 'nightly.lock').read_text()}), so this one does nothing"
    ]
    first.send_signal(signal.SIGTERM)
    code, lines = finish(first)
    assert code == 143
    assert lines[-1] == "schedule nightly: told to end before it was done"
    assert finish(start("true"))[0] == 0


def test_a_killed_run_holds_nothing_but_what_it_left_running(start: Callable, tmp_path: Path) -> None:
    first = start("echo $$ >began; sleep 300")
    left = int(await_text(tmp_path / "began"))
    first.kill()
    first.wait()
    first.stdout.close()
    assert finish(start("true"))[0] == run.OVERLAPS
    os.killpg(left, signal.SIGKILL)
    code, lines = finish(start("true"))
    assert code == 0
    assert lines[0].startswith(f"schedule nightly: the last run (pid {first.pid}, since ")


def test_nobody_reads_what_it_prints_and_it_goes_on(start: Callable, tmp_path: Path) -> None:
    """As where cron pipes it to logger, and no syslog daemon runs."""
    process = start("echo a; echo b; exit 2", "echo c")
    process.stdout.close()
    assert process.wait(60) == 2
    assert "c" in json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))["journal"]


def test_what_cannot_be_started(start: Callable) -> None:
    process = start("", playbooks=[{"name": "p", "argv": ["/nowhere/ansible-playbook"]}])
    code, lines = finish(process)
    assert code == 127
    assert "/nowhere/ansible-playbook cannot be started" in lines[1]


def test_what_would_keep_a_playbook_from_its_hosts_is_said(start: Callable) -> None:
    said = f"echo '[WARNING]: x' >&2; echo '[ERROR]: no hosts with {SECRET}' >&2; echo more >&2; exit 1"
    code, lines = finish(start("true", said, 'echo "$0" | grep -q -- --list-hosts', command="check"))
    assert code == 1
    assert lines == ["schedule nightly: p2: [ERROR]: no hosts with ***"]


def test_a_webhook_that_is_unwell_is_tried_again(start: Callable, tmp_path: Path) -> None:
    got: list[tuple[str | None, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.headers["Authorization"], body))
            self.send_response(503 if len(got) == 1 else 200)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        environment = f'INFERENCE_FLEET_WEBHOOK_URL="{url}"\nINFERENCE_FLEET_WEBHOOK_TOKEN="t"\n'
        (tmp_path / "environment").write_text(environment, encoding="utf-8")
        code, lines = finish(start("exit 3", on_failure_command=[]))
        server.shutdown()
    assert code == 3
    assert lines[-1] == "schedule nightly: the failure was told to 127.0.0.1: 200"
    assert [token for token, _body in got] == ["Bearer t"] * 2
    assert (got[1][1]["limit"], got[1][1]["exit_status"]) == ("h100", 3)


def test_a_webhook_that_cannot_be_reached_is_told_without_its_path(start: Callable, tmp_path: Path) -> None:
    environment = 'INFERENCE_FLEET_WEBHOOK_URL="http://127.0.0.1:9/a-secret-path"\n'
    (tmp_path / "environment").write_text(environment, encoding="utf-8")
    code, lines = finish(start(command="failed", on_failure_command=[]))
    assert code == 1
    assert lines[-1].startswith("schedule nightly: the failure could not be told to 127.0.0.1: ")
    assert "a-secret-path" not in "\n".join(lines)
