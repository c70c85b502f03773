# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file systems Docker waits for at boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.containers.spec import ContainerSpec, Mount
from ansible_collections.inference.fleet.plugins.module_utils.containers.wanted import DOCKER_HOST
from ansible_collections.inference.fleet.plugins.module_utils.serving import boot

MOUNTS = r"""22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:40 / /lambda/nfs/my-data rw - virtiofs my-data rw
31 22 0:41 / /data rw - xfs /dev/md0 rw
32 31 0:42 / /data/with\040space rw - xfs /dev/md1 rw
"""


@pytest.mark.parametrize(
    ("paths", "units"),
    [
        (["/root/.cache/huggingface"], []),
        (["/data"], ["data.mount"]),
        (["/data/hf", "/data/hf2"], ["data.mount"]),
        (["/database"], []),
        (["/data/with space/hf"], [r"data-with\x20space.mount"]),
        (["/lambda/nfs/my-data/hf", "/root", "/data"], ["data.mount", r"lambda-nfs-my\x2ddata.mount"]),
    ],
)
def test_docker_waits_for_what_is_no_part_of_the_root(paths: list[str], units: list[str]) -> None:
    text = boot.drop_in(paths, MOUNTS)
    assert [line.removeprefix("After=") for line in text.splitlines() if line.startswith("After=")] == units
    assert [line.removeprefix("Wants=") for line in text.splitlines() if line.startswith("Wants=")] == units
    assert bool(text) == bool(units)


def test_the_drop_in_comes_once_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(boot, "UNITS", tmp_path)
    monkeypatch.setattr(boot, "MOUNTS", tmp_path / "mountinfo")
    container = ContainerSpec(name="e", image="i:1", command=(), mounts=(Mount("/hf", "/data/hf"),))
    path = tmp_path / "docker.service.d/inference.fleet-e.conf"

    first = boot.DropIn("e", container, DOCKER_HOST, wanted=True)
    assert first.differs
    assert first.put() == []
    assert "After=data.mount" in path.read_text()
    assert not boot.DropIn("e", container, DOCKER_HOST, wanted=True).differs
    # Of another daemon's unit nothing is known.
    assert not boot.DropIn("e", container, "unix:///tmp/docker.sock", wanted=False).differs

    last = boot.DropIn("e", container, DOCKER_HOST, wanted=False)
    assert last.differs
    assert last.put() == []
    assert not path.exists()

    path.parent.rmdir()
    (tmp_path / "docker.service.d").touch()
    (warning,) = boot.DropIn("e", container, DOCKER_HOST, wanted=True).put()
    assert "could not be written" in warning
