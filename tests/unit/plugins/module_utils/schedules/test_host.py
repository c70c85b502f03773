# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control host is asked and told. tests/schedule has real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.schedules import files, host
from ansible_collections.inference.fleet.plugins.module_utils.schedules.files import File, Schedule


def test_when_a_schedule_is_due() -> None:
    # Of systemd 252.
    answer = (
        "  Original form: *-*-* 02:00\nNormalized form: *-*-* 02:00:00\n    Next elapse: Wed 2026-11-25 02:00:00 UTC\n"
    )
    schedule = Schedule("nightly", "h100", "*-*-* 02:00")
    assert host.next_run(schedule, lambda argv: (0, answer, "")) == "Wed 2026-11-25 02:00:00 UTC"
    never = "Normalized form: 2020-01-01 00:00:00\n    Next elapse: never\n"
    assert host.next_run(schedule, lambda argv: (0, never, "")) is None


def test_a_container_that_uses_a_gpu(tmp_path: Path) -> None:
    for pid, group, device in (("1", "/init.scope", "nvidia0"), ("2", "/system.slice/docker-1a.scope", "null")):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "cgroup").write_text(f"0::{group}\n")
        (tmp_path / pid / "fd" / "3").symlink_to(f"/dev/{device}")
    assert not host.gpus_in_containers(tmp_path)
    (tmp_path / "2" / "fd" / "4").symlink_to("/dev/nvidia0")
    assert host.gpus_in_containers(tmp_path)


def test_a_diff_has_no_secret() -> None:
    old, new = (files.environment({"A_KEY": value}) for value in ("sesame-1", "sesame-2"))
    file = File(files.ENVIRONMENT, new, 0o600, of_user=True, secret=True)
    (shown,) = host.Difference(write=[(file, old)]).shown()
    assert "sesame" not in str(shown)
    assert shown["before"] != shown["after"]
    (mode,) = host.Difference(write=[(file, new)]).shown()
    assert mode["before"] != mode["after"]
    (gone,) = host.Difference(remove=[(Path(files.ENVIRONMENT), old)]).shown()
    assert "A_KEY" in gone["before"]
    assert "sesame" not in str(gone)


def test_a_command_that_fails_is_told_and_a_missing_unit_is_not() -> None:
    def answer(argv: list[str]) -> tuple[int, str, str]:
        return (5, "", "Unit x.service not loaded.") if argv[1] == "stop" else (1, "", "Access denied")

    host._systemctl(answer, "stop", "x.service", ignored=5)
    with pytest.raises(FleetError, match="systemctl enable x failed: Access denied"):
        host._systemctl(answer, "enable", "x")
