# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import cache_place, command, system

UBUNTU = 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n'
SID = 'PRETTY_NAME="Debian GNU/Linux forky/sid"\nNAME="Debian GNU/Linux"\nID=debian\n'


def test_os_release_is_read_quoted_or_not() -> None:
    assert system.parse_os_release(UBUNTU) == {
        "id": "ubuntu",
        "version_id": "24.04",
        "pretty_name": "Ubuntu 24.04.3 LTS",
    }
    assert system.parse_os_release(SID) == {
        "id": "debian",
        "version_id": None,
        "pretty_name": "Debian GNU/Linux forky/sid",
    }
    assert system.parse_os_release("") == {"id": None, "version_id": None, "pretty_name": None}


def test_processor_and_memory_are_read_from_proc() -> None:
    assert (
        system.parse_cpu_model("processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8480+\n")
        == "Intel(R) Xeon(R) Platinum 8480+"
    )
    assert system.parse_cpu_model("processor\t: 0\nCPU implementer\t: 0x41\n") is None
    assert system.parse_memory_mib("MemTotal:       2113663528 kB\nMemFree: 1 kB\n") == 2064124
    assert system.parse_memory_mib("") is None


def test_disks_that_are_not_there_yet_are_where_they_will_be(tmp_path: Path) -> None:
    found = system.disks([str(tmp_path), str(tmp_path / "not" / "yet"), str(tmp_path)])

    assert [disk["path"] for disk in found] == [str(tmp_path), str(tmp_path / "not" / "yet")]
    assert found[0]["total_gib"] == found[1]["total_gib"] > 0


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        (["/dev/vda1 / ext4 rw,relatime 0 0", "tmpfs /data tmpfs rw 0 0"], None),
        (["/dev/vda1 / ext4 rw 0 0", "nfs /home/ubuntu/models nfs4 rw 0 0"], "/home/ubuntu/models"),
        (["b /lambda/nfs/b virtiofs rw 0 0", "a /lambda/nfs/a virtiofs rw 0 0", "d /data xfs rw 0 0"], "/lambda/nfs/a"),
        (["a /lambda/nfs/a virtiofs ro,relatime 0 0", "d /data xfs rw 0 0"], "/data"),
        ([r"a /lambda/nfs/my\040models virtiofs rw 0 0"], "/lambda/nfs/my models"),
        (["/dev/vda2 /home ext4 rw 0 0", "/dev/vda3 /home/ubuntu ext4 rw 0 0"], None),
        (["overlay /data/x overlay rw 0 0", "sda /home/ubuntu/.cache/huggingface ext4 rw 0 0"], None),
    ],
)
def test_weights_go_to_a_file_system_that_outlives_the_host(lines: list[str], place: str | None) -> None:
    assert cache_place.persistent("\n".join(lines) + "\n") == place


def test_where_a_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cache_place, "MOUNTS", tmp_path / "mounts")
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    for mounts, place in (("a /data ext4 rw 0 0\n", "/data/huggingface"), ("", "/home/someone/.cache/huggingface")):
        (tmp_path / "mounts").write_text(mounts)
        assert cache_place.cache_place("auto") == place
    assert cache_place.cache_place("~/weights") == "/home/someone/weights"
    assert cache_place.cache_place("/srv/auto") == "/srv/auto"


def test_a_command_that_is_missing_hangs_or_fails_is_data(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")

    assert command.run(["no-such-program"])[0] == command.NOT_FOUND
    assert command.run([str(plain)])[0] == command.NOT_EXECUTABLE
    assert command.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)[0] == command.TIMED_OUT
    assert command.run([sys.executable, "-c", "import sys; print('out'); sys.exit('err')"]) == (1, "out\n", "err\n")
