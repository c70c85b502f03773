# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two benchmarks of one host, as two processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils import progress as progresses
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.claim import claimed
from ansible_collections.inference.fleet.plugins.module_utils.errors import BusyError, FleetError
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress

URL = "http://127.0.0.1:8000"
COLLECTIONS = str(Path(__file__).resolve().parents[5] / ".build" / "collections")
HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from ansible_collections.inference.fleet.plugins.module_utils.benchmarks.claim import claimed
from ansible_collections.inference.fleet.plugins.module_utils.progress import Progress
with claimed(Path(sys.argv[2]), "http://127.0.0.1:8001", "the-other-run", Progress(sys.argv[3])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen]]:
    """Start another process that benchmarks the host, at another port."""
    started: list[subprocess.Popen] = []

    def start() -> subprocess.Popen:
        argv = [sys.executable, "-c", HOLDER, COLLECTIONS, str(tmp_path), str(tmp_path / "other")]
        started.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def asked(tmp_path: Path, seconds_ago: float) -> None:
    path = tmp_path / "other.asked"
    path.touch()
    moment = time.time() - seconds_ago
    os.utime(path, (moment, moment))


def test_one_after_the_other(tmp_path: Path) -> None:
    for run in ("a", "b"):
        with claimed(tmp_path, URL, run, Progress()):
            assert run in (tmp_path / ".127.0.0.1.lock").read_text(encoding="utf-8")


def test_two_at_once_on_one_host(tmp_path: Path, hold: Callable[[], subprocess.Popen]) -> None:
    other = hold()
    asked(tmp_path, 5)
    expected = pytest.raises(BusyError, match=rf"under way \(the-other-run\).*kill {other.pid}")
    with expected, claimed(tmp_path, URL, "mine", Progress()):
        pass
    assert other.poll() is None


def test_another_run_is_waited_for(tmp_path: Path, hold: Callable[[], subprocess.Popen]) -> None:
    other = hold()
    asked(tmp_path, 5)
    progress = Progress(str(tmp_path / "mine"))
    threading.Timer(1.5, other.kill).start()
    started = time.monotonic()
    with claimed(tmp_path, URL, "mine", progress, wait=30):
        assert time.monotonic() - started > 1
    waited = "waiting for up to 30 s for another benchmark of this host to end\n"
    assert (tmp_path / "mine").read_text(encoding="utf-8") == waited


def test_another_host_is_another_matter(tmp_path: Path, hold: Callable[[], subprocess.Popen]) -> None:
    hold()
    with claimed(tmp_path, "http://gpu-2:8000", "mine", Progress()):
        pass


def test_a_run_whose_control_host_has_gone_is_ended(tmp_path: Path, hold: Callable[[], subprocess.Popen]) -> None:
    other = hold()
    asked(tmp_path, 90)
    with claimed(tmp_path, URL, "mine", Progress()):
        assert other.wait(timeout=120) != 0


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path, hold: Callable[[], subprocess.Popen]) -> None:
    other = hold()
    other.kill()
    other.wait()
    with claimed(tmp_path, URL, "mine", Progress()):
        pass


def test_work_that_nobody_asks_after_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress(str(tmp_path / "progress"))
    progress.require_asked()
    monkeypatch.setattr(progresses.time, "time", lambda: 4e9)
    with pytest.raises(FleetError, match="it was interrupted"):
        progress.require_asked()
    asked_path = Path(progress.asked_path)
    asked_path.touch()
    os.utime(asked_path, (4e9 - 100, 4e9 - 100))
    progress.require_asked()
    Progress().require_asked()
