# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs the checks: each part when its rigs are there, none stopped by another, and a table that hides nothing."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return scripts/test, with parts of the test's own."""
    loader = SourceFileLoader("checks", str(ROOT / "scripts/test"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("checks", loader))
    monkeypatch.setitem(sys.modules, "checks", module)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    for name, value in {"ROOT": tmp_path, "LOGS": tmp_path / "logs", "MACHINE": tmp_path / "machine.lock"}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "DOCKER_PID", tmp_path / "docker.pid")
    # What it changes in its own process.
    monkeypatch.setattr(module.signal, "signal", lambda *_: None)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("FLEET_TAG", "")
    return module


@pytest.fixture
def run(checks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run parts, which are shell scripts by their names; rigs are those that others need."""

    def start(scripts: dict[str, str], needs: dict[str, tuple[str, ...]] | None = None, **options: dict) -> int:
        needs = needs or {}
        rigs = {name for names in needs.values() for name in names}
        jobs = {name: checks.Job(name, needs.get(name, ()), **options.get(name, {})) for name in scripts}
        monkeypatch.setattr(checks, "RIGS", [job for name, job in jobs.items() if name in rigs])
        monkeypatch.setattr(checks, "PARTS", [job for name, job in jobs.items() if name not in rigs])
        monkeypatch.setattr(sys, "argv", ["test"])
        file = tmp_path / "scripts/parts"
        file.parent.mkdir(exist_ok=True)
        cases = "".join(f"{name}) {script} ;;\n" for name, script in scripts.items())
        file.write_text(f"#!/bin/sh\ncase $1 in\n{cases}esac\n")
        file.chmod(0o755)
        return checks.main()

    return start


def test_each_outcome_has_its_row_and_the_counts_come_last(
    run: Callable[..., int], capsys: pytest.CaptureFixture
) -> None:
    scripts = {
        "good": "echo '=== ansible-core by Python ==='; echo a table; echo '=== other ==='; "
        "echo 'SKIPPED [2] tests/x.py:7: no such thing here'; echo '3 passed'",
        "bad": "seq 200; echo the reason; exit 1",
        "pytest": "echo 'FAILED tests/x.py::test_it - AssertionError'; seq 200; exit 1",
        "absent": "echo noise; echo no package index has it; exit 3",
        "slow": "sleep 600",
        "rig": "echo it cannot be had; exit 3",
        "broken": "echo it broke; exit 9",
        "needy": "true",
        "hurt": "true",
    }
    code = run(scripts, {"needy": ("rig",), "hurt": ("broken",)}, slow={"limit": 1})

    lines = capsys.readouterr().out.rstrip().split("\n")
    assert code == 1
    assert lines[-1] == "1 passed, 4 failed, 2 skipped"
    rows = {
        line.split()[0]: " ".join(line.split()[3:])
        for line in lines[lines.index("PART         SECONDS  OF CPU  RESULT") :]
        if line
    }
    assert rows["good"] == "passed"
    assert rows["bad"] == "FAILED: exit code 1, see logs/bad.log"
    assert rows["absent"] == "skipped: no package index has it"
    assert rows["slow"] == "FAILED: not done within 1 s, see logs/slow.log"
    assert rows["needy"] == "skipped: rig: it cannot be had"
    assert rows["hurt"] == "FAILED: exit code 9, see logs/hurt.log"
    assert "good: SKIPPED [2] tests/x.py:7: no such thing here" in lines
    assert "   the reason" in lines
    closing = lines[lines.index("Failed:") : -1]
    assert [line for line in closing if line.startswith("bad: ")][-1] == "bad: the reason"
    assert [line for line in closing if line.startswith("pytest: ")] == [
        "pytest: FAILED tests/x.py::test_it - AssertionError"
    ]
    assert "   a table" in lines
    assert "   === other ===" not in lines


def test_a_part_does_not_wait_for_the_rig_of_another(run: Callable[..., int], tmp_path: Path) -> None:
    done = tmp_path / "done"
    scripts = {
        # The rig ends when the part that does not need it has.
        "rig": f"while [ ! -e {done} ]; do sleep 0.05; done",
        "first": f"[ -e {done} ]",
        "second": f"touch {done}",
    }
    assert run(scripts, {"first": ("rig",)}) == 0


def test_what_is_there_once_is_used_by_one_part_at_a_time(run: Callable[..., int], tmp_path: Path) -> None:
    alone = f"mkdir {tmp_path}/alone || exit 1; sleep 0.3; rmdir {tmp_path}/alone"
    once = {"machine": True}
    assert run(dict.fromkeys(("a", "b", "c"), alone), a=once, b=once, c=once) == 0


def test_a_run_that_is_stopped_leaves_no_process(
    checks: ModuleType, run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    runs: list[object] = []
    call = checks.Run.__call__
    monkeypatch.setattr(checks.Run, "__call__", lambda self: (runs.append(self), call(self))[1])
    # The second is in a session of its own, as what tests start often is.
    begun = f"sleep 600 & echo $! >{started}.new; setsid sleep 600 & echo $! >>{started}.new"
    script = f"{begun}; mv {started}.new {started}; wait"
    thread = threading.Thread(target=run, args=({"part": script},))
    thread.start()
    while not started.exists():
        assert thread.is_alive()
        thread.join(0.05)
    children = [Path("/proc", pid) for pid in started.read_text().split()]
    assert [child.exists() for child in children] == [True, True]

    runs[0].stop()
    thread.join(60)

    assert not thread.is_alive()
    for child in children:
        assert not child.exists() or (child / "stat").read_text().rpartition(") ")[2][0] == "Z"


def test_a_part_that_is_none_is_told_with_those_that_there_are(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["test", "lint", "nonesuch"])
    assert checks.main() == 2
    assert f"there is no part nonesuch. Parts: {checks.PARTS[0].name} " in capsys.readouterr().err


def test_every_part_and_rig_is_a_function_of_scripts_parts(checks: ModuleType) -> None:
    text = (ROOT / "scripts/parts").read_text()
    for job in [*checks.PARTS, *checks.RIGS]:
        assert f"\n{job.name}() {{" in text, job.name
    assert {name for job in [*checks.PARTS, *checks.RIGS] for name in job.needs} <= {rig.name for rig in checks.RIGS}
