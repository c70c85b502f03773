# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's kernels: which it has and will have, whether they take only signed modules; and who upgrades packages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible_collections.inference.fleet.plugins.module_utils.host.command import RunCommand

QUERY = (
    "dpkg-query",
    "--show",
    "--showformat=${db:Status-Abbrev}\t${Package}\n",
    "linux-image-*",
    "linux-modules-nvidia-*",
)
# The UEFI variable SecureBoot of the global vendor: four bytes of attributes, then one that is 1 where it is on.
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

UNATTENDED = "/usr/bin/unattended-upgrade"
# What the host role writes there keeps unattended-upgrades from the driver and from Docker.
HOLD = "/etc/apt/apt.conf.d/52inference-fleet"


def kernels(run_command: RunCommand) -> dict[str, Any]:
    """Return the keys of RV(host) that tell of kernels and of their upgrades."""
    listed = run_command(QUERY)[1]
    releases, flavours = parse(listed)
    return {
        "kernels": releases,
        "kernel_flavours": flavours,
        "secure_boot": secure_boot(),
        "signed_driver": bool(re.search(r"^[a-z]i.?\tlinux-modules-nvidia-", listed, flags=re.MULTILINE)),
        "unattended_upgrades": Path(UNATTENDED).exists(),
        "packages_held": Path(HOLD).exists(),
    }


def parse(listed: str) -> tuple[list[str], list[str]]:
    """Return the releases of the kernels that are installed, and the flavours whose metapackage brings newer ones.

    >>> parse("ii \\tlinux-image-6.8.0-60-generic\\nii \\tlinux-image-generic\\nrc \\tlinux-image-6.8.0-31-generic\\n")
    (['6.8.0-60-generic'], ['generic'])
    """
    names = re.findall(r"^[a-z]i.?\tlinux-image-(?:unsigned-)?(.+)$", listed, flags=re.MULTILINE)
    names = [name for name in dict.fromkeys(names) if not re.search(r"-(dbg|dbgsym|unsigned)$|^extra-", name)]
    releases = [name for name in names if re.match(r"\d+\.\d+", name)]
    return releases, [name for name in names if name not in releases]


def secure_boot(path: str = SECURE_BOOT) -> bool:
    """Tell whether the firmware, and so the kernel, takes only what is signed. A machine without UEFI takes all."""
    try:
        value = Path(path).read_bytes()
    except OSError:
        return False
    return len(value) == 5 and value[4] == 1
