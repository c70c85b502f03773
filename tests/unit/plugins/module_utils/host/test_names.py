# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host knows of names."""

from __future__ import annotations

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import names


def test_an_address_is_itself_and_a_name_has_its_own() -> None:
    assert names.addresses("::1") == ["::1"]
    assert names.addresses("localhost")[0] in ("127.0.0.1", "::1")


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(OSError, match=r"\w"):
        names.addresses("nowhere.invalid")
