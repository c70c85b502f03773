# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host keeps beside an engine's container."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers import state
from ansible_collections.inference.fleet.plugins.module_utils.containers.observe import Observed
from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec


def test_the_last_logs_of_failed_starts_are_kept_for_root_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "STATE_DIR", tmp_path)
    folder = state.directory("e")
    for hour in range(12):
        (folder / f"failed-20260101T{hour:02d}0000Z.log").touch()
    (folder / "labels.json").touch()

    kept = state.keep_log("e", "its last words")

    assert kept.read_text() == "its last words"
    assert kept.stat().st_mode & 0o777 == 0o600
    logs = sorted(path.name for path in folder.glob("*.log"))
    assert (len(logs), logs[0], logs[-1]) == (10, "failed-20260101T030000Z.log", kept.name)
    assert (folder / "labels.json").exists()


@pytest.mark.parametrize(
    ("finished", "status", "stopped"),
    [
        ("2026-11-24T23:00:00.51Z", "exited", True),
        ("2026-11-24T23:00:01Z", "exited", True),
        ("2026-11-24T23:00:00Z", "exited", False),
        ("2026-11-24T22:59:59.9Z", "exited", False),
        ("2026-11-24T23:00:01Z", "running", False),
        ("0001-01-01T00:00:00Z", "created", False),
    ],
)
def test_a_container_that_was_stopped_for_its_successor(finished: str, status: str, stopped: bool) -> None:
    prepared = Observed("n", "e-next", "i", ContainerSpec("e-next", "i", ()), "created", 0, False, 0, "", "", "")
    prepared = prepared._replace(created_at="2026-11-24T23:00:00.5Z")
    assert prepared._replace(status=status, finished_at=finished).stopped_after(prepared) is stopped
