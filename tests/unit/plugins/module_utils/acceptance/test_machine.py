# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk is read for real, and nothing is left of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.acceptance import machine, run
from ansible_collections.inference.fleet.plugins.module_utils.errors import BusyError, FleetError


def test_a_disk_is_read_where_the_weights_will_be(tmp_path: Path) -> None:
    found = machine.disk_read(str(tmp_path / "not/yet/there"), 24, 60)
    assert found["disk_read_mib"] == 24
    assert found["disk_read_mb_s"] > 0
    assert list(tmp_path.iterdir()) == []


def test_it_ends_where_it_is_no_longer_wanted(tmp_path: Path) -> None:
    def gone() -> None:
        raise FleetError("the control host was interrupted")

    with pytest.raises(FleetError):
        machine.disk_read(str(tmp_path), 24, 60, gone)
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_takes_no_files_is_told() -> None:
    assert "disk_error" in machine.disk_read("/proc/self", 24, 60)


def test_one_test_of_a_host_at_a_time(tmp_path: Path) -> None:
    with run.alone(tmp_path) as folder:
        (folder / "figures").touch()
        with pytest.raises(BusyError, match="another acceptance test"), run.alone(tmp_path):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_new_lines_of_a_kernel_s_log() -> None:
    assert run._new("a\nb", "a\nb\nc\nd") == "c\nd"
    assert run._new("a\nb", "b\nc") == "c"
    assert run._new("a\nb", "c\nd") == "c\nd"
    assert run._new("", "a") == "a"
    assert run._new("a\nb", "a\nb") == ""
