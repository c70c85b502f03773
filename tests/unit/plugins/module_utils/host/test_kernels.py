# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dpkg and the firmware say of a host's kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import kernels

UBUNTU = """\
ii \tlinux-image-6.8.0-60-generic
rc \tlinux-image-6.8.0-31-generic
ii \tlinux-image-unsigned-6.14.0-5-nvidia
hi \tlinux-image-generic
un \tlinux-image-extra
ii \tlinux-image-extra-virtual
ii \tlinux-modules-nvidia-580-server-open-generic
"""
DEBIAN = "ii \tlinux-image-6.1.0-40-amd64\nii \tlinux-image-amd64\nii \tlinux-image-6.1.0-40-amd64-dbg\n"


def test_kernels_and_flavours() -> None:
    assert kernels.parse(UBUNTU) == (["6.8.0-60-generic", "6.14.0-5-nvidia"], ["generic"])
    assert kernels.parse(DEBIAN) == (["6.1.0-40-amd64"], ["amd64"])
    assert kernels.parse("") == ([], [])


@pytest.mark.parametrize(("listed", "signed"), [(UBUNTU, True), (DEBIAN, False), (UBUNTU.replace("ii", "rc"), False)])
def test_signed_modules(listed: str, signed: bool) -> None:
    assert kernels.kernels(lambda argv: (0, listed, ""))["signed_driver"] is signed


@pytest.mark.parametrize(
    ("content", "on"), [(b"\x06\0\0\0\1", True), (b"\x06\0\0\0\0", False), (b"", False), (None, False)]
)
def test_secure_boot(tmp_path: Path, content: bytes | None, on: bool) -> None:
    variable = tmp_path / "SecureBoot"
    if content is not None:
        variable.write_bytes(content)
    assert kernels.secure_boot(str(variable)) is on
