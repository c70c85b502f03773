# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.host.files import make_directory


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_is_missing_gets_the_owner_of_what_it_stands_in(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 1234, 2345)

    assert make_directory(home / ".cache/huggingface/hub")

    for path in (home / ".cache", home / ".cache/huggingface", home / ".cache/huggingface/hub"):
        assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (1234, 2345, 0o755)
    assert not make_directory(home / ".cache")


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FleetError, match=r"could not make the directory .*/file/below: Not a directory"):
        make_directory(tmp_path / "file" / "below")
